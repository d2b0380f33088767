/**
 * Sends messages so that each arrives once: shown at once, repeated until answered.
 *
 * Every message has a `client_id` from its birth, by which the server knows a repeat. It is
 * `sent` when the server's answer or its own event comes, whichever is first, and `failed` when
 * the server refuses it for good. It goes over the connection where its session is followed
 * there, else by REST.
 */

import { Backoff } from './backoff.js';
import { newClientId } from './environment.js';
import { ApiError } from './error.js';
import { Outbox } from './outbox.js';
import { Post } from './post.js';

const IN_FLIGHT_MAX = 32;
const CONTENT_BYTES_MAX = 65_536;
const FILE_URL_CHARS_MAX = 2_048;
const ATTEMPTS_MAX = 10;

/** @typedef {import('./client.js').Sending} Sending */
/** @typedef {import('./wire.js').Message} Message */
/**
 * @typedef {{-readonly [K in keyof Sending]: Sending[K]} & {
 *   resolve: (message: Message) => void, reject: (error: ApiError) => void,
 * }} Draft
 */
/**
 * @typedef {object} Owner
 * @property {(sessionId: string) => 'socket' | 'rest' | null} route
 * @property {(frame: import('./wire.js').MessageSend) => void} send
 * @property {(sending: Sending) => void} told
 */

