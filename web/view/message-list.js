/**
 * The messages of the open session, of which only a window is in the document.
 *
 * The window is a run of rows, `#from` and `#to` by seq. Near an edge it moves on by a step and
 * lets go of as much at the other end; what is seen stays where it is (`#keepPlace`), whatever
 * comes or goes around it. At its upper end older messages are loaded. At the lower end it
 * sticks: what is new scrolls in.
 */

import { Part, h, put } from './dom.js';
import { MessageActions } from './message-actions.js';
import { messageRow } from './message-row.js';
import { Rows } from './rows.js';

const STEP = 40;
const ROWS_MAX = 160;
/** How close to an edge, in heights of the view, the window moves. */
const NEAR = 1.5;
const END_PX = 48;

/** @typedef {{look: string, item: unknown, li: HTMLLIElement}} Shown */

export class MessageList extends Part {
  #ol = h('ol', { class: 'rows', 'aria-label': 'Messages' });
  #edge = h('div', { class: 'edge' });
  /** @type {Map<string, Shown>} */
  #shown = new Map();
  #from = 0;
  #to = Infinity;
  #isPlanned = false;
  #isPlaced = false;
  #sizes = '';
  #top = 0;
  #rows;
  #deck;
  #opened;

  /**
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/opened.js').Opened} opened
   * @param {import('./message-actions.js').Wishes} wishes
   */
  constructor(deck, opened, wishes) {
    super();
    this.#deck = deck;
    this.#opened = opened;
    this.#rows = new Rows(deck, opened);
    this.actions = new MessageActions(this.#ol, deck, opened, wishes);
  }

  connectedCallback() {
    put(this, this.#edge, this.#ol);
    this.until(this.#opened.on('items', () => this.#plan()));
    this.until(this.#opened.presence.on('changed', () => this.#plan()));
    this.listen(this, 'scroll', () => this.#onScroll(), { passive: true });
    for (const name of ['visibilitychange', 'focus']) {
      this.listen(name === 'focus' ? window : document, name, () => this.#look());
    }
    const sizes = new ResizeObserver(() => { if (this.#deck.isAtEnd) this.#toEnd(); });
    sizes.observe(this);
    sizes.observe(this.#ol);
    this.until(() => sizes.disconnect());
    this.#start();
  }

  /** To the newest, wherever we are. */
  jump() {
    this.#from = this.#rows.startAt(this.#rows.length - STEP);
    this.#to = Infinity;
    this.#setAtEnd(true);
    this.#render();
    this.#toEnd();
  }

  /** @param {boolean} isAtEnd */
  #setAtEnd(isAtEnd) {
    if (this.#deck.isAtEnd === isAtEnd) return;
    this.#deck.isAtEnd = isAtEnd;
    this.dispatchEvent(new Event('end'));
  }

  #start() {
    const { newFrom } = this.#opened;
    this.#rows.refresh();
    const last = this.#rows.length;
    const first = newFrom === null ? last - STEP : this.#rows.indexOf(newFrom) - STEP / 2;
    const start = Math.max(0, Math.min(first, last - STEP));
    this.#from = this.#rows.startAt(start);
    this.#to = start + ROWS_MAX >= last ? Infinity : this.#rows.seqAt(start + ROWS_MAX);
    this.#deck.isAtEnd = true;
    this.#render();
    this.#toEnd();
    const line = this.#ol.querySelector('.new-line');
    if (line) this.scrollTop += line.getBoundingClientRect().top
      - this.getBoundingClientRect().top - this.clientHeight / 4;
    if (this.scrollHeight - this.clientHeight - this.scrollTop < END_PX) this.#toEnd();
    this.#isPlaced = true;
    this.#onScroll();
  }

  /** Renders in the next frame, once for all that happens until then. */
  #plan() {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    const run = () => {
      this.#isPlanned = false;
      if (this.isConnected) this.#render();
    };
    // A page that is not seen gets no frames.
    if (document.hidden) setTimeout(run, 200);
    else requestAnimationFrame(run);
  }

  #render() {
    this.#rows.refresh();
    const { isAtEnd } = this.#deck;
    if (isAtEnd && this.#to === Infinity) this.#trim();
    // What was loaded above comes in at once: without it there may be no room to keep the place.
    else if (this.scrollTop < this.clientHeight * NEAR) this.#extend();
    this.#keepPlace(() => this.#sync());
    if (isAtEnd && this.#to === Infinity) this.#toEnd();
    if (this.#isPlaced) this.#onScroll();
  }

  /** Where the end is in view, what is far above goes. */
  #trim() {
    const start = this.#rows.indexOf(this.#from);
    const { length } = this.#rows;
    if (length - start > ROWS_MAX) this.#from = this.#rows.startAt(length - STEP);
  }

  /** Brings the document in line with the rows of the window; rows that look the same stay. */
  #sync() {
    const rows = this.#rows;
    const start = rows.indexOf(this.#from);
    const end = this.#to === Infinity ? rows.length : rows.indexOf(this.#to);
    const focused = document.activeElement?.closest('li.row');
    const old = this.#shown;
    this.#shown = new Map();
    let place = this.#ol.firstElementChild;
    for (let at = start; at < end; at++) {
      const row = rows.at(at);
      const item = row.item ?? row.sending;
      const known = old.get(row.key);
      const isSame = known?.look === row.look && known.item === item;
      const li = isSame ? known.li : messageRow(row, this.#deck);
      this.#shown.set(row.key, { look: row.look, item, li });
      if (known) old.delete(row.key);
      if (li === place) place = place.nextElementSibling;
      else this.#ol.insertBefore(li, place);
      if (known && !isSame) {
        if (place === known.li) place = place.nextElementSibling;
        this.actions.replaced(known.li, li, known.li === focused);
        known.li.remove();
      }
    }
    for (const { li } of old.values()) li.remove();
    this.actions.settle();
    this.#showEdge(start === 0);
  }

  /** @param {boolean} isFirst */
  #showEdge(isFirst) {
    const { hasOlder, isLoadingOlder } = this.#opened;
    const look = hasOlder ? 'older' : isFirst ? 'start' : '';
    this.setAttribute('aria-busy', String(isLoadingOlder));
    if (this.#edge.dataset.look === look) return;
    this.#edge.dataset.look = look;
    if (look === 'older') {
      put(this.#edge, h('span', { class: 'spinner' }), 'Loading earlier messages…');
    } else put(this.#edge, look === 'start' && 'This is where the session begins.');
  }

  /** Changes something while what is seen stays where it is. @param {() => void} change */
  #keepPlace(change) {
    const top = this.getBoundingClientRect().top;
    const isSeen = (/** @type {Element} */ li) => li.getBoundingClientRect().bottom > top + 1;
    // Rows stand in their order, so the first one that is seen is found by halving.
    const rows = this.#ol.children;
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isSeen(rows[middle])) high = middle;
      else low = middle + 1;
    }
    const seen = [...rows].slice(low, low + 12).map((li) => ({
      li, place: li.getBoundingClientRect().top,
    }));
    change();
    const anchor = seen.find(({ li }) => li.isConnected);
    if (!anchor) return;
    const moved = anchor.li.getBoundingClientRect().top - anchor.place;
    if (Math.abs(moved) >= 1) this.scrollTop += moved;
  }

  #toEnd() { this.scrollTop = this.scrollHeight; }

  #onScroll() {
    const { scrollTop, clientHeight, scrollHeight } = this;
    // What grows or shrinks beside us is no scrolling: the end stays in view.
    const sizes = `${clientHeight} ${scrollHeight}`;
    const isPushed = sizes !== this.#sizes && scrollTop >= this.#top - 1;
    this.#sizes = sizes;
    if (isPushed && this.#deck.isAtEnd && this.#to === Infinity) this.#toEnd();
    this.#top = this.scrollTop;
    const below = scrollHeight - clientHeight - this.#top;
    const isAtEnd = this.#to === Infinity && below < END_PX;
    this.#setAtEnd(isAtEnd);
    if (scrollTop < clientHeight * NEAR) this.#up();
    else if (below < clientHeight * NEAR) this.#down();
    this.#look();
  }

  #up() {
    const start = this.#rows.indexOf(this.#from);
    if (start < STEP * 2) this.#opened.loadOlder();
    if (start > 0) this.#plan();
  }

  /** Moves the window up by a step. */
  #extend() {
    const start = this.#rows.indexOf(this.#from);
    if (start === 0) return;
    const first = Math.max(0, start - STEP);
    this.#from = this.#rows.startAt(first);
    if (this.#rows.length - first > ROWS_MAX) {
      const last = this.#to === Infinity ? this.#rows.length : this.#rows.indexOf(this.#to);
      // What is on its way has no seq to end at; it stays with the rest of the end.
      if (last - first > ROWS_MAX) this.#to = this.#rows.seqAt(first + ROWS_MAX);
    }
  }

  #down() {
    if (this.#to === Infinity) return;
    const last = this.#rows.indexOf(this.#to) + STEP;
    this.#to = last >= this.#rows.length ? Infinity : this.#rows.seqAt(last);
    const first = Math.min(last, this.#rows.length) - ROWS_MAX;
    if (first > this.#rows.indexOf(this.#from)) this.#from = this.#rows.startAt(first);
    this.#plan();
  }

  /** Marks what is in view as read. */
  #look() {
    if (document.hidden || !document.hasFocus() || this.#opened.phase !== 'ready') return;
    if (this.#deck.isAtEnd) {
      this.#opened.markRead(this.#opened.log.items.at(-1)?.seq ?? 0);
      return;
    }
    const { bottom } = this.getBoundingClientRect();
    for (let li = this.#ol.lastElementChild; li; li = li.previousElementSibling) {
      if (li.getBoundingClientRect().top > bottom - 20) continue;
      const seq = Number(/** @type {HTMLElement} */ (li).dataset.seq ?? 0);
      if (seq) this.#opened.markRead(seq);
      return;
    }
  }
}
customElements.define('ad-message-list', MessageList);
