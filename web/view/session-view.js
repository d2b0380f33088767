/**
 * The open session: its head, its messages, the place to write; and its other looks: loading,
 * failed, empty, gone.
 */

import { preview } from '../text/preview.js';
import { sentenceOf } from '../text/sentences.js';
import { Composer } from './composer.js';
import { confirm } from './dialog.js';
import { h, put } from './dom.js';
import { icon } from './icons.js';
import { gone, invitation } from './session-states.js';
import { MessageList } from './message-list.js';
import { SessionHead } from './session-head.js';
import { SessionPart } from './session-part.js';

/** Messages that are read out at once; of more only the number. */
const ALOUD_CHARS = 300;

export class SessionView extends SessionPart {
  #body = h('div', { class: 'session-body' });
  #aloud = h('div', {
    class: 'unseen', role: 'log', 'aria-live': 'polite', 'aria-label': 'New messages',
  });
  #typing = h('p', { class: 'typing' });
  #jump = h('button', { type: 'button', class: 'jump', hidden: true });
  #look = '';
  /** @type {MessageList | null} */
  #list = null;
  #composer;

  /**
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/opened.js').Opened} opened
   */
  constructor(deck, opened) {
    super(deck, opened);
    this.#composer = new Composer(deck, opened);
  }

  connectedCallback() {
    const opened = this.opened;
    put(this, new SessionHead(this.deck, opened), this.#body, this.#aloud);
    this.until(opened.on('phase', () => this.#render()));
    this.until(opened.on('items', () => this.#onItems()));
    this.until(opened.on('read', () => this.#showJump()));
    this.until(opened.on('message', (message) => this.#say(message)));
    this.until(opened.presence.on('typing', () => this.#showTyping()));
    this.until(opened.presence.on('changed', () => this.#showEmpty()));
    this.listen(this.#jump, 'click', () => {
      this.#list?.jump();
      this.#composer.focusIfKeyboard();
    });
    this.listen(this.#composer, 'sent', () => this.#list?.jump());
    this.#render();
  }

  #render() {
    const { phase } = this.opened;
    if (phase === 'gone') {
      if (this.#composer.isConnected) this.#composer.keep();
      this.#list = null;
      const panel = gone(this.deck, this.opened);
      put(this, panel);
      panel.querySelector('h1')?.focus();
      return;
    }
    // A reset loads anew behind what is shown.
    const look = phase === 'loading' && this.#list ? this.#look : phase;
    if (look === this.#look && !(phase === 'ready' && this.#list)) return;
    this.#look = look;
    if (phase === 'ready') this.#showReady();
    else if (phase === 'failed') this.#showFailed();
    else if (!this.#list) this.#showLoading();
  }

  #showReady() {
    const hadFocus = this.#composer.contains(document.activeElement) || !document.activeElement
      || document.activeElement === document.body || document.activeElement.matches('.session');
    this.#list = new MessageList(this.deck, this.opened, {
      edit: (message) => this.#composer.edit(message),
      remove: (message) => this.#remove(message),
    });
    this.listen(this.#list, 'end', () => this.#showJump());
    const bottom = h('div', { class: 'bottom' }, this.#jump, this.#typing, this.#composer);
    put(this.#body, this.#list, bottom);
    this.#showEmpty();
    this.#showJump();
    this.#showTyping();
    if (hadFocus) this.#composer.focusIfKeyboard();
  }

  #showLoading() {
    put(this.#body, h('div', { class: 'loading', role: 'status' },
      h('span', { class: 'unseen' }, 'Loading messages…'),
      ...['wide', 'mine', '', 'wide', 'mine short', 'short'].map((look) => (
        h('div', { class: `bone message-bone ${look}` })))));
  }

  #showFailed() {
    this.#list = null;
    put(this.#body, h('div', { class: 'panel', role: 'alert' }, icon('alert'),
      h('h2', {}, 'The messages could not be loaded'),
      h('p', {}, sentenceOf(this.opened.reason)),
      h('button', { type: 'button', class: 'button primary', onclick: () => this.opened.load() },
        icon('retry'), 'Try again')));
  }

  #onItems() {
    this.#showEmpty();
    this.#showJump();
  }

  /** Nothing said yet: what to do first. */
  #showEmpty() {
    const { log, id, hasOlder, phase } = this.opened;
    if (phase !== 'ready' || !this.#list) return;
    const isEmpty = !hasOlder && log.items.length === 0
      && this.deck.live.sendings(id).length === 0;
    this.#list.classList.toggle('empty', isEmpty);
    const old = this.#body.querySelector('.invitation');
    if (!isEmpty) old?.remove();
    else if (!old) this.#list.before(invitation(this.deck, this.opened));
  }

  #showJump() {
    const { unread } = this.opened;
    this.#jump.hidden = this.deck.isAtEnd;
    put(this.#jump, icon('down'), unread > 0
      ? `${unread} new ${unread === 1 ? 'message' : 'messages'}` : 'To the newest');
  }

  #showTyping() {
    const names = this.opened.presence.typing;
    const who = names.length > 2 ? `${names.length} people are` : names.length === 2
      ? `${names[0]} and ${names[1]} are` : `${names[0]} is`;
    this.#typing.classList.toggle('on', names.length > 0);
    if (names.length > 0) {
      put(this.#typing, h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
        h('bdi', {}, `${who} typing`));
    }
  }

  /** @param {import('../assistdeck-client.js').Message} message */
  #say({ sender_id, content }) {
    const name = this.deck.people.name(sender_id) ?? 'Somebody';
    this.#aloud.append(h('p', {}, `${name}: ${preview(content).slice(0, ALOUD_CHARS)}`));
    while (this.#aloud.children.length > 5) this.#aloud.firstElementChild?.remove();
  }

  /** @param {import('../assistdeck-client.js').Message} message */
  #remove(message) {
    const isMine = this.deck.people.isMe(message.sender_id);
    const name = this.deck.people.name(message.sender_id) ?? 'somebody';
    confirm('Delete this message?', [
      isMine ? 'It is deleted for everyone. This can’t be undone.'
        : `The message of ${name} is deleted for everyone. This can’t be undone.`,
      h('span', { class: 'quote' }, h('bdi', {}, preview(message.content))),
    ], 'Delete', async () => {
      await this.deck.api.deleteMessage(this.opened.id, message.id);
      this.opened.onDeleted(message.id);
      this.#composer.focusIfKeyboard();
    });
  }
}
customElements.define('ad-session-view', SessionView);
