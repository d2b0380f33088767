/**
 * The receiving half: frames in, each event of a followed session out, once and in order.
 *
 * `Followings` says what a frame means; this part acts on it: asks again where something is
 * missing, at once and then with growing waits; tells the application of a reset where numbers
 * lost their meaning; ends the following of who was removed.
 */

import { Backoff } from './backoff.js';
import { Followings, endOf } from './followings.js';

/** @typedef {NonNullable<ReturnType<Followings['get']>>} Following */
/** @typedef {import('./client.js').LiveEvents} LiveEvents */
/**
 * @typedef {object} Owner
 * @property {() => boolean} isUp
 * @property {(frame: import('./wire.js').ClientFrame) => void} send
 * @property {<Name extends keyof LiveEvents>(name: Name, value: LiveEvents[Name]) => void} emit
 * @property {(message: import('./wire.js').Message) => void} stored  one of my own came by
 * @property {(sessionId: string) => void} ended  a session is not followed any more
 * @property {() => void} changed  a session became live, or is not any more
 */

const TRANSIENT = new Set(['unavailable', 'rate_limited', 'internal']);

export class Reader {
  #followings = new Followings();
  /** @type {string | null} */
  userId = null;
  #env;
  #owner;
  #silenceMs;
  #backoff;

  /**
   * @param {import('./client.js').Environment} env
   * @param {import('./client.js').LiveOptions} options
   * @param {Owner} owner
   */
  constructor(env, options, owner) {
    this.#env = env;
    this.#owner = owner;
    this.#silenceMs = options.answerTimeoutMs ?? 20_000;
    this.#backoff = new Backoff(1_000, 30_000, env.random);
  }

  /** Whether every followed session is caught up. */
  get isLive() { return this.#followings.areLive; }

  /** @param {string} sessionId */
  get(sessionId) { return this.#followings.get(sessionId); }

  /**
   * @param {string} sessionId
   * @param {number} [after]
   * @param {string} [epoch]
   */
  follow(sessionId, after, epoch) {
    const old = this.#followings.get(sessionId);
    if (old && after === undefined) return;
    const following = old ?? this.#followings.add(sessionId);
    following.place(after, epoch);
    this.#ask(following);
  }

  /** @param {string} sessionId */
  leave(sessionId) {
    const following = this.#followings.get(sessionId);
    if (!following) return;
    this.#followings.remove(sessionId);
    if (following.known) this.#owner.send({ type: 'leave', session_id: sessionId });
    this.#owner.changed();
  }

  /**
   * The server follows it no more.
   * @param {string} session_id
   * @param {string} reason
   */
  unfollow(session_id, reason) {
    if (!this.#followings.remove(session_id)) return;
    this.#owner.ended(session_id);
    this.#owner.emit('unfollowed', { session_id, reason });
    this.#owner.changed();
  }

  /** A connection is there. */
  connect() {
    for (const following of [...this.#followings.values()]) {
      if (following.phase === 'idle') this.#ask(following);
    }
    this.#owner.changed();
  }

  /** It is gone. @param {boolean} isLost  and so are the numbers */
  disconnect(isLost) {
    this.#followings.disconnect();
    if (isLost) for (const following of this.#followings.values()) following.lose();
  }

  /** Asks for what is due, or has been without an answer for too long. */
  tick() {
    const now = this.#env.now();
    const due = this.#followings.due(now, now - this.#silenceMs);
    for (const following of due) this.#ask(following);
  }

  /** @param {import('./wire.js').SessionEvent} event */
  onEvent(event) {
    const verdict = this.#followings.onEvent(event, this.#env.now());
    const following = this.#followings.get(event.session_id);
    if (!following || verdict === 'ignore') return;
    if (verdict === 'gap') {
      this.#askAgain(following);
      return;
    }
    if (event.type === 'message.created' && event.data.sender_id === this.userId) {
      this.#owner.stored(event.data);
    }
    this.#owner.emit('event', event);
    this.#owner.emit(event.type, /** @type {any} */ (event));
    const end = endOf(event, this.userId, following.head);
    if (end) this.unfollow(event.session_id, end);
  }

  /** @param {import('./wire.js').FollowingFrame} frame */
  onFollowing(frame) {
    const verdict = this.#followings.onFollowing(frame, this.#env.now());
    const following = this.#followings.get(frame.session_id);
    if (!following || verdict === 'ignore') return;
    if (verdict === 'lost') {
      this.#ask(following);
      return;
    }
    const { session_id, session, head } = frame;
    if (verdict === 'reset') this.#owner.emit('reset', { session_id, session, head });
    this.#owner.emit('following', frame);
  }

  /** @param {import('./wire.js').CaughtUp} frame */
  onCaughtUp(frame) {
    const verdict = this.#followings.onCaughtUp(frame);
    const following = this.#followings.get(frame.session_id);
    if (verdict === 'gap' && following) this.#askAgain(following);
    if (verdict !== 'live') return;
    this.#owner.emit('caught_up', frame);
    this.#owner.changed();
  }

  /** @param {import('./wire.js').ErrorFrame & {session_id?: string}} frame */
  onError(frame) {
    const following = this.#followings.byRef(frame.ref);
    if (following) following.known = false;
    if (frame.code === 'position_unknown') {
      const hit = following ?? this.#followings.get(frame.session_id ?? '');
      for (const lost of hit ? [hit] : [...this.#followings.values()]) {
        lost.lose();
        this.#ask(lost);
      }
    } else if (!following) this.#owner.emit('error', frame);
    else if (TRANSIENT.has(frame.code)) this.#askAgain(following, 1);
    else this.unfollow(following.sessionId, frame.code);
  }

  /** @param {Following} following */
  #ask(following) {
    if (!this.#owner.isUp()) return;
    const frames = this.#followings.ask(following, this.#env.now());
    for (const frame of frames) this.#owner.send(frame);
    this.#owner.changed();
  }

  /**
   * Asks again, at once for the first times, then after waits that grow while nothing comes
   * of it.
   * @param {Following} following
   * @param {number} [free]  how often at once
   */
  #askAgain(following, free = 2) {
    if (following.attempts < free) {
      this.#ask(following);
      return;
    }
    const wait = this.#backoff.ceiling(following.attempts - free) * this.#env.random();
    following.phase = 'idle';
    following.notBefore = this.#env.now() + wait;
    this.#owner.changed();
  }
}
