/**
 * How the connection is, in words: nothing while all is well, a line on top when it is not,
 * and a moment of good news when it is again.
 */

import { offlineReason } from '../text/sentences.js';
import { Part, h, put } from './dom.js';
import { icon } from './icons.js';

/** What lasts shorter is not worth a word. */
const PATIENCE_MS = 900;
const GOOD_NEWS_MS = 3500;

export class ConnectionBar extends Part {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #shown = '';
  #deck;

  /** @param {import('../model/deck.js').Deck} deck */
  constructor(deck) {
    super();
    this.#deck = deck;
  }

  connectedCallback() {
    this.setAttribute('role', 'status');
    this.until(this.#deck.on('state', () => this.#plan()));
    this.listen(window, 'online', () => this.#plan());
    this.listen(window, 'offline', () => this.#plan());
    this.until(() => clearTimeout(this.#timer));
    this.#plan();
  }

  #plan() {
    clearTimeout(this.#timer);
    const { state, reason } = this.#deck.live.state;
    if (reason === 'not_started') return;
    const isBad = state === 'offline' || state === 'stopped';
    if (isBad || this.#shown === 'offline') this.#show();
    else this.#timer = setTimeout(() => this.#show(), PATIENCE_MS);
  }

  #show() {
    const { live } = this.#deck;
    const { state } = live.state;
    if (state === 'live') {
      if (this.#shown !== 'offline' && this.#shown !== 'connecting') this.#put('', []);
      else {
        this.#put('good', [icon('check'), h('span', {}, 'Connected again')]);
        this.#timer = setTimeout(() => this.#put('', []), GOOD_NEWS_MS);
      }
    } else if (state === 'offline') {
      this.#put('offline', [
        icon('offline'),
        h('span', {}, h('strong', {}, 'Offline. '), offlineReason(live.state, navigator.onLine),
          h('span', { class: 'promise' }, ' What you write is kept and sent later.')),
        // The client takes this for news from the network and tries at once.
        h('button', {
          type: 'button', class: 'text-button', onclick: () => dispatchEvent(new Event('online')),
        }, 'Try now'),
      ]);
    } else if (state === 'stopped') {
      this.#put('offline', [icon('alert'), h('span', {}, h('strong', {}, 'Disconnected. '),
        offlineReason(live.state, true)),
      h('button', { type: 'button', class: 'text-button', onclick: () => live.connect() },
        'Connect')]);
    } else if (this.#shown !== 'offline' || state === 'catching-up') {
      const text = state === 'catching-up' ? 'Catching up…' : 'Connecting…';
      this.#put('connecting', [h('span', { class: 'spinner' }), h('span', {}, text)]);
    }
  }

  /** @param {string} look @param {Array<import('./dom.js').Child>} children */
  #put(look, children) {
    this.#shown = look;
    this.dataset.look = look;
    // The same words again would be read out again.
    const next = h('div', {}, ...children);
    if (next.textContent !== this.firstElementChild?.textContent) put(this, next);
  }
}
customElements.define('ad-connection-bar', ConnectionBar);
