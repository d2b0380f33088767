/**
 * The list of sessions: owned and shared, the latest first, with unread counts and the last
 * message, live.
 *
 * The server tells of activity in a few words and gathers it, so exact counts come from the
 * list itself, which is asked for again soon after. The open session counts for itself.
 */

import { ApiError } from '../assistdeck-client.js';
import { Source } from './source.js';

const PAGE = 100;
const REFRESH_MS = 1500;

/** @typedef {import('../assistdeck-client.js').ListedSession} ListedSession */
/** @typedef {import('../assistdeck-client.js').Session} Session */
/** @typedef {import('../assistdeck-client.js').Message} Message */
/**
 * @typedef {object} SessionsEvents
 * @property {void} changed
 * @property {Session} added    shared with me just now
 * @property {Session} removed  not mine any more, for whatever reason
 */

/** @extends {Source<SessionsEvents>} */
export class Sessions extends Source {
  /** @type {'loading' | 'ready' | 'failed'} */
  phase = 'loading';
  /** Whether the rest of a long list is on its way. */
  isLoadingMore = false;
  /** @type {Map<string, ListedSession>} */
  #table = new Map();
  /** @type {(() => Promise<import('../assistdeck-client.js').Page<ListedSession>>) | null} */
  #next = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {PromiseWithResolvers<void>} */
  #first = Promise.withResolvers();
  #api;
  #unreadOf;

  /**
   * @param {import('../assistdeck-client.js').Api} api
   * @param {(id: string) => number | undefined} unreadOf  of a session that counts for itself
   */
  constructor(api, unreadOf) {
    super();
    this.#api = api;
    this.#unreadOf = unreadOf;
  }

  /** The latest first. */
  get list() {
    return [...this.#table.values()].sort((a, b) => (
      b.updated_at.localeCompare(a.updated_at) || b.id.localeCompare(a.id)));
  }

  get hasMore() { return this.#next !== null; }

  get unread() {
    return [...this.#table.values()].reduce((sum, { unread_count }) => sum + unread_count, 0);
  }

  /** @param {string} id */
  get(id) { return this.#table.get(id); }

  /** Settles when the list was asked for the first time. */
  get first() { return this.#first.promise; }

  /** Asks for the list; what is further down than its first page stays as it is. */
  async load() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      const { items, next } = await this.#api.sessions({ limit: PAGE });
      const last = items.at(-1)?.updated_at ?? '';
      const known = new Set(items.map(({ id }) => id));
      for (const [id, { updated_at }] of this.#table) {
        if (!known.has(id) && (!next || updated_at > last)) this.#table.delete(id);
      }
      if (this.phase !== 'ready' || !next) this.#next = next;
      for (const item of items) this.#put(item);
      this.phase = 'ready';
    } catch (error) {
      // With a list to show, the connection's own words are enough.
      if (this.phase !== 'ready') this.phase = 'failed';
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.#first.resolve();
    }
    this.tell('changed', undefined);
  }

  async loadMore() {
    if (!this.#next || this.isLoadingMore) return;
    this.isLoadingMore = true;
    try {
      const { items, next } = await this.#next();
      this.#next = next;
      for (const item of items) this.#put(item);
    } catch {
      // Scrolling on asks again.
    } finally {
      this.isLoadingMore = false;
      this.tell('changed', undefined);
    }
  }

  /** One session of which more is known now. @param {Session} session */
  put(session) {
    const { unread_count = 0, last_message = null, is_owner } = this.#table.get(session.id) ?? {};
    this.#put({ unread_count, last_message, is_owner, ...session });
    this.tell('changed', undefined);
  }

  /** @param {Session} session  shared with me, or made in another tab */
  add(session) {
    const isNew = !this.#table.has(session.id);
    this.put(session);
    if (isNew && !session.is_owner) this.tell('added', session);
  }

  /** @param {string} id */
  remove(id) {
    const session = this.#table.get(id);
    if (!session) return;
    this.#table.delete(id);
    this.tell('removed', session);
    this.tell('changed', undefined);
  }

  /** @param {string} id @param {number} unread_count */
  setUnread(id, unread_count) {
    const session = this.#table.get(id);
    if (!session || session.unread_count === unread_count) return;
    this.#table.set(id, { ...session, unread_count });
    this.tell('changed', undefined);
  }

  /**
   * Something happened in a session.
   * @param {string} id
   * @param {number} last_seq
   * @param {Message | null} last_message
   * @param {string} [at]
   * @param {boolean} [isMine]
   */
  touch(id, last_seq, last_message, at = last_message?.created_at, isMine = true) {
    const old = this.#table.get(id);
    if (old && last_seq > old.last_seq) {
      const updated_at = at && at > old.updated_at ? at : old.updated_at;
      const isUnread = !isMine && last_message && last_message.seq > (old.last_message?.seq ?? 0);
      const unread_count = old.unread_count + (isUnread ? 1 : 0);
      this.#put({ ...old, last_seq, last_message, updated_at, unread_count });
      this.tell('changed', undefined);
    }
  }

  /** The list is asked for again in a moment. */
  refreshSoon() {
    this.#timer ??= setTimeout(() => {
      if (document.hidden) addEventListener('visibilitychange', () => this.load(), { once: true });
      else this.load();
    }, REFRESH_MS);
  }

  /** @param {ListedSession} session */
  #put(session) {
    const unread_count = this.#unreadOf(session.id) ?? session.unread_count;
    this.#table.set(session.id, { ...session, unread_count });
  }
}
