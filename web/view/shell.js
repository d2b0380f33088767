/**
 * The page of somebody who is signed in: the list at the side, the open session beside it (on a
 * phone one of them at a time), the connection on top. The address says which session is open.
 */

import { plain } from '../text/plain.js';
import { actionForm, field } from './dialog.js';
import { showAccount } from './account-dialog.js';
import { avatar } from './avatar.js';
import { ConnectionBar } from './connection-bar.js';
import { Part, h, put } from './dom.js';
import { icon } from './icons.js';
import { createSession, goTo, newSession } from './session-dialogs.js';
import { SessionList } from './session-list.js';
import { SessionView } from './session-view.js';
import { clearToasts, toast } from './toasts.js';

const ROUTE = /^#\/s\/([0-9a-f-]{36})$/i;

export class Shell extends Part {
  #main = h('main', { class: 'main', id: 'main' });
  #deck;
  #account;

  /**
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/account.js').Account} account
   */
  constructor(deck, account) {
    super();
    this.#deck = deck;
    this.#account = account;
  }

  connectedCallback() {
    const deck = this.#deck;
    put(this,
      h('a', {
        class: 'skip', href: '#main',
        onclick: (/** @type {Event} */ event) => this.#skip(event),
      }, 'Skip to the session'),
      new ConnectionBar(deck),
      h('nav', { class: 'side', 'aria-label': 'Sessions' }, this.#sideHead(), new SessionList(deck),
        this.#sideFoot()),
      this.#main);
    this.until(deck.on('current', () => this.#showCurrent()));
    this.until(deck.sessions.on('changed', () => this.#onSessions()));
    this.until(deck.sessions.on('added', (session) => this.#onAdded(session)));
    this.until(deck.sessions.on('removed', (session) => this.#onRemoved(session)));
    this.listen(window, 'hashchange', () => this.#route());
    this.#route();
    if (!deck.current) this.#showCurrent();
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    clearToasts();
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  }

  #sideHead() {
    return h('div', { class: 'side-head' },
      h('p', { class: 'brand' }, icon('logo'), 'AssistDeck'),
      h('button', {
        type: 'button', class: 'icon-button', 'aria-label': 'New session', title: 'New session',
        onclick: () => newSession(this.#deck),
      }, icon('plus')));
  }

  #sideFoot() {
    const { me } = this.#deck;
    return h('button', {
      type: 'button', class: 'side-foot',
      onclick: () => showAccount(this.#deck, () => this.#account.signOut()),
    }, h('span', { class: 'unseen' }, 'Your account: '), avatar(me.id, plain(me.name)),
    h('span', {}, h('bdi', {}, plain(me.name)), h('small', {}, me.email)),
    icon('settings'));
  }

  #route() {
    const id = ROUTE.exec(location.hash)?.[1].toLowerCase() ?? null;
    this.#deck.open(id);
  }

  #showCurrent() {
    const { current } = this.#deck;
    this.dataset.view = current ? 'session' : 'list';
    put(this.#main, current ? new SessionView(this.#deck, current) : this.#welcome());
    this.#showTitle();
  }

  #onSessions() {
    this.#showTitle();
    const welcome = this.#main.querySelector('.welcome');
    const look = this.#deck.sessions.list.length > 0 ? 'choose' : 'first';
    if (welcome instanceof HTMLElement && welcome.dataset.look !== look
      && !welcome.contains(document.activeElement)) put(this.#main, this.#welcome());
  }

  /** Nothing is open. */
  #welcome() {
    const { sessions, me } = this.#deck;
    if (sessions.list.length > 0 || sessions.phase !== 'ready') {
      const look = sessions.list.length > 0 ? 'choose' : '';
      return h('section', { class: 'panel welcome', 'data-look': look },
        icon('logo'), h('h1', {}, 'Choose a session'),
        h('p', {}, 'Or start a new one and share it.'),
        h('button', {
          type: 'button', class: 'button primary', onclick: () => newSession(this.#deck),
        }, icon('plus'), 'New session'));
    }
    const { element, input } = field('What is it about?', {
      required: true, maxlength: 200, autocomplete: 'off', pattern: '.*\\S.*',
      placeholder: 'Launch plan, weekend trip, reading group…',
      'data-wrong': 'Please give it a name.',
    });
    return h('section', { class: 'panel welcome', 'data-look': 'first' }, icon('logo'),
      h('h1', {}, 'Welcome, ', h('bdi', {}, me.name.split(/\s+/)[0])),
      h('p', {}, 'A session is a conversation that you share with the people you choose. ',
        'Start your first one:'),
      actionForm({
        fields: [element], submit: 'Start session', look: 'wide',
        run: () => createSession(this.#deck, input.value.trim()),
      }));
  }

  #showTitle() {
    const { current, sessions } = this.#deck;
    const { unread } = sessions;
    const name = current?.session ? `${current.title} · AssistDeck` : 'AssistDeck';
    document.title = unread > 0 ? `(${unread}) ${name}` : name;
  }

  /** @param {import('../assistdeck-client.js').Session} session */
  #onAdded({ id, title }) {
    const name = h('bdi', { class: 'who' }, plain(title));
    if (this.#deck.current?.id === id) return;
    const close = toast([name, ' was shared with you'],
      { label: 'Open', run: () => goTo(id) });
    this.until(this.#deck.on('current', (current) => { if (current?.id === id) close(); }));
  }

  /** @param {import('../assistdeck-client.js').Session} session */
  #onRemoved({ id, title }) {
    // Where it is open, its own place says why it is gone.
    if (this.#deck.current?.id === id || !this.#deck.isNews(id)) return;
    toast([h('bdi', { class: 'who' }, plain(title)),
      ' is gone: it was deleted, or isn’t shared with you any more']);
  }

  /** The address stays what it is. @param {Event} event */
  #skip(event) {
    event.preventDefault();
    const target = this.#main.querySelector('textarea') ?? this.#main.querySelector('h1, button');
    if (target instanceof HTMLElement) target.focus();
  }
}
customElements.define('ad-shell', Shell);
