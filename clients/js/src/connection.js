/**
 * One lasting connection out of many that break: which transport, when, with which token.
 *
 * Goes through the transports in the configured order: after `handshakesMax` handshakes in a
 * row that led nowhere the next one is tried. On the fallback a socket is tried again from time
 * to time beside it, and takes over when it says `hello`. A break is followed by what its close
 * code asks for (`closing.js`), after a wait with backoff and jitter; news from the page
 * (online, visible again) shortens the wait, or lets a living connection prove itself.
 * Knows nothing of sessions: frames go to the owner, who sends his own.
 */

import { Backoff } from './backoff.js';
import { decide, decideError } from './closing.js';
import { ApiError } from './error.js';
import { SocketTransport } from './socket.js';
import { StreamTransport } from './stream.js';

/** Having lived this long, a connection was a good one and the backoff begins anew. */
const STABLE_MS = 10_000;
const RENEW_AGAIN_MS = 5_000;

/** @typedef {SocketTransport | StreamTransport} Transport */
/** @typedef {import('./closing.js').Decision} Decision */
/**
 * @typedef {object} Owner
 * @property {(frame: import('./wire.js').ServerFrame) => void} frame
 * @property {(decision: Decision) => void} down  a connection that had said `hello` ended
 * @property {(state: import('./client.js').State) => void} state  of a connection that is not up
 * @property {() => void} tick
 */

export class Connection {
  /** Whether frames can be sent. */
  isUp = false;
  #isWanted = false;
  /** @type {Transport | null} */
  #current = null;
  /** @type {Transport | null} a socket on trial beside the fallback */
  #candidate = null;
  #at = 0;
  #failures = 0;
  #upSince = 0;
  /** What the server asked to wait for, no hint shortens. */
  #notBefore = 0;
  #hasRenewed = false;
  /** @type {Record<'retry' | 'tick' | 'trial' | 'renewal', unknown>} */
  #timers = { retry: null, tick: null, trial: null, renewal: null };
  /** @type {Array<() => void>} */
  #unwatch = [];
  #api;
  #env;
  #options;
  #owner;
  #kinds;
  #backoff;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./client.js').Environment} env
   * @param {import('./client.js').LiveOptions} options
   * @param {Owner} owner
   */
  constructor(api, env, options, owner) {
    this.#api = api;
    this.#env = env;
    this.#options = options;
    this.#owner = owner;
    const kinds = options.transports ?? ['ws', 'sse'];
    this.#kinds = env.WebSocket ? kinds : kinds.filter((kind) => kind !== 'ws');
    if (this.#kinds.length === 0) throw new TypeError('No transport is possible here.');
    this.#backoff = new Backoff(options.backoffMs ?? 1_000, options.backoffMaxMs ?? 30_000,
      env.random);
  }

