/**
 * Everything behind the page while somebody is signed in: the connection, the list of sessions,
 * the open session, the messages on their way. The views read it and call it; it knows none of
 * them.
 */

import { Live } from '../assistdeck-client.js';
import { kept, tab } from './keep.js';
import { Opened } from './opened.js';
import { People } from './people.js';
import { Sessions } from './sessions.js';
import { Source } from './source.js';

/** Sessions that are kept in memory to come back to. */
const KEPT_MAX = 8;
const AGAIN_MS = 500;

/** @typedef {import('../assistdeck-client.js').State} State */
/** @typedef {import('../assistdeck-client.js').Sending} Sending */
/**
 * @typedef {object} DeckEvents
 * @property {Opened | null} current  another session is open, or none
 * @property {State} state
 */

/** @extends {Source<DeckEvents>} */
export class Deck extends Source {
  /** @type {Opened | null} */
  current = null;
  /** Whether the end of the open session is in view; its view says so. */
  isAtEnd = true;
  /** @type {Map<string, Opened>} the latest last */
  #opened = new Map();
  /** @type {Set<string>} sessions that I end myself, which is no news */
  #endings = new Set();
  #wasLive = false;
  #isStopped = false;
  #account;

  /**
   * @param {import('./account.js').Account} account
   * @param {import('../assistdeck-client.js').User} me
   */
  constructor(account, me) {
    super();
    this.#account = account;
    this.me = me;
    this.api = account.api;
    this.live = new Live(account.api);
    this.people = new People(me);
    this.sessions = new Sessions(account.api, (id) => (
      this.current?.id === id && this.current.phase === 'ready'
        ? this.current.unread : undefined));
    this.#listen();
    account.on('token', () => this.live.connect());
  }

  start() {
    this.sessions.load();
    this.live.connect();
    // What a reload cut short is sent again; the server knows repeats by their client_id.
    for (const [client_id, { session_id, content }] of Object.entries(tab.get('outbox') ?? {})) {
      this.live.send(session_id, { content, client_id });
    }
  }

  stop() {
    this.#isStopped = true;
    this.open(null);
    this.live.close();
  }

  /** @param {string | null} id */
  open(id) {
    if (id === (this.current?.id ?? null)) return;
    const { current } = this;
    this.current = null;
    current?.leave();
    if (id) this.current = this.#take(id);
    this.current?.follow();
    this.tell('current', this.current);
  }

  /** The open session, from the beginning. */
  reopen() {
    const id = this.current?.id;
    if (!id) return;
    this.#opened.delete(id);
    this.open(null);
    this.open(id);
  }

  /** @param {string} id */
  #take(id) {
    const opened = this.#opened.get(id) ?? this.#make(id);
    this.#opened.delete(id);
    this.#opened.set(id, opened);
    for (const old of this.#opened.keys()) {
      if (this.#opened.size > KEPT_MAX) this.#opened.delete(old);
    }
    return opened;
  }

  /** @param {string} id */
  #make(id) {
    const opened = new Opened(this, id);
    opened.on('phase', () => { if (opened.phase === 'gone') this.#ended(opened); });
    const count = () => {
      if (opened === this.current && opened.phase === 'ready') {
        this.sessions.setUnread(id, opened.unread);
      }
    };
    opened.on('items', count);
    opened.on('read', count);
    return opened;
  }

  /** @param {Opened} opened */
  #ended({ id }) {
    this.#opened.delete(id);
    this.live.leave(id);
    this.sessions.remove(id);
  }

