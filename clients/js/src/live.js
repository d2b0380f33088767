/**
 * The real-time part: one connection, up to 200 followed sessions, each event once and in
 * order, messages that arrive once however often the network breaks.
 *
 * The face of it all, and the joint: `Connection` carries frames, `Reader` receives, `Sender`
 * sends, `Signals` thins what fingers and eyes produce. What comes out are events (`on`);
 * their names and forms are `LiveEvents` in `client.d.ts`.
 */

import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { environment } from './environment.js';
import { kindOf } from './frames.js';
import { Reader } from './reader.js';
import { Sender } from './sender.js';
import { READ_EVERY_MS, Signals } from './signals.js';

/** @typedef {import('./client.js').State} State */
/** @typedef {import('./client.js').Sending} Sending */

/** @extends {Emitter<import('./client.js').LiveEvents>} */
export class Live extends Emitter {
  #signals = new Signals();
  #connection;
  #reader;
  #sender;
  #env;
  #silenceMs;
  /** @type {unknown} */
  #readTimer = null;
  /** @type {State} */
  #state = { state: 'stopped', reason: 'not_started' };

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./client.js').LiveOptions} [options]
   */
  constructor(api, options = {}) {
    super();
    const env = this.#env = environment(options.environment);
    this.#silenceMs = options.answerTimeoutMs ?? 20_000;
    this.#connection = new Connection(api, env, options, {
      frame: (frame) => this.#hear(frame),
      down: (decision) => this.#down(decision),
      state: (state) => this.#setState(state),
      tick: () => this.#tick(),
    });
    this.#reader = new Reader(env, options, {
      isUp: () => this.#connection.isUp,
      send: (frame) => this.#connection.send(frame),
      emit: (name, value) => this.emit(name, value),
      ended: (sessionId) => this.#signals.forget(sessionId),
      stored: (message) => this.#sender.settle(message.client_id, message),
      changed: () => this.#settle(),
    });
    this.#sender = new Sender(api, env, options, {
      route: (sessionId) => this.#route(sessionId),
      send: (frame) => this.#connection.send(frame),
      told: (sending) => this.emit('sending', sending),
    });
  }

  /** @returns {State} */
  get state() { return this.#state; }

  /** Who I am, once the server has said it. */
  get userId() { return this.#reader.userId; }

  /** Connects, and stays connected until `close` or until the server says to stop. */
  connect() { this.#connection.start(); }

  /** Ends the connection; what is not sent yet fails with `stopped` and can be retried. */
  close() { this.#connection.stop('closed'); }

  /**
   * Follows a session: with `after` (and the `epoch` that the number belongs to) every event
   * since, without it from now on. Following again with `after` moves there.
   * @param {string} sessionId
   * @param {{after?: number, epoch?: string}} [position]
   */
  follow(sessionId, { after, epoch } = {}) { this.#reader.follow(sessionId, after, epoch); }

  /** Follows a session no more. @param {string} sessionId */
  leave(sessionId) {
    this.#tellReads(true);
    this.#signals.forget(sessionId);
    this.#reader.leave(sessionId);
  }

  /**
   * Where a followed session stands, to come back to with `follow`.
   * @param {string} sessionId
   */
  position(sessionId) {
    const following = this.#reader.get(sessionId);
    if (!following || following.cursor.seq === null) return null;
    const { cursor: { seq }, epoch, phase } = following;
    return { after: seq, epoch: epoch ?? undefined, isLive: phase === 'live' };
  }

  /**
   * Sends a message. It is `pending` at once, told by a `sending` event, and settles.
   * @param {string} sessionId
   * @param {import('./wire.js').Draft | string} draft
   * @returns {Sending}
   */
  send(sessionId, draft) {
    this.typing(sessionId, false);
    return this.#sender.send(sessionId, typeof draft === 'string' ? { content: draft } : draft);
  }

  /**
   * Sends a failed message again, under the same `client_id`.
   * @param {string} clientId
   * @returns {Sending | undefined}
   */
  retry(clientId) { return this.#sender.retry(clientId); }

  /** Forgets a failed message. @param {string} clientId */
  discard(clientId) { return this.#sender.discard(clientId); }

  /**
   * The messages that are pending or failed, in the order of writing.
   * @param {string} [sessionId]
   * @returns {Sending[]}
   */
  sendings(sessionId) { return this.#sender.list(sessionId); }

  /**
   * To be called on every key: tells the others at most every three seconds.
   * @param {string} sessionId
   * @param {boolean} isTyping
   */
  typing(sessionId, isTyping) {
    if (this.#route(sessionId) !== 'socket') return;
    const frame = this.#signals.typing(sessionId, isTyping, this.#env.now());
    if (frame) this.#connection.send(frame);
  }

  /**
   * I have read a followed session up to here.
   * @param {string} sessionId
   * @param {number} seq
   */
  read(sessionId, seq) {
    if (!this.#reader.get(sessionId)) return;
    this.#signals.read(sessionId, seq);
    this.#tellReads();
  }

  /** How a session can be reached now. @param {string} sessionId */
  #route(sessionId) {
    if (!this.#connection.isUp) return null;
    const following = this.#reader.get(sessionId);
    if (!following) return 'rest';
    return following.phase === 'live' ? 'socket' : null;
  }

  /** @param {import('./wire.js').ServerFrame} frame */
  #hear(frame) {
    const kind = kindOf(frame);
    if (kind === 'event') this.#reader.onEvent(/** @type {any} */ (frame));
    else if (kind === 'reply') this.#reply(frame);
    else if (kind === 'signal') {
      this.emit(/** @type {any} */ (frame.type), frame);
      if (frame.type === 'session.removed') this.#reader.unfollow(frame.session_id, 'removed');
    } else this.emit('unknown', /** @type {any} */ (frame));
  }

  /** @param {import('./wire.js').ServerFrame} frame */
  #reply(frame) {
    switch (frame.type) {
      case 'hello':
        this.#reader.userId = frame.user_id;
        this.emit('hello', frame);
        this.#reader.connect();
        break;
      case 'following': this.#reader.onFollowing(frame); break;
      case 'caught_up': this.#reader.onCaughtUp(frame); break;
      case 'message.sent': this.#sender.settle(frame.client_id, frame.message); break;
      case 'error': if (!this.#sender.refuse(frame)) this.#reader.onError(frame); break;
    }
  }

  /** @param {import('./closing.js').Decision} decision */
  #down({ action }) {
    this.#reader.disconnect(action === 'reset');
    this.#signals.repeat(this.#env.now());
    this.#sender.disconnect(action === 'mend');
  }

  #tick() {
    this.#reader.tick();
    this.#sender.tick(this.#env.now() - this.#silenceMs);
  }

  /** @param {boolean} [isLast]  now or never */
  #tellReads(isLast = false) {
    const now = this.#env.now() + (isLast ? READ_EVERY_MS : 0);
    const frames = this.#signals.due(now, (sessionId) => this.#route(sessionId) === 'socket');
    for (const frame of frames) this.#connection.send(frame);
    this.#env.clearTimeout(this.#readTimer);
    if (this.#connection.isUp && this.#signals.isBehind) {
      this.#readTimer = this.#env.setTimeout(() => this.#tellReads(), READ_EVERY_MS);
    }
  }

  /** After whatever changed: the state follows, and what may go out goes out. */
  #settle() {
    if (!this.#connection.isUp) return;
    const state = this.#reader.isLive ? 'live' : 'catching-up';
    const transport = this.#connection.kind;
    if (this.#state.state !== state || this.#state.transport !== transport) {
      this.#setState({ state, transport });
    }
    this.#sender.flush();
    this.#tellReads();
  }

  /** @param {State} state */
  #setState(state) {
    this.#state = state;
    if (state.state === 'stopped') {
      this.#reader.disconnect(false);
      this.#env.clearTimeout(this.#readTimer);
      this.#sender.stop();
    }
    this.emit('state', state);
  }
}
