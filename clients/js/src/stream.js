/**
 * The fallback where no WebSocket gets through: server-sent events and REST behind the same
 * face as `SocketTransport`. It takes and gives the frames of `assistdeck.v1`, so that nothing
 * above it knows the difference.
 *
 * Browsers allow six connections to a server, so only the newest `STREAMS_MAX` followed
 * sessions have a stream. The list of sessions, asked for every `pollMs`, tells what is new in
 * the others, and makes good for networks that hold streams back. Presence and typing of
 * others do not come this way. A stream without a byte for `SILENCE_MS` is opened again.
 */

import { ApiError } from './error.js';
import { endOf } from './followings.js';
import { Listing } from './listing.js';
import { Post } from './post.js';
import { SseParser } from './sse.js';
import { expiresInMs } from './token.js';

const STREAMS_MAX = 3;
const SILENCE_MS = 60_000;
const AGAIN_MS = 1_000;
const EXPIRING_MS = 60_000;

/** @typedef {import('./wire.js').SessionEvent} SessionEvent */
/**
 * @typedef {object} Feed
 * @property {import('./wire.js').Follow} ask
 * @property {string} epoch
 * @property {number} head      the head when it was authorised
 * @property {number} seq       the last number given
 * @property {boolean} started  whether it is caught up
 * @property {boolean} pulling
 * @property {AbortController | null} stream
 * @property {unknown} [again]  the timer of the next stream
 */

export class StreamTransport {
  /** @type {'sse'} */
  kind = 'sse';
  /** @type {(frame: import('./wire.js').ServerFrame) => void} */
  onframe = () => {};
  /** @type {(ending: import('./socket.js').Ending) => void} */
  onclose = () => {};
  /** @type {Map<string, Feed>} */
  #feeds = new Map();
  #listing = new Listing();
  /** @type {string | null} */
  #userId = null;
  #post;
  #starting = Promise.resolve();
  #polling = false;
  #reached = false;
  #closed = false;
  /** @type {unknown} */
  #timer = null;
  #api;
  #env;
  #pollMs;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./client.js').Environment} env
   * @param {import('./client.js').LiveOptions} options
   */
  constructor(api, env, options) {
    this.#api = api;
    this.#post = new Post(api);
    this.#env = env;
    this.#pollMs = options.pollMs ?? 20_000;
  }

