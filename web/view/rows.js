/**
 * The rows of an open session: what its log holds and what is on its way behind it, each with
 * what depends on its neighbours (a new day, the same author as before, the line above what is
 * new). Two rows with equal `look` and the same item look the same.
 */

import { sendingKey } from '../model/log.js';
import { dayOf } from '../text/dates.js';

const GROUP_MS = 5 * 60_000;

/** @typedef {import('../model/log.js').Item} Item */
/** @typedef {import('../assistdeck-client.js').Sending} Sending */
/**
 * @typedef {object} Row
 * @property {string} key
 * @property {number} seq  Infinity while it is on its way
 * @property {string} at
 * @property {Item} [item]
 * @property {Sending} [sending]
 * @property {boolean} isMine
 * @property {boolean} isNewDay
 * @property {boolean} isFirstNew
 * @property {boolean} isGrouped
 * @property {string[]} readers
 * @property {string} look
 */

export class Rows {
  /** @type {Sending[]} */
  #sendings = [];
  #lastMine = 0;

  /**
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/opened.js').Opened} opened
   */
  constructor(deck, opened) {
    this.deck = deck;
    this.opened = opened;
  }

  refresh() {
    const { deck, opened } = this;
    this.#sendings = deck.live.sendings(opened.id).filter(({ status }) => status !== 'sent');
    this.#lastMine = opened.log.findLast(({ sender_id }) => deck.people.isMe(sender_id))?.seq ?? 0;
  }

  get #items() { return this.opened.log.items; }

  get length() { return this.#items.length + this.#sendings.length; }

  /** @param {number} seq */
  indexOf(seq) { return this.opened.log.indexOf(seq); }

  /** The seq from which on a window begins; what is on its way has none. @param {number} at */
  startAt(at) {
    return this.#items[Math.max(0, Math.min(at, this.#items.length - 1))]?.seq ?? 0;
  }

  /** @param {number} at */
  seqAt(at) { return this.#items[at]?.seq ?? Infinity; }

  /** @param {number} at @returns {Row} */
  at(at) {
    const { deck, opened } = this;
    const item = this.#items[at];
    const sending = item ? undefined : this.#sendings[at - this.#items.length];
    const time = item?.at ?? sending?.created_at ?? '';
    const seq = item?.seq ?? Infinity;
    const isMine = sending ? true : deck.people.isMe(item.message?.sender_id ?? '');
    const before = this.#author(at - 1);
    const isNewDay = before === null || dayOf(before.at) !== dayOf(time);
    const isFirstNew = opened.newFrom !== null && seq >= opened.newFrom
      && (at === 0 || this.seqAt(at - 1) < opened.newFrom);
    const author = this.#author(at);
    const isGrouped = !isNewDay && !isFirstNew && !!before && !!author?.id
      && before.id === author.id && Date.parse(time) - Date.parse(before.at) < GROUP_MS;
    const readers = isMine && seq === this.#lastMine ? opened.presence.readers(seq) : [];
    const look = [isNewDay, isFirstNew, isGrouped, sending?.status, sending?.error?.code,
      author && deck.people.name(author.id), ...readers].join();
    return {
      key: item?.key ?? sendingKey(deck.me.id, sending?.client_id ?? ''),
      seq, at: time, item, sending, isMine, isNewDay, isFirstNew, isGrouped, readers, look,
    };
  }

  /** Who wrote what stands there, and when; a notice is written by nobody. @param {number} at */
  #author(at) {
    if (at < 0) return null;
    const item = this.#items[at];
    if (item) return { id: item.message?.sender_id ?? '', at: item.at };
    const sending = this.#sendings[at - this.#items.length];
    return { id: this.deck.me.id, at: sending?.created_at ?? '' };
  }
}
