/**
 * One session while it is open (and a while longer, to come back to quickly): its messages,
 * members, who is here, who types, what is read.
 *
 * It is followed without a position: only then does the server say who is a member and who is
 * online. What happened between what we have (`#seq`) and the head at which the following
 * begins is fetched from the log. Order does not matter then: `Log` puts everything by id.
 */

import { ApiError } from '../assistdeck-client.js';
import { Log } from './log.js';
import { Presence } from './presence.js';
import { Source } from './source.js';

const NEWEST = 60;
const NEWEST_MAX = 400;
const OLDER = 100;
const FILL = 1000;
/** With more than this many pages missing, loading anew is cheaper. */
const FILLS_MAX = 3;

/** @typedef {import('../assistdeck-client.js').Message} Message */
/** @typedef {import('../assistdeck-client.js').Session} Session */
/** @typedef {import('../assistdeck-client.js').SessionEvent} SessionEvent */
/** @typedef {import('../assistdeck-client.js').Page<Message>} MessagePage */
/**
 * @typedef {object} OpenedEvents
 * @property {void} phase
 * @property {void} items
 * @property {void} session
 * @property {Message} message  somebody else's, just now
 * @property {void} read
 */

/** @extends {Source<OpenedEvents>} */
export class Opened extends Source {
  /** @type {'loading' | 'ready' | 'failed' | 'gone'} */
  phase = 'loading';
  /** Why it is gone or failed. */
  reason = '';
  log = new Log();
  /** @type {Session | undefined} */
  session;
  /** The first seq that was unread when we looked, for the line above it. */
  /** @type {number | null} */
  newFrom = null;
  isLoadingOlder = false;
  /** Up to here I have read. */
  readSeq = 0;
  /** @type {MessagePage['prev']} */
  #older = null;
  #seq = 0;
  #epoch = '';
  #isFilling = false;
  #load = 0;
  #deck;

  /**
   * @param {import('./deck.js').Deck} deck
   * @param {string} id
   */
  constructor(deck, id) {
    super();
    this.#deck = deck;
    this.id = id;
    this.session = deck.sessions.get(id);
    this.presence = new Presence(deck.people);
  }