  /** What carries the connection. */
  get kind() { return this.#current?.kind; }

  start() {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#hasRenewed = false;
    this.#at = this.#failures = 0;
    this.#backoff.reset();
    this.#watch();
    this.#tick();
    this.#open();
  }

  /**
   * @param {string} reason
   * @param {number} [code]
   */
  stop(reason, code) {
    if (!this.#isWanted) return;
    this.#isWanted = this.isUp = false;
    this.#current?.close();
    this.#current = null;
    this.#endTrial();
    for (const timer of Object.values(this.#timers)) this.#env.clearTimeout(timer);
    for (const unwatch of this.#unwatch.splice(0)) unwatch();
    this.#owner.state({ state: 'stopped', reason, code });
  }

  /** @param {import('./wire.js').ClientFrame} frame */
  send(frame) { if (this.isUp) this.#current?.send(frame); }

  #open() {
    this.#env.clearTimeout(this.#timers.retry);
    this.#timers.retry = null;
    const kind = this.#kinds[this.#at];
    this.#owner.state({ state: 'connecting', transport: kind });
    // The owner may have stopped everything on hearing that.
    if (this.#isWanted && !this.#current) this.#current = this.#make(kind);
  }

  /**
   * @param {'ws' | 'sse'} kind
   * @returns {Transport}
   */
  #make(kind) {
    const transport = kind === 'ws'
      ? new SocketTransport(this.#api, this.#env, this.#options)
      : new StreamTransport(this.#api, this.#env, this.#options);
    transport.onframe = (frame) => this.#hear(transport, frame);
    transport.onclose = (ending) => this.#ended(transport, ending);
    transport.open();
    return transport;
  }

  /**
   * @param {Transport} transport
   * @param {import('./wire.js').ServerFrame} frame
   */
  #hear(transport, frame) {
    if (transport === this.#candidate && frame.type === 'hello') this.#takeOver(transport);
    if (transport !== this.#current) return;
    if (frame.type === 'hello') {
      this.isUp = true;
      this.#upSince = this.#env.now();
      this.#hasRenewed = false;
      this.#failures = 0;
      if (transport.kind === 'sse') this.#planTrial();
    } else if (frame.type === 'token_expiring') this.#renewInBand();
    this.#owner.frame(frame);
  }

  /**
   * @param {Transport} transport
   * @param {import('./socket.js').Ending} ending
   */
  #ended(transport, ending) {
    if (transport === this.#candidate) {
      this.#endTrial();
      this.#planTrial();
    }
    if (transport !== this.#current) return;
    const { reached, code, error } = ending;
    const decision = error === undefined ? decide(code) : decideError(error);
    this.#current = null;
    this.isUp = false;
    this.#endTrial();
    this.#env.clearTimeout(this.#timers.renewal);
    if (reached && this.#env.now() - this.#upSince >= STABLE_MS) this.#backoff.reset();
    if (!reached && error === undefined) this.#countFailure();
    if (reached) this.#owner.down(decision);
    if (!this.#isWanted) return;
    if (decision.action === 'stop') this.stop(decision.reason, decision.code);
    else if (decision.action === 'renew') this.#renewThenOpen(decision);
    else this.#openLater(decision);
  }

  #countFailure() {
    if (++this.#failures < (this.#options.handshakesMax ?? 3)) return;
    this.#failures = 0;
    this.#at = (this.#at + 1) % this.#kinds.length;
    this.#backoff.reset();
  }

  /** @param {Decision} decision */
  #openLater({ reason, code, floorMs = 0 }) {
    this.#notBefore = this.#env.now() + floorMs;
    const retry_in_ms = this.#backoff.next(floorMs);
    this.#env.clearTimeout(this.#timers.retry);
    this.#timers.retry = this.#env.setTimeout(() => this.#open(), retry_in_ms);
    this.#owner.state({ state: 'offline', reason, code, retry_in_ms });
  }

  /** @param {Decision} decision */
  async #renewThenOpen(decision) {
    if (this.#hasRenewed) {
      this.stop('unauthorized', decision.code);
      return;
    }
    this.#owner.state({ state: 'offline', reason: decision.reason, code: decision.code });
    try {
      await this.#api.renewToken();
      this.#hasRenewed = true;
      if (this.#isWanted && !this.#current) this.#openLater(decision);
    } catch (error) {
      if (!this.#isWanted || this.#current) return;
      if (error instanceof ApiError && error.status === 401) this.stop('unauthorized', 401);
      else this.#openLater(decideError(error));
    }
  }

  /** A fresh token reaches the server by `auth`, as every new token does. */
  #renewInBand() {
    this.#env.clearTimeout(this.#timers.renewal);
    this.#api.renewToken().catch((error) => {
      if (!this.isUp || (error instanceof ApiError && error.status === 401)) return;
      this.#timers.renewal = this.#env.setTimeout(() => this.#renewInBand(), RENEW_AGAIN_MS);
    });
  }

  #planTrial() {
    if (!this.#kinds.includes('ws')) return;
    const wait = (this.#options.socketRetryMs ?? 60_000) * (0.5 + this.#env.random());
    this.#env.clearTimeout(this.#timers.trial);
    this.#timers.trial = this.#env.setTimeout(() => {
      if (this.isUp && this.kind === 'sse') this.#candidate = this.#make('ws');
    }, wait);
  }

  #endTrial() {
    this.#env.clearTimeout(this.#timers.trial);
    const candidate = this.#candidate;
    this.#candidate = null;
    candidate?.close();
  }

  /** @param {Transport} socket */
  #takeOver(socket) {
    this.#candidate = null;
    this.#current?.close();
    this.#current = socket;
    this.#at = this.#kinds.indexOf('ws');
    this.isUp = false;
    this.#owner.down({ action: 'reconnect', reason: 'websocket_again' });
  }

  #tick() {
    this.#current?.tick();
    if (this.isUp) this.#owner.tick();
    this.#timers.tick = this.#env.setTimeout(() => this.#tick(), this.#options.tickMs ?? 5_000);
  }

  /** The world changed: let the connection prove itself, or try again now. */
  #hint(mayOpen = true) {
    if (this.isUp) this.#current?.check();
    else if (mayOpen && this.#timers.retry !== null && this.#env.now() >= this.#notBefore) {
      this.#open();
    }
  }

  #watch() {
    const { window, document } = this.#env;
    const hint = () => this.#hint();
    const visible = () => { if (document?.visibilityState === 'visible') this.#hint(); };
    /** @type {Array<[EventTarget | undefined, string, () => void]>} */
    const watches = [
      [window, 'online', hint], [window, 'pageshow', hint],
      [window, 'offline', () => this.#hint(false)], [document, 'visibilitychange', visible],
    ];
    for (const [target, name, listener] of watches) {
      target?.addEventListener(name, listener);
      this.#unwatch.push(() => target?.removeEventListener(name, listener));
    }
    this.#unwatch.push(this.#api.watchToken((token) => {
      if (token) this.send({ type: 'auth', token });
    }));
  }
}