  /** I am about to end this one myself. @param {string} id */
  expectEnd(id) { this.#endings.add(id); }

  /** Whether the end of a session is news to me. @param {string} id */
  isNews(id) { return !this.#endings.has(id); }

  /** Whether what comes into a session now is seen. @param {Opened} opened */
  isWatching(opened) {
    return opened === this.current && this.isAtEnd && document.visibilityState === 'visible'
      && document.hasFocus();
  }

  /** @param {string} id @param {string} content */
  send(id, content) {
    this.setDraft(id, '');
    return this.live.send(id, content);
  }

  /** @param {string} id @returns {string} */
  draft(id) { return kept.get(`draft.${id}`) ?? ''; }

  /** @param {string} id @param {string} text */
  setDraft(id, text) { kept.set(`draft.${id}`, text || null); }

  /** New tokens only: all others end, also of this connection. @param {string} old
   * @param {string} password */
  async changePassword(old, password) {
    await this.api.changePassword(old, password);
    this.live.connect();
  }

  #listen() {
    const { live, sessions } = this;
    live.on('state', (state) => this.#onState(state));
    live.on('hello', () => {
      sessions.load();
      for (const { client_id, error } of live.sendings()) {
        if (error?.code === 'stopped') live.retry(client_id);
      }
    });
    live.on('following', (frame) => this.#get(frame)?.onFollowing(frame));
    live.on('caught_up', (frame) => this.#onCaughtUp(frame.session_id));
    live.on('reset', (frame) => this.#get(frame)?.onReset());
    live.on('event', (event) => this.#onEvent(event));
    live.on('unfollowed', ({ session_id, reason }) => this.#opened.get(session_id)?.end(reason));
    live.on('typing', (frame) => (
      this.#get(frame)?.presence.setTyping(frame.user_id, frame.is_typing)));
    live.on('presence', (frame) => (
      this.#get(frame)?.presence.setOnline(frame.user_id, frame.online)));
    live.on('read', (frame) => {
      this.#get(frame)?.onRead(frame.user_id, frame.seq);
      if (this.people.isMe(frame.user_id)) sessions.refreshSoon();
    });
    live.on('sending', (sending) => this.#onSending(sending));
    live.on('session.added', ({ session }) => this.#onAdded(session));
    live.on('session.removed', ({ session_id }) => {
      this.#opened.delete(session_id);
      sessions.remove(session_id);
    });
    live.on('session.activity', ({ session_id, last_seq, last_message }) => {
      const isMine = this.people.isMe(last_message?.sender_id ?? this.me.id);
      sessions.touch(session_id, last_seq, last_message, undefined, isMine);
      sessions.refreshSoon();
    });
  }

  /** @param {{session_id: string}} frame  of the open session? */
  #get({ session_id }) { return this.current?.id === session_id ? this.current : null; }

  /** @param {import('../assistdeck-client.js').Session} session */
  #onAdded(session) {
    this.sessions.add({ ...session, is_owner: session.user_id === this.me.id });
    // Shared again while we looked at where it had been.
    if (this.current?.id === session.id && this.current.phase === 'gone') this.reopen();
  }

  /** @param {import('../assistdeck-client.js').SessionEvent} event */
  #onEvent(event) {
    const { session_id: id, seq, at } = event;
    this.#get(event)?.onEvent(event);
    const last = event.type === 'message.created' ? event.data
      : this.sessions.get(id)?.last_message ?? null;
    this.sessions.touch(id, seq, last, at);
    if (event.type === 'session.updated') this.sessions.put(event.data);
    if (event.type === 'message.deleted' || event.type === 'message.updated') {
      this.sessions.refreshSoon();
    }
  }

  /** After a break nobody has told who is online: followed afresh, the server says it again.
   * @param {string} id */
  #onCaughtUp(id) {
    if (this.current?.id !== id || this.current.presence.isKnown) return;
    if (this.current.phase !== 'ready') return;
    this.live.leave(id);
    this.live.follow(id);
  }

  /** @param {Sending} sending */
  #onSending(sending) {
    if (this.#isStopped) return;
    const outbox = tab.get('outbox') ?? {};
    const { client_id, session_id, content, status } = sending;
    if (status === 'sent') delete outbox[client_id];
    else outbox[client_id] = { session_id, content };
    tab.set('outbox', Object.keys(outbox).length ? outbox : null);
    const opened = this.#opened.get(session_id);
    if (sending.message) opened?.onStored(sending.message);
    else opened?.tell('items', undefined);
  }

  /** @param {string} clientId */
  discard(clientId) {
    this.live.discard(clientId);
    const { [clientId]: _, ...outbox } = tab.get('outbox') ?? {};
    tab.set('outbox', Object.keys(outbox).length ? outbox : null);
    this.current?.tell('items', undefined);
  }

  /** @param {State} state */
  #onState(state) {
    const isUp = state.state === 'live' || state.state === 'catching-up';
    if (this.#wasLive && !isUp) this.current?.presence.forget();
    this.#wasLive = isUp;
    this.tell('state', state);
    const isOver = state.reason === 'revoked' || state.reason === 'unauthorized';
    if (state.state === 'stopped' && isOver) this.#comeBack();
  }

  /** The connection ended for good, but it may have been for a token of before. */
  async #comeBack() {
    const isOver = await this.api.profile().then(() => false, (error) => error.status === 401);
    if (isOver && await this.#account.hasNewerToken()) return;
    if (this.#isStopped || this.live.state.state !== 'stopped') return;
    if (!isOver) setTimeout(() => { if (!this.#isStopped) this.live.connect(); }, AGAIN_MS);
    else this.#account.signOut('You were signed out, as this account’s password was changed or its '
      + 'access ended. Please sign in again.');
  }
}