export class Sender {
  /** @type {Outbox<Draft>} */
  #outbox;
  #post;
  #env;
  #owner;
  #backoff;
  /** @type {unknown} */
  #timer = null;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./client.js').Environment} env
   * @param {import('./client.js').LiveOptions} options
   * @param {Owner} owner
   */
  constructor(api, env, options, owner) {
    this.#post = new Post(api);
    this.#env = env;
    this.#owner = owner;
    this.#outbox = new Outbox(IN_FLIGHT_MAX, options.queueMax ?? 500);
    this.#backoff = new Backoff(options.backoffMs ?? 1_000, options.backoffMaxMs ?? 30_000,
      env.random);
  }

  /**
   * @param {string} session_id
   * @param {import('./wire.js').Draft} draft
   * @returns {Sending}
   */
  send(session_id, { content, file_url, is_ai_message, client_id = newClientId() }) {
    const known = this.#outbox.get(client_id);
    if (known) return known;
    /** @type {Draft} */
    const sending = {
      client_id, session_id, content, file_url, is_ai_message,
      created_at: new Date(this.#env.now()).toISOString(),
      status: 'pending', ...promise(),
    };
    const error = this.#outbox.isFull
      ? new ApiError(0, 'queue_full', 'Too many messages wait to be sent.') : tooLarge(sending);
    if (error) {
      this.#settled(sending, error);
      return sending;
    }
    this.#outbox.add(sending);
    this.#owner.told(sending);
    this.flush();
    return sending;
  }

  /** @param {string} clientId */
  retry(clientId) {
    const entry = this.#outbox.get(clientId);
    if (entry?.phase !== 'failed') return entry;
    Object.assign(entry, { status: 'pending', error: undefined, attempts: 0 }, promise());
    this.#outbox.wait(entry);
    this.#owner.told(entry);
    this.flush();
    return entry;
  }

  /** @param {string} clientId */
  discard(clientId) {
    return this.#outbox.get(clientId)?.phase === 'failed' && !!this.#outbox.settle(clientId);
  }

  /** @param {string} [sessionId] */
  list(sessionId) {
    return this.#outbox.values()
      .filter((entry) => sessionId === undefined || entry.session_id === sessionId);
  }

  /** Sends whatever may go. */
  flush() {
    for (;;) {
      const entry = this.#outbox.take(this.#env.now(), (id) => this.#owner.route(id) !== null);
      if (!entry) return;
      const { client_id, session_id, content, file_url, is_ai_message } = entry;
      /** @type {import('./wire.js').MessageSend} */
      const frame = {
        type: 'message.send', session_id, client_id, content, file_url, is_ai_message,
      };
      if (this.#owner.route(session_id) === 'socket') this.#owner.send(frame);
      else this.#post.send(frame, (answer) => this.#answered(answer));
    }
  }

  /** @param {import('./wire.js').MessageSent | import('./wire.js').ErrorFrame} answer */
  #answered(answer) {
    if (answer.type === 'error') this.refuse(answer);
    else this.settle(answer.client_id, answer.message);
  }

  /**
   * The server has it.
   * @param {string | undefined} clientId
   * @param {Message} message
   */
  settle(clientId, message) {
    const entry = this.#outbox.get(clientId);
    if (entry?.session_id !== message.session_id) return;
    this.#outbox.settle(clientId);
    this.#settled(entry, message);
    this.flush();
  }

  /**
   * The server said no: for now, or for good. Gives whether it was about one of ours.
   * @param {import('./wire.js').ErrorFrame} frame
   */
  refuse(frame) {
    const entry = this.#outbox.get(frame.client_id);
    if (entry?.phase !== 'inflight') return entry !== undefined;
    const retryAfter = frame.retry_after ?? null;
    const error = new ApiError(0, frame.code, frame.error, { retryAfter });
    if (error.isTransient && entry.attempts < ATTEMPTS_MAX) this.#again(entry, error);
    else {
      this.#outbox.fail(entry);
      this.#settled(entry, error);
      this.flush();
    }
    return true;
  }

  /**
   * @param {Draft & import('./outbox.js').Entry} entry
   * @param {ApiError} error
   */
  #again(entry, error) {
    const wait = Math.max((error.retryAfter ?? 0) * 1000,
      this.#backoff.ceiling(entry.attempts++) * (0.5 + this.#env.random() / 2));
    this.#outbox.wait(entry, this.#env.now() + wait);
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(() => this.flush(), wait);
  }

  /** The connection broke: all that was in flight waits to be repeated, or must not be. */
  disconnect(isBroken = false) {
    this.#post.drop();
    for (const entry of this.#outbox.overdue(Infinity)) {
      if (!isBroken) this.#outbox.wait(entry);
      else {
        this.#outbox.fail(entry);
        this.#settled(entry, new ApiError(0, 'protocol_error', 'The server broke off at this.'));
      }
    }
  }

  /** What had no answer since `time` is repeated. @param {number} time */
  tick(time) {
    for (const entry of this.#outbox.overdue(time)) this.#outbox.wait(entry);
    this.flush();
  }

  /** Everything that is not sent fails; it can be retried. */
  stop() {
    this.#env.clearTimeout(this.#timer);
    this.#post.drop();
    for (const entry of this.#outbox.values()) {
      if (entry.phase === 'failed') continue;
      this.#outbox.fail(entry);
      this.#settled(entry, new ApiError(0, 'stopped', 'The connection was ended.'));
    }
  }

  /**
   * @param {Draft} sending
   * @param {Message | ApiError} outcome
   */
  #settled(sending, outcome) {
    if (outcome instanceof ApiError) {
      sending.status = 'failed';
      sending.error = outcome;
      sending.reject(outcome);
    } else {
      sending.status = 'sent';
      sending.message = outcome;
      sending.resolve(outcome);
    }
    this.#owner.told(sending);
  }
}

/** What is too large would break the connection for everything else. @param {Draft} sending */
function tooLarge({ content, file_url = '' }) {
  const isTooLarge = new TextEncoder().encode(content).length > CONTENT_BYTES_MAX
    || file_url.length > FILE_URL_CHARS_MAX;
  return isTooLarge && new ApiError(413, 'content_too_large', 'The message is too long.');
}

/** A promise that nobody has to wait for. */
function promise() {
  /** @type {(message: Message) => void} */
  let resolve = () => {};
  /** @type {(error: ApiError) => void} */
  let reject = () => {};
  /** @type {Promise<Message>} */
  const done = new Promise((yes, no) => { resolve = yes; reject = no; });
  done.catch(() => {});
  return { done, resolve, reject };
}
