/**
 * The list of sessions: the latest first, what is unread, what was said last. Links, so that
 * the browser's own ways (back, another tab) work.
 */

import { plain } from '../text/plain.js';
import { preview } from '../text/preview.js';
import { shortTime } from '../text/dates.js';
import { Part, h, put } from './dom.js';
import { icon } from './icons.js';
import { toneOf } from './avatar.js';

/** @typedef {import('../assistdeck-client.js').ListedSession} ListedSession */

export class SessionList extends Part {
  #list = h('ul', { class: 'session-list' });
  #state = h('div', { class: 'list-state' });
  /** @type {Map<string, {look: string, li: HTMLLIElement}>} */
  #shown = new Map();
  #isPlanned = false;
  #deck;

  /** @param {import('../model/deck.js').Deck} deck */
  constructor(deck) {
    super();
    this.#deck = deck;
  }

  connectedCallback() {
    const { sessions } = this.#deck;
    put(this, this.#list, this.#state);
    this.until(sessions.on('changed', () => this.#plan()));
    this.until(this.#deck.on('current', () => this.#plan()));
    this.listen(this, 'keydown', (event) => this.#key(event));
    this.listen(this, 'scroll', () => {
      if (this.scrollHeight - this.scrollTop < this.clientHeight * 2) sessions.loadMore();
    }, { passive: true });
    // Times of day grow old.
    const timer = setInterval(() => { this.#shown.clear(); this.#plan(); }, 600_000);
    this.until(() => clearInterval(timer));
    this.#render();
  }

  #plan() {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      if (this.isConnected) this.#render();
    });
  }

  #render() {
    const { sessions } = this.#deck;
    const { list } = sessions;
    const old = this.#shown;
    this.#shown = new Map();
    let place = this.#list.firstElementChild;
    for (const session of list) {
      const look = this.#look(session);
      const known = old.get(session.id);
      const li = known ? known.li : h('li');
      if (known?.look !== look) this.#fill(li, session);
      this.#shown.set(session.id, { look, li });
      old.delete(session.id);
      if (li === place) place = place.nextElementSibling;
      else this.#list.insertBefore(li, place);
    }
    for (const { li } of old.values()) li.remove();
    this.#list.hidden = list.length === 0;
    this.#showState(list.length);
  }

  /** @param {number} count */
  #showState(count) {
    const { phase, isLoadingMore } = this.#deck.sessions;
    const look = count > 0 ? (isLoadingMore ? 'more' : 'none') : phase;
    if (this.#state.dataset.look === look) return;
    this.#state.dataset.look = look;
    if (look === 'more') put(this.#state, h('span', { class: 'spinner' }));
    else if (look === 'loading') {
      put(this.#state, ...[1, 2, 3, 4].map(() => h('div', { class: 'bone session-bone' })),
        h('span', { class: 'unseen' }, 'Loading sessions…'));
    } else if (look === 'failed') {
      put(this.#state, h('p', {}, 'Your sessions could not be loaded.'),
        h('button', { type: 'button', class: 'button', onclick: () => this.#deck.sessions.load() },
          icon('retry'), 'Try again'));
    } else if (look === 'ready') {
      put(this.#state, h('p', {}, 'Your sessions, and those shared with you, appear here.'));
    } else put(this.#state);
  }

  /** @param {ListedSession} session */
  #look({ id, title, updated_at, unread_count, last_message }) {
    const name = this.#deck.people.name(last_message?.sender_id ?? '');
    return [this.#deck.current?.id === id, title, updated_at, unread_count, last_message?.id,
      last_message?.edited_at, name].join(' ');
  }

  /** @param {HTMLLIElement} li @param {ListedSession} session */
  #fill(li, session) {
    const { id, updated_at, unread_count } = session;
    const title = plain(session.title);
    const isCurrent = this.#deck.current?.id === id;
    const letter = [...title][0].toLocaleUpperCase();
    const count = unread_count > 999 ? '999+' : String(unread_count);
    const hadFocus = li.contains(document.activeElement);
    put(li, h('a', {
      href: `#/s/${id}`, class: unread_count > 0 ? 'session unread' : 'session',
      'aria-current': isCurrent ? 'page' : null,
    },
    h('span', { class: `tile tone-${toneOf(id)}`, 'aria-hidden': 'true' }, letter),
    h('span', { class: 'session-title' }, h('bdi', {}, title)),
    h('time', { datetime: updated_at }, shortTime(updated_at)),
    h('span', { class: 'session-last' }, ...this.#last(session)),
    unread_count > 0 && h('span', { class: 'count' }, count,
      h('span', { class: 'unseen' }, ' unread'))));
    if (hadFocus) li.querySelector('a')?.focus();
  }

  /** @param {ListedSession} session */
  #last({ last_message: message, is_owner, user_id }) {
    const { people } = this.#deck;
    if (!message) {
      const isMine = is_owner ?? people.isMe(user_id);
      return [isMine ? 'Nothing said yet' : 'Shared with you'];
    }
    const name = people.isMe(message.sender_id) ? 'You' : people.name(message.sender_id);
    return [name ? h('bdi', { class: 'who' }, `${name.split(/\s+/)[0]}: `) : null,
      h('bdi', {}, preview(message.content))];
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const at = document.activeElement?.closest('li');
    if (!move || !at) return;
    event.preventDefault();
    const next = move < 0 ? at.previousElementSibling : at.nextElementSibling;
    next?.querySelector('a')?.focus();
  }
}
customElements.define('ad-session-list', SessionList);
