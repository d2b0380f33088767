/**
 * One session while it is open (and a while longer, to come back to quickly): its messages,
 * members, who is here, who types, what is read.
 *
 * It is followed without a position: only then does the server say who is a member and who is
 * online. What happened between what we have and the head at which the following begins is
 * fetched from the log. Order does not matter then: `Log` puts everything by id.
 */

import { ApiError } from '../assistdeck-client.js';
import { plain } from '../text/plain.js';
import { History } from './history.js';
import { Presence } from './presence.js';
import { Source } from './source.js';

/** @typedef {import('../assistdeck-client.js').Message} Message */
/** @typedef {import('../assistdeck-client.js').Session} Session */
/** @typedef {import('../assistdeck-client.js').SessionEvent} SessionEvent */
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
  /** @type {Session | undefined} */
  session;
  /** @type {number | null} the first seq that was unread when we looked: a line stands above */
  newFrom = null;
  /** Up to here I have read. */
  readSeq = 0;
  /** The head at which it is followed now. */
  #head = 0;
  #deck;
  #history;

  /** @param {import('./deck.js').Deck} deck @param {string} id */
  constructor(deck, id) {
    super();
    this.#deck = deck;
    this.id = id;
    this.session = deck.sessions.get(id);
    this.presence = new Presence(deck.people);
    this.#history = new History(deck, id);
  }

  get log() { return this.#history.log; }

  get hasOlder() { return this.#history.hasOlder; }

  get isLoadingOlder() { return this.#history.isLoadingOlder; }

  get isOwner() { return this.session?.user_id === this.#deck.me.id; }

  get title() { return plain(this.session?.title ?? '…'); }

  /** Messages of others that I have not read. */
  get unread() { return this.log.countAbove(this.readSeq, this.#deck.me.id); }

  /** Looks at it, from now on until `leave`. */
  follow() {
    this.#deck.live.follow(this.id);
    if (this.phase !== 'ready') this.load();
  }

  leave() {
    this.newFrom = null;
    this.#head = 0;
    this.presence.forget();
    this.#deck.live.leave(this.id);
  }

  /** Loads the newest messages; also again, after a failure. */
  async load() {
    this.phase = 'loading';
    this.tell('phase', undefined);
    const { sessions, me } = this.#deck;
    try {
      await sessions.first;
      const unread = sessions.get(this.id)?.unread_count ?? 0;
      const session = await this.#history.load(unread);
      if (!session) return;
      this.session = session;
      this.newFrom = unread > 0 ? this.log.firstOfLast(unread, me.id) : null;
      const newest = this.log.items.at(-1)?.seq ?? 0;
      this.readSeq = this.newFrom ? this.newFrom - 1 : unread > 0 ? 0 : newest;
      this.phase = 'ready';
      this.tell('phase', undefined);
      this.#nameFormer();
      if (this.#head) this.#fill(this.#head);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!(error instanceof ApiError)) throw error;
    if (['session_not_found', 'not_a_member', 'invalid_id'].includes(error.code)) {
      this.end(error.code);
    } else if (this.phase === 'loading') {
      this.phase = 'failed';
      this.reason = error.code;
      this.tell('phase', undefined);
    }
  }

  async loadOlder() {
    await this.#history.loadOlder(() => this.tell('items', undefined));
    this.#nameFormer();
  }

  /** @param {import('../assistdeck-client.js').FollowingFrame} frame */
  onFollowing(frame) {
    // Without the lists it is the client coming back; it brings what was missed by itself.
    if (!frame.participants) return;
    this.#head = frame.head;
    this.#setSession(frame.session);
    this.presence.set(frame.participants, frame.online);
    if (this.phase === 'failed') this.load();
    if (this.phase !== 'ready') return;
    if (this.#history.isOf(frame.session.epoch)) this.#fill(frame.head);
    else this.load();
  }

  /** The numbers mean nothing any more. */
  onReset() { this.load(); }

  /** @param {number} head */
  async #fill(head) {
    try {
      const isWhole = await this.#history.fill(head, (event, isTold) => this.#apply(event, isTold));
      if (isWhole) this.tell('items', undefined);
      else this.load();
    } catch (error) {
      // The next following asks again.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** @param {SessionEvent} event  live, or replayed */
  onEvent(event) {
    if (this.phase !== 'ready') return;
    this.#history.advance(event.seq);
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
    if (this.#history.isBeyond(message)) return;
    const isNew = !this.log.get(message.id);
    if (!this.#history.put(message)) return;
    this.presence.stopTyping(message.sender_id);
    if (type !== 'message.created' || !isNew || this.#deck.people.isMe(message.sender_id)) return;
    if (!this.#deck.isWatching(this) && (this.newFrom ?? 0) <= this.readSeq) {
      this.newFrom = message.seq;
    }
    this.tell('message', message);
  }

  /** My own message, as the server has it now. @param {Message} message */
  onStored(message) {
    if (this.phase === 'ready' && this.#history.put(message)) this.newFrom = null;
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
    this.#history.cancel();
    this.phase = 'gone';
    this.reason = reason;
    this.tell('phase', undefined);
  }

  /** @param {Session} session */
  #setSession(session) {
    this.session = { ...this.session, ...session };
    this.tell('session', undefined);
  }

  async #nameFormer() {
    try {
      const { people } = this.#deck;
      // The list of members may still be on its way.
      if (!this.presence.isKnown) await new Promise((done) => { setTimeout(done, 1000); });
      if (await this.#history.nameFormer((id) => people.knows(id))) this.tell('items', undefined);
    } catch {
      // Then they have no name.
    }
  }
}