  async open() {
    try {
      const { id } = await this.#api.profile();
      if (this.#closed) return;
      this.#userId = id;
      this.#reached = true;
      this.onframe({
        type: 'hello', connection_id: 'sse', user_id: id, heartbeat_ms: 25_000, limits: {},
      });
      await this.#poll();
    } catch (error) {
      this.#trouble(error);
    }
  }

  /** @param {import('./wire.js').ClientFrame} frame */
  send(frame) {
    if (frame.type === 'follow') {
      /** @type {Feed} */
      const feed = {
        ask: frame, epoch: '', head: 0, seq: 0, started: false, pulling: false, stream: null,
      };
      this.#drop(frame.session_id);
      this.#feeds.set(frame.session_id, feed);
      this.#starting = this.#starting.then(() => this.#start(feed))
        .catch((error) => this.#trouble(error, feed));
    } else if (frame.type === 'leave') {
      this.#drop(frame.session_id);
      this.#arrange();
    } else if (frame.type === 'message.send') {
      this.#post.send(frame, (answer) => { if (!this.#closed) this.onframe(answer); });
    } else if (frame.type === 'read') {
      this.#api.markRead(frame.session_id, frame.seq).catch((error) => this.#trouble(error));
    }
  }

  tick() {}

  check() { this.#poll().catch((error) => this.#trouble(error)); }

  /** Ends it without a word to the owner. */
  close() {
    this.onclose = () => {};
    this.#end(undefined);
  }

  /** @param {Feed} feed */
  async #start(feed) {
    const { session_id, after, epoch } = feed.ask;
    if (!this.#has(feed)) return;
    const session = await this.#api.session(session_id);
    const isFresh = after === undefined;
    const participants = isFresh
      ? (await this.#api.participants(session_id, { limit: 200 })).items : undefined;
    if (!this.#has(feed)) return;
    const head = session.last_seq;
    if ((epoch !== undefined && epoch !== session.epoch) || (after ?? 0) > head) {
      throw new ApiError(409, 'position_unknown', 'The position is unknown.');
    }
    feed.epoch = session.epoch;
    feed.head = head;
    feed.seq = after ?? head;
    this.onframe({
      type: 'following', session_id, session, after: feed.seq, head,
      ...(participants && { participants, member_count: participants.length }),
    });
    await this.#pull(feed);
    if (!this.#has(feed)) return;
    feed.started = true;
    this.onframe({ type: 'caught_up', session_id, seq: feed.seq });
    this.#arrange();
  }

  /** Gives what the log has above the feed, page by page. @param {Feed} feed */
  async #pull(feed) {
    if (feed.pulling) return;
    feed.pulling = true;
    try {
      for (;;) {
        const page = await this.#api.events(feed.ask.session_id, { after: feed.seq, limit: 1000 });
        if (!this.#has(feed)) return;
        if (page.epoch !== feed.epoch) {
          throw new ApiError(409, 'position_unknown', 'The epoch changed.');
        }
        for (const event of page.events) this.#give(feed, event);
        if (page.events.length === 0 || feed.seq >= page.head) return;
      }
    } finally {
      feed.pulling = false;
    }
  }

  /**
   * @param {Feed} feed
   * @param {SessionEvent} event
   */
  #give(feed, event) {
    if (!this.#has(feed) || event.seq <= feed.seq) return;
    feed.seq = event.seq;
    this.onframe(event);
    if (this.#has(feed) && endOf(event, this.#userId, feed.head)) this.#drop(event.session_id);
  }

  /** Opens and ends streams, so that the newest feeds have one. */
  #arrange() {
    const started = [...this.#feeds.values()].filter((feed) => feed.started);
    const newest = new Set(started.slice(-STREAMS_MAX));
    for (const feed of started) {
      if (!newest.has(feed)) feed.stream?.abort();
      else if (!feed.stream) this.#stream(feed);
    }
  }

  /** @param {Feed} feed */
  async #stream(feed) {
    const stream = feed.stream = new AbortController();
    try {
      const { session_id } = feed.ask;
      const response = await this.#api.eventStream(session_id, feed.seq, stream.signal);
      await this.#read(feed, stream, response);
    } catch (error) {
      if (error instanceof ApiError) this.#trouble(error, feed);
    }
    // However it ended: what still deserves a stream gets a new one after a little while.
    if (!this.#has(feed)) return;
    feed.again = this.#env.setTimeout(() => {
      feed.stream = null;
      this.#arrange();
    }, AGAIN_MS * (1 + this.#env.random()));
  }

  /**
   * @param {Feed} feed
   * @param {AbortController} stream
   * @param {Response} response
   */
  async #read(feed, stream, response) {
    const reader = response.body?.getReader();
    if (!reader) return;
    // Node may leave a read hanging when the fetch under it is aborted.
    stream.signal.addEventListener('abort', () => { reader.cancel().catch(() => {}); });
    const parser = new SseParser();
    const decoder = new TextDecoder();
    while (this.#has(feed)) {
      const timer = this.#env.setTimeout(() => stream.abort(), SILENCE_MS);
      const { done, value } = await reader.read()
        .finally(() => this.#env.clearTimeout(timer));
      if (done) break;
      for (const { data } of parser.push(decoder.decode(value, { stream: true }))) {
        const event = JSON.parse(data);
        if (Number.isInteger(event?.seq)) this.#give(feed, event);
      }
    }
    stream.abort();
  }

  /** What is new in the list, and in the followed sessions that have no stream. */
  async #poll() {
    if (this.#polling || !this.#reached) return;
    this.#polling = true;
    this.#env.clearTimeout(this.#timer);
    try {
      const left = expiresInMs(this.#api.token, this.#env.now());
      if (left < EXPIRING_MS + this.#pollMs) this.onframe({ type: 'token_expiring', in_ms: left });
      const page = await this.#api.sessions({ limit: 200 });
      if (!this.#closed) this.#compare(page);
    } finally {
      this.#polling = false;
    }
    if (this.#closed) return;
    this.#timer = this.#env.setTimeout(() => this.check(),
      this.#pollMs * (0.75 + this.#env.random() / 2));
  }

  /** @param {import('./wire.js').Page<import('./wire.js').ListedSession>} page */
  #compare({ items, next }) {
    const frames = this.#listing.compare(items, next === null, (id) => this.#feeds.has(id));
    for (const frame of frames) this.onframe(frame);
    for (const { id, last_seq } of items) {
      const feed = this.#feeds.get(id);
      if (!feed?.started || last_seq <= feed.seq) continue;
      this.#pull(feed).catch((error) => this.#trouble(error, feed));
    }
  }

  /** @param {Feed} feed */
  #has(feed) { return !this.#closed && this.#feeds.get(feed.ask.session_id) === feed; }

  /** @param {string} sessionId */
  #drop(sessionId) {
    const feed = this.#feeds.get(sessionId);
    this.#feeds.delete(sessionId);
    feed?.stream?.abort();
    this.#env.clearTimeout(feed?.again);
  }

  /**
   * A refusal concerns one session; everything else ends the transport.
   * @param {unknown} error
   * @param {Feed} [feed]
   */
  #trouble(error, feed) {
    if (this.#closed || (feed && !this.#has(feed))) return;
    const isRefusal = error instanceof ApiError && [400, 403, 404, 409].includes(error.status);
    if (!isRefusal) this.#end(error);
    else if (feed) {
      this.#drop(feed.ask.session_id);
      this.onframe({ type: 'error', error: error.message, code: error.code, ref: feed.ask.ref });
    }
  }

  /** @param {unknown} error */
  #end(error) {
    if (this.#closed) return;
    this.#closed = true;
    this.#post.drop();
    this.#env.clearTimeout(this.#timer);
    for (const id of [...this.#feeds.keys()]) this.#drop(id);
    this.onclose({ reached: this.#reached, code: 1006, error });
  }
}
