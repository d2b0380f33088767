/**
 * The followed sessions, each a cursor over its log: what to ask the server, and what a frame
 * of the server means for it.
 *
 * A following is `idle` (nothing asked yet), `asked`, `replaying` or `live`. Only numbered
 * frames that are next in line get through; a hole makes it ask again after what it has, and so
 * does a `caught_up` that stands above it. Frames that come between asking and `following`
 * belong to an earlier following and are passed over. Pure: frames in, frames and verdicts out.
 */

import { Cursor } from './cursor.js';

/** @typedef {import('./wire.js').ClientFrame} ClientFrame */

export const FOLLOWS_MAX = 200;

class Following {
  /** @type {'idle' | 'asked' | 'replaying' | 'live'} */
  phase = 'idle';
  cursor = new Cursor();
  /** @type {string | null} */
  epoch = null;
  /** The head when the following was authorised: a removal above it ends it. */
  head = 0;
  /** The `ref` of the last `follow`. */
  ref = '';
  /** Whether the server may know of it, so that it must be left before it is asked again. */
  known = false;
  /** Whether the numbers were lost and the application is to be told. */
  reset = false;
  /** Times it was asked for without an event since. */
  attempts = 0;
  /** When it was asked for, or heard of, last. */
  heardAt = 0;
  /** Not to be asked for before. */
  notBefore = 0;

  /** @param {string} sessionId */
  constructor(sessionId) {
    this.sessionId = sessionId;
  }

  /**
   * Where it stands is what the application says; without `after`, at the head.
   * @param {number} [after]
   * @param {string} [epoch]
   */
  place(after, epoch) {
    this.cursor = new Cursor(after ?? null);
    this.epoch = after === undefined ? null : epoch ?? null;
    this.attempts = 0;
    this.notBefore = 0;
    this.reset = false;
    this.phase = 'idle';
  }

  /** Numbers mean nothing any more: from the head on, and tell it. */
  lose() {
    this.place();
    this.reset = true;
  }
}

export class Followings {
  /** @type {Map<string, Following>} */
  #table = new Map();
  #refs = 0;

  get size() { return this.#table.size; }

  /** @param {string} sessionId */
  get(sessionId) { return this.#table.get(sessionId); }

  values() { return this.#table.values(); }

  /** @param {string} sessionId */
  add(sessionId) {
    if (this.size >= FOLLOWS_MAX) {
      throw new RangeError(`At most ${FOLLOWS_MAX} sessions are followed.`);
    }
    const following = new Following(sessionId);
    this.#table.set(sessionId, following);
    return following;
  }

  /** @param {string} sessionId */
  remove(sessionId) { return this.#table.delete(sessionId); }

  /** Whether every one is live. */
  get areLive() {
    for (const following of this.#table.values()) if (following.phase !== 'live') return false;
    return true;
  }

  /**
   * The frames that (again) ask for a session from where its cursor stands.
   * @param {Following} following
   * @param {number} now
   * @returns {ClientFrame[]}
   */
  ask(following, now) {
    const session_id = following.sessionId;
    /** @type {ClientFrame[]} */
    const frames = following.known ? [{ type: 'leave', session_id }] : [];
    following.ref = `follow-${++this.#refs}`;
    following.phase = 'asked';
    following.known = true;
    following.attempts++;
    following.heardAt = now;
    const { ref, cursor, epoch } = following;
    frames.push({
      type: 'follow', session_id, ref,
      ...(cursor.seq === null ? {} : { after: cursor.seq }),
      ...(cursor.seq === null || epoch === null ? {} : { epoch }),
    });
    return frames;
  }

  /** The connection is gone: the server knows of none any more. */
  disconnect() {
    for (const following of this.#table.values()) {
      following.phase = 'idle';
      following.known = false;
      following.notBefore = 0;
    }
  }

  /**
   * A `following` frame.
   * @param {import('./wire.js').FollowingFrame} frame
   * @param {number} now
   * @returns {'ok' | 'reset' | 'lost' | 'ignore'} `lost`: to be asked for again, anew
   */
  onFollowing(frame, now) {
    const following = this.get(frame.session_id);
    if (following?.phase !== 'asked') return 'ignore';
    const { cursor, epoch } = following;
    if (cursor.seq !== null && frame.after !== cursor.seq) return 'ignore';
    if (cursor.seq !== null && epoch !== null && epoch !== frame.session.epoch) {
      following.lose();
      return 'lost';
    }
    cursor.seq ??= frame.after ?? frame.head;
    following.epoch = frame.session.epoch;
    following.head = frame.head;
    following.phase = 'replaying';
    following.heardAt = now;
    const { reset } = following;
    following.reset = false;
    return reset ? 'reset' : 'ok';
  }

  /**
   * A durable event.
   * @param {{session_id: string, seq: number}} frame
   * @param {number} now
   * @returns {'deliver' | 'ignore' | 'gap'}
   */
  onEvent(frame, now) {
    const following = this.get(frame.session_id);
    if (!following || following.phase === 'idle' || following.phase === 'asked') return 'ignore';
    following.heardAt = now;
    const taken = following.cursor.take(frame.seq);
    if (taken === 'next') following.attempts = 0;
    return taken === 'next' ? 'deliver' : taken === 'gap' ? 'gap' : 'ignore';
  }

  /**
   * @param {import('./wire.js').CaughtUp} frame
   * @returns {'live' | 'ignore' | 'gap'}
   */
  onCaughtUp(frame) {
    const following = this.get(frame.session_id);
    if (following?.phase !== 'replaying') return 'ignore';
    if (frame.seq > (following.cursor.seq ?? 0)) return 'gap';
    following.phase = 'live';
    following.attempts = 0;
    return 'live';
  }

  /** The one that an `error` frame answers. @param {string | undefined} ref */
  byRef(ref) {
    if (ref === undefined) return undefined;
    for (const following of this.#table.values()) {
      if (following.phase === 'asked' && following.ref === ref) return following;
    }
    return undefined;
  }

  /**
   * Those to be asked for now: idle ones whose time has come, and those without a word from
   * the server since `silentSince`.
   * @param {number} now
   * @param {number} silentSince
   */
  due(now, silentSince) {
    return [...this.values()].filter((following) => following.phase === 'idle'
      ? following.notBefore <= now
      : following.phase !== 'live' && following.heardAt <= silentSince);
  }
}

/**
 * Whether an event ends a user's following. A removal from before the following was authorised
 * (not above the `head` of then) is history: whoever was added again reads across it.
 * @param {import('./wire.js').SessionEvent} event
 * @param {string | null} userId
 * @param {number} head
 * @returns {'removed' | 'deleted' | null}
 */
export function endOf(event, userId, head) {
  if (event.type === 'session.deleted') return 'deleted';
  const isMine = event.type === 'participant.removed' && event.data.user_id === userId;
  return isMine && event.seq > head ? 'removed' : null;
}
