/**
 * One WebSocket of `assistdeck.v1`, from the ticket to the close.
 *
 * Tells its owner every frame (`onframe`, `hello` first) and, once, its end (`onclose`).
 *
 * Is it still alive? Pages can't see the server's pings, and a dead network tells nobody. So
 * after two heartbeats without any frame it asks: `{"type": "ping", "ref": "alive"}`, which
 * a server answers in any case, today with an `error` frame for the unknown type. Whatever
 * frame comes is the proof of life; silence for `probeWaitMs` more is the end. The owner may
 * ask at once (`check`) where it has a reason to doubt, as after sleep or a change of network.
 */

import { decode } from './frames.js';

const PROTOCOL = 'assistdeck.v1';
const PING = { type: 'ping', ref: 'alive' };

/**
 * @typedef {object} Ending
 * @property {boolean} reached  whether there was a `hello`
 * @property {number} code      1006 where none came over the wire
 * @property {unknown} [error]  the REST call that failed, if that was it
 */

export class SocketTransport {
  /** @type {'ws'} */
  kind = 'ws';
  /** @type {(frame: import('./wire.js').ServerFrame) => void} */
  onframe = () => {};
  /** @type {(ending: Ending) => void} */
  onclose = () => {};
  /** @type {WebSocket | null} */
  #socket = null;
  #closed = false;
  #reached = false;
  #heartbeatMs = 25_000;
  #heardAt = 0;
  #handshakeMs;
  #probedAt = 0;
  /** @type {unknown} */
  #timer = null;
  #api;
  #env;
  #options;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./client.js').Environment} env
   * @param {import('./client.js').LiveOptions} options
   */
  constructor(api, env, options) {
    this.#api = api;
    this.#env = env;
    this.#options = options;
    this.#handshakeMs = options.handshakeTimeoutMs ?? 10_000;
  }

  async open() {
    try {
      const [query, protocols] = await this.#credentials();
      if (!this.#closed) this.#connect(query, protocols);
    } catch (error) {
      this.#end(1006, error);
    }
  }

  /** @returns {Promise<[string, string[]]>} */
  async #credentials() {
    if (this.#options.auth === 'bearer') return ['', [PROTOCOL, `bearer.${this.#api.token}`]];
    const { ticket } = await this.#api.createTicket(this.#handshakeMs);
    return [`?ticket=${encodeURIComponent(ticket)}`, [PROTOCOL]];
  }

  /**
   * @param {string} query
   * @param {string[]} protocols
   */
  #connect(query, protocols) {
    const { WebSocket } = this.#env;
    this.#timer = this.#env.setTimeout(() => this.#end(1006), this.#handshakeMs);
    try {
      if (!WebSocket) throw new TypeError('There is no WebSocket here.');
      this.#socket = new WebSocket(`${this.#api.url.replace(/^http/, 'ws')}/ws${query}`, protocols);
    } catch {
      this.#end(1006);
      return;
    }
    this.#socket.onopen = () => { if (this.#socket?.protocol !== PROTOCOL) this.#end(1006); };
    this.#socket.onmessage = (event) => this.#hear(event.data);
    this.#socket.onclose = (event) => this.#end(event.code);
    this.#socket.onerror = () => {};
  }

  /** @param {unknown} text */
  #hear(text) {
    this.#heardAt = this.#env.now();
    const wasProbed = this.#probedAt > 0;
    this.#probedAt = 0;
    const frame = decode(text);
    if (!frame || isPong(frame, wasProbed)) return;
    if (frame.type === 'hello') {
      this.#env.clearTimeout(this.#timer);
      this.#reached = true;
      this.#heartbeatMs = frame.heartbeat_ms || this.#heartbeatMs;
    }
    if (this.#reached) this.onframe(frame);
  }

  /** @param {object} frame */
  send(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  /** To be called every few seconds. */
  tick() {
    if (!this.#reached) return;
    const now = this.#env.now();
    if (this.#probedAt > 0) {
      if (now - this.#probedAt >= (this.#options.probeWaitMs ?? 10_000)) this.#end(4408);
    } else if (now - this.#heardAt >= 2 * this.#heartbeatMs) this.check();
  }

  /** Asks for a sign of life now. */
  check() {
    if (!this.#reached || this.#probedAt > 0) return;
    this.#probedAt = this.#env.now();
    this.send(PING);
  }

  /** Ends it without a word to the owner. */
  close() {
    this.onclose = () => {};
    this.#end(1000);
  }

  /**
   * @param {number} code
   * @param {unknown} [error]
   */
  #end(code, error) {
    if (this.#closed) return;
    this.#closed = true;
    this.#env.clearTimeout(this.#timer);
    if (this.#socket) {
      // A dead network keeps a closing socket for minutes: nobody waits for it.
      this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close(1000);
    }
    this.onclose({ reached: this.#reached, code, error });
  }
}

/**
 * The answer to a probe, which nobody else is to see.
 * @param {{type: string, ref?: string, client_id?: string}} frame
 * @param {boolean} wasProbed
 */
function isPong(frame, wasProbed) {
  if (frame.type === 'pong') return true;
  if (frame.type !== 'error' || frame.client_id) return false;
  return frame.ref === PING.ref || (wasProbed && !frame.ref);
}
