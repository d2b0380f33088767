/**
 * Messages by REST, in the words of the socket: so that those who send need not know which way
 * it went. One at a time, for requests side by side would arrive in any order; and when one is
 * to come again later, those of its session behind it are not tried before it.
 */

import { ApiError } from './error.js';

/** @typedef {import('./wire.js').MessageSend} MessageSend */
/** @typedef {import('./wire.js').MessageSent | import('./wire.js').ErrorFrame} Answer */
/** @typedef {{error: ApiError | null}} Line  of a session, up to an error that passes */

export class Post {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {Map<string, Line>} */
  #lines = new Map();
  #round = 0;
  #api;

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Sends when its turn has come; the answer is what a socket would have brought.
   * @param {MessageSend} frame
   * @param {(answer: Answer) => void} answered
   */
  send(frame, answered) {
    const round = this.#round;
    const line = this.#lines.get(frame.session_id) ?? { error: null };
    this.#lines.set(frame.session_id, line);
    this.#last = this.#last.then(async () => {
      if (round === this.#round) answered(await this.#send(frame, line));
    });
  }

  /** Those whose turn has not come are dropped. */
  drop() {
    this.#round++;
    this.#lines.clear();
  }

  /**
   * @param {MessageSend} frame
   * @param {Line} line
   * @returns {Promise<Answer>}
   */
  async #send({ type, session_id, ...draft }, line) {
    const { client_id } = draft;
    try {
      if (line.error) throw line.error;
      const message = await this.#api.sendMessage(session_id, draft);
      return { type: 'message.sent', client_id, message };
    } catch (cause) {
      const error = cause instanceof ApiError
        ? cause : new ApiError(0, 'unreachable', String(cause));
      if (error.isTransient) {
        line.error = error;
        if (this.#lines.get(session_id) === line) this.#lines.delete(session_id);
      }
      const { code, message, retryAfter } = error;
      return { type: 'error', error: message, code, client_id, retry_after: retryAfter };
    }
  }
}
