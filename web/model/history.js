/**
 * What was said in a session, fetched: the newest messages, older ones, what happened between
 * what we have (`#seq`) and a head, and the names of those who have left.
 *
 * A fetch that a later `load` has overtaken changes nothing any more.
 */

import { Log } from './log.js';

const NEWEST = 60;
const NEWEST_MAX = 400;
const OLDER = 100;
const FILL = 1000;
/** With more pages missing than these, loading anew is cheaper. */
const FILLS_MAX = 3;
/** What happened while we were away is told as long as it is little. */
const TOLD_MAX = 50;
const AGAIN_MS = 2000;

/** @typedef {import('../assistdeck-client.js').Message} Message */
/** @typedef {import('../assistdeck-client.js').Session} Session */
/** @typedef {import('../assistdeck-client.js').SessionEvent} SessionEvent */

export class History {
  log = new Log();
  isLoadingOlder = false;
  /** Whether there is more above. */
  hasOlder = false;
  #seq = 0;
  #epoch = '';
  #isFilling = false;
  #hasAskedNames = false;
  #load = 0;
  #deck;

  /** @param {import('./deck.js').Deck} deck @param {string} id */
  constructor(deck, id) {
    this.#deck = deck;
    this.id = id;
  }

  /** Whether the numbers that we hold still mean something. @param {string} epoch */
  isOf(epoch) { return this.#epoch === epoch; }

  /** What is under way is not wanted any more. */
  cancel() { this.#load++; }

  /**
   * The newest messages, enough to begin where the unread ones begin.
   * @param {number} unread
   * @returns {Promise<Session | null>} null: overtaken
   */
  async load(unread) {
    const load = ++this.#load;
    const { api, sessions } = this.#deck;
    // The number must be older than the messages: what is newer comes by the log.
    const session = sessions.get(this.id) ?? await api.session(this.id);
    const limit = Math.min(NEWEST_MAX, Math.max(NEWEST, unread + 20));
    const page = await api.messages(this.id, { limit });
    if (load !== this.#load) return null;
    this.log = new Log();
    this.#seq = session.last_seq;
    this.#epoch = session.epoch;
    this.hasOlder = page.prev !== null;
    for (const message of page.items) this.put(message);
    return session;
  }

  /** @param {() => void} changed */
  async loadOlder(changed) {
    if (!this.hasOlder || this.isLoadingOlder) return;
    const load = this.#load;
    this.isLoadingOlder = true;
    changed();
    try {
      const query = { before: this.log.items[0]?.seq, limit: OLDER };
      const page = await this.#deck.api.messages(this.id, query);
      if (load !== this.#load) return;
      this.hasOlder = page.prev !== null;
      for (const message of page.items) this.put(message);
    } catch {
      // Scrolling on asks again, after a while.
      await new Promise((done) => { setTimeout(done, AGAIN_MS); });
    } finally {
      this.isLoadingOlder = false;
      changed();
    }
  }

  /**
   * What happened up to a head, in its order. False: too much, or numbers without a meaning.
   * @param {number} head
   * @param {(event: SessionEvent, isTold: boolean) => void} apply
   */
  async fill(head, apply) {
    if (this.#isFilling || head <= this.#seq) return true;
    const load = this.#load;
    this.#isFilling = true;
    try {
      for (let page = 0; this.#seq < head; page++) {
        const query = { after: this.#seq, limit: FILL };
        const { epoch, events } = await this.#deck.api.events(this.id, query);
        if (load !== this.#load) return true;
        if (page === FILLS_MAX || epoch !== this.#epoch || events.length === 0) return false;
        const isTold = page === 0 && events.length <= TOLD_MAX;
        for (const event of events) apply(event, isTold);
        this.#seq = Math.max(this.#seq, events[events.length - 1].seq);
      }
    } finally {
      this.#isFilling = false;
    }
    return true;
  }

  /** An event came live. While a gap is being filled it must not hide the gap.
   * @param {number} seq */
  advance(seq) {
    if (!this.#isFilling && seq === this.#seq + 1) this.#seq = seq;
  }

  /** Whether a message belongs to what is not loaded yet. @param {Message} message */
  isBeyond(message) {
    return this.hasOlder && message.seq < (this.log.items[0]?.seq ?? 0);
  }

  /** @param {Message} message  gives whether anything changed */
  put(message) {
    this.#deck.people.meet(message);
    return this.log.put(message);
  }

  /**
   * Those who left before we came are named at the beginning of the log.
   * @param {(id: string) => boolean} isKnown
   */
  async nameFormer(isKnown) {
    const isUnknown = (/** @type {import('./log.js').Item} */ { message }) => (
      message && !isKnown(message.sender_id));
    if (this.#hasAskedNames || !this.log.items.some(isUnknown)) return false;
    this.#hasAskedNames = true;
    const { api, people } = this.#deck;
    const { events } = await api.events(this.id, { after: 0, limit: FILL });
    const added = events.flatMap((event) => (
      event.type === 'participant.added' ? [event.data] : []));
    people.learn(added);
    return added.length > 0;
  }
}