  get isOwner() { return this.session?.user_id === this.#deck.me.id; }

  get hasOlder() { return this.#older !== null; }

  get title() { return this.session?.title ?? ''; }

  /** Messages of others that I have not read. */
  get unread() { return this.log.countAbove(this.readSeq, this.#deck.me.id); }

  /** Looks at it, from now on until `leave`. */
  follow() {
    this.#deck.live.follow(this.id);
    if (this.phase !== 'ready') this.load();
  }

  leave() {
    this.newFrom = null;
    this.presence.forget();
    this.#deck.live.leave(this.id);
  }

  /** Loads the newest messages; also again, after a failure. */
  async load() {
    const load = ++this.#load;
    this.phase = 'loading';
    this.tell('phase', undefined);
    try {
      const { api, sessions, me } = this.#deck;
      await sessions.first;
      // The number must be older than the messages: what is newer comes by the log.
      const session = sessions.get(this.id) ?? await api.session(this.id);
      const unread = sessions.get(this.id)?.unread_count ?? 0;
      const limit = Math.min(NEWEST_MAX, Math.max(NEWEST, unread + 20));
      const page = await api.messages(this.id, { limit });
      if (load !== this.#load) return;
      this.log = new Log();
      this.#take(session, page);
      this.newFrom = unread > 0 ? this.log.firstOfLast(unread, me.id) : null;
      const newest = this.log.items.at(-1)?.seq ?? 0;
      this.readSeq = this.newFrom ? this.newFrom - 1 : unread > 0 ? 0 : newest;
      this.phase = 'ready';
      this.tell('phase', undefined);
    } catch (error) {
      if (load === this.#load) this.#fail(error);
    }
  }

  /** @param {Session} session @param {MessagePage} page */
  #take(session, page) {
    this.session = session;
    this.#seq = session.last_seq;
    this.#epoch = session.epoch;
    this.#older = page.prev;
    for (const message of page.items) this.#put(message);
    this.#askFormer();
    const head = this.#deck.headOf(this.id);
    if (head) this.#fill(head);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!(error instanceof ApiError)) throw error;
    if (['session_not_found', 'not_a_member', 'invalid_id'].includes(error.code)) {
      this.end(error.code);
      return;
    }
    this.phase = 'failed';
    this.reason = error.code;
    this.tell('phase', undefined);
  }

  async loadOlder() {
    if (!this.#older || this.isLoadingOlder) return;
    this.isLoadingOlder = true;
    this.tell('items', undefined);
    const load = this.#load;
    try {
      const page = await this.#deck.api.messages(this.id,
        { before: this.log.items[0]?.seq, limit: OLDER });
      if (load !== this.#load) return;
      this.#older = page.prev;
      for (const message of page.items) this.#put(message);
      this.#askFormer();
    } catch {
      // Scrolling on asks again.
      await new Promise((done) => setTimeout(done, 2000));
    } finally {
      this.isLoadingOlder = false;
      this.tell('items', undefined);
    }
  }

  /** @param {import('../assistdeck-client.js').FollowingFrame} frame */
  onFollowing(frame) {
    // Without the lists it is the client coming back; it brings what was missed by itself.
    if (!frame.participants) return;
    this.presence.set(frame.participants, frame.online);
    if (this.phase !== 'ready') {
      if (this.phase === 'failed') this.load();
      return;
    }
    if (frame.session.epoch !== this.#epoch) this.load();
    else this.#fill(frame.head);
    this.#setSession(frame.session);
  }

  /** The numbers mean nothing any more. */
  onReset() { this.load(); }

  /** @param {number} head */
  async #fill(head) {
    if (this.#isFilling || head <= this.#seq) return;
    this.#isFilling = true;
    try {
      for (let page = 0; this.#seq < head; page++) {
        const query = { after: this.#seq, limit: FILL };
        const { epoch, events } = await this.#deck.api.events(this.id, query);
        if (page === FILLS_MAX || epoch !== this.#epoch || events.length === 0) {
          this.load();
          return;
        }
        for (const event of events) this.#apply(event, page === 0 && events.length < 50);
        this.#seq = Math.max(this.#seq, events[events.length - 1].seq);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The next following asks again.
    } finally {
      this.#isFilling = false;
      this.tell('items', undefined);
    }
  }

  /** @param {SessionEvent} event  live, or replayed */
  onEvent(event) {
    if (this.phase !== 'ready') return;
    if (!this.#isFilling && event.seq === this.#seq + 1) this.#seq = event.seq;
    this.#apply(event, true);
    this.tell('items', undefined);
  }

  /** @param {SessionEvent} event @param {boolean} isTold  whether it is worth a notice */
  #apply(event, isTold) {
    switch (event.type) {
      case 'message.created':
      case 'message.updated':
        this.#onMessage(event);
        break;
      case 'message.deleted': this.log.delete(event.data.id); break;
      case 'session.updated': this.#setSession(event.data); break;
      default: this.presence.apply(event);
    }
    const isNotice = event.type.startsWith('participant.') || event.type === 'session.updated';
    if (isNotice && isTold) this.log.note(event);
  }

  /** @param {SessionEvent & {type: 'message.created' | 'message.updated'}} event */
  #onMessage({ type, data: message }) {
    // A change of what was not loaded is loaded with the rest.
    const oldest = this.log.items[0]?.seq ?? 0;
    if (message.seq < oldest && this.hasOlder) return;
    const isNew = !this.log.get(message.id);
    if (!this.#put(message)) return;
    this.presence.stopTyping(message.sender_id);
    if (type !== 'message.created' || !isNew || this.#deck.people.isMe(message.sender_id)) return;
    if (!this.#deck.isWatching(this) && (this.newFrom ?? 0) <= this.readSeq) {
      this.newFrom = message.seq;
    }
    this.tell('message', message);
  }

  /** My own message, as the server has it now. @param {Message} message */
  onStored(message) {
    if (this.phase === 'ready' && this.#put(message)) this.newFrom = null;
    this.tell('items', undefined);
  }

  /** @param {string} messageId */
  onDeleted(messageId) {
    if (this.log.delete(messageId)) this.tell('items', undefined);
  }

  /** @param {number} seq  what was in view */
  markRead(seq) {
    if (seq <= this.readSeq) return;
    this.readSeq = seq;
    this.#deck.live.read(this.id, seq);
    this.tell('read', undefined);
  }

  /** Somebody's mark, or my own from another device. @param {string} user @param {number} seq */
  onRead(user, seq) {
    if (!this.#deck.people.isMe(user)) {
      this.presence.read(user, seq);
      this.tell('items', undefined);
    } else if (seq > this.readSeq) {
      this.readSeq = seq;
      this.tell('read', undefined);
    }
  }

  /** It is not mine any more, for good. @param {string} reason */
  end(reason) {
    this.#load++;
    this.phase = 'gone';
    this.reason = reason;
    this.tell('phase', undefined);
  }

  /** @param {Session} session */
  #setSession(session) {
    this.session = { ...this.session, ...session };
    this.tell('session', undefined);
  }

  /** @param {Message} message */
  #put(message) {
    this.#deck.people.meet(message);
    return this.log.put(message);
  }

  /** Those who left before we came are named at the beginning of the log. */
  async #askFormer() {
    const { api, people } = this.#deck;
    const isFormer = ({ message } = /** @type {import('./log.js').Item} */ ({})) => (
      message && !people.knows(message.sender_id) && !this.presence.members.has(message.sender_id));
    if (this.#hasAsked || !this.log.items.some(isFormer)) return;
    this.#hasAsked = true;
    try {
      const { events } = await api.events(this.id, { after: 0, limit: FILL });
      people.learn(events.flatMap((event) => (
        event.type === 'participant.added' ? [event.data] : [])));
      this.tell('items', undefined);
    } catch {
      // Then they have no name.
    }
  }

  #hasAsked = false;
}
