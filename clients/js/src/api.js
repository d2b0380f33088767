/**
 * The REST part: every call of the contract, one method each.
 *
 * Arguments and answers are the wire's own objects. A method resolves with what the server
 * stored and rejects with an `ApiError`. Lists come as pages with `next` and `prev`.
 */

import { Http } from './http.js';

/** @typedef {import('./wire.js').Message} Message */
/** @typedef {import('./wire.js').Session} Session */
/** @typedef {import('./wire.js').User} User */
/**
 * @template T
 * @typedef {import('./wire.js').Page<T>} Page
 */

export class Api {
  #http;

  /** @param {import('./client.js').ApiOptions} [options] */
  constructor(options = {}) {
    this.#http = new Http(options);
  }

  /** Where the server is, without a slash at its end. */
  get url() { return this.#http.base; }

  get token() { return this.#http.token; }

  /** @param {string | null} token */
  set token(token) { this.#http.setToken(token); }

  /**
   * Calls back with every new token; gives the way to end that.
   * @param {(token: string | null) => void} watcher
   */
  watchToken(watcher) {
    this.#http.watchers.add(watcher);
    return () => { this.#http.watchers.delete(watcher); };
  }

  /**
   * @param {{name: string, email: string, password: string}} account
   * @returns {Promise<{token: string, user: User}>}
   */
  register(account) { return this.#signIn('/api/register', account); }

  /**
   * @param {{email: string, password: string}} account
   * @returns {Promise<{token: string, user: User}>}
   */
  login(account) { return this.#signIn('/api/login', account); }

  /**
   * @param {string} path
   * @param {object} body
   */
  async #signIn(path, body) {
    const { data } = await this.#http.call('POST', path, { body, anonymous: true });
    this.#http.setToken(data.token);
    return data;
  }

  /** A fresh token, from `getToken` where the application gave one, else from the server. */
  renewToken() { return this.#http.renew(); }

  /**
   * A ticket for one WebSocket handshake.
   * @param {number} [timeoutMs]
   * @returns {Promise<{ticket: string, expires_in: number}>}
   */
  async createTicket(timeoutMs) {
    return (await this.#http.call('POST', '/api/ws-tickets', { timeoutMs })).data;
  }

  /** @returns {Promise<User>} */
  profile() { return this.#get('/api/users/profile'); }

  /**
   * All older tokens end; this client goes on with the new one.
   * @param {string} password
   * @param {string} newPassword
   */
  async changePassword(password, newPassword) {
    const body = { password, new_password: newPassword };
    this.#http.setToken((await this.#send('PUT', '/api/users/password', body)).token);
  }

  /**
   * @param {string} email
   * @returns {Promise<import('./wire.js').FoundUser | null>}
   */
  async findUser(email) { return (await this.#get('/api/users', { email }))[0] ?? null; }

  /**
   * @param {{limit?: number, before?: string}} [query]
   * @returns {Promise<Page<import('./wire.js').ListedSession>>}
   */
  sessions(query) { return this.#http.page('/api/chat/sessions', query); }

  /**
   * @param {string} title
   * @returns {Promise<Session>}
   */
  createSession(title) { return this.#send('POST', '/api/chat/sessions', { title }); }

  /**
   * @param {string} id
   * @returns {Promise<Session>}
   */
  session(id) { return this.#get(at(id)); }

  /**
   * @param {string} id
   * @param {string} title
   * @returns {Promise<Session>}
   */
  renameSession(id, title) { return this.#send('PATCH', at(id), { title }); }

  /** @param {string} id */
  async deleteSession(id) { await this.#send('DELETE', at(id)); }

  /**
   * Moves my read mark; it only ever grows. Gives where it stands now.
   * @param {string} id
   * @param {number} seq
   * @returns {Promise<number>}
   */
  async markRead(id, seq) { return (await this.#send('POST', `${at(id)}/read`, { seq })).seq; }

  /**
   * @param {string} id
   * @param {{limit?: number, before?: string}} [query]
   * @returns {Promise<Page<import('./wire.js').ParticipantRow>>}
   */
  participants(id, query) { return this.#http.page(`${at(id)}/participants`, query); }

  /**
   * @param {string} id
   * @param {{user_id: string} | {email: string}} user
   * @returns {Promise<import('./wire.js').Participant>}
   */
  addParticipant(id, user) { return this.#send('POST', `${at(id)}/participants`, user); }

  /**
   * @param {string} id
   * @param {string} userId
   */
  async removeParticipant(id, userId) {
    await this.#send('DELETE', at(id, 'participants', userId));
  }

  /** @param {string} id */
  async leaveSession(id) { await this.#send('POST', `${at(id)}/leave`); }

  /**
   * The newest messages, ascending; `prev` of the page goes back in time.
   * @param {string} id
   * @param {{after?: number, before?: number, limit?: number}} [query]
   * @returns {Promise<Page<Message>>}
   */
  messages(id, query) { return this.#http.page(`${at(id)}/messages`, query); }

  /**
   * @param {string} id
   * @param {import('./wire.js').Draft} draft
   * @returns {Promise<Message>}
   */
  sendMessage(id, draft) { return this.#send('POST', `${at(id)}/messages`, draft); }

  /**
   * @param {string} id
   * @param {string} messageId
   * @param {string} content
   * @returns {Promise<Message>}
   */
  editMessage(id, messageId, content) {
    return this.#send('PATCH', at(id, 'messages', messageId), { content });
  }

  /**
   * @param {string} id
   * @param {string} messageId
   */
  async deleteMessage(id, messageId) { await this.#send('DELETE', at(id, 'messages', messageId)); }

  /**
   * The durable events after a number; waits up to `wait` seconds where there are none.
   * @param {string} id
   * @param {{after: number, limit?: number, wait?: number}} query
   * @param {AbortSignal} [signal]
   * @returns {Promise<import('./wire.js').EventsPage>}
   */
  async events(id, query, signal) {
    const timeoutMs = query.wait ? (query.wait + 15) * 1000 : undefined;
    const options = { query, signal, timeoutMs };
    return (await this.#http.call('GET', `${at(id)}/events`, options)).data;
  }

  /**
   * The same feed as server-sent events; the body is the caller's to read.
   * @param {string} id
   * @param {number} after
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   */
  async eventStream(id, after, signal) {
    const headers = { Accept: 'text/event-stream' };
    const options = { query: { after }, headers, signal, stream: true };
    return (await this.#http.call('GET', `${at(id)}/events`, options)).response;
  }

  /**
   * @param {string} path
   * @param {import('./http.js').Query} [query]
   */
  async #get(path, query) { return (await this.#http.call('GET', path, { query })).data; }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   */
  async #send(method, path, body) { return (await this.#http.call(method, path, { body })).data; }
}

/** @param {string[]} parts */
function at(...parts) {
  return `/api/chat/sessions/${parts.map(encodeURIComponent).join('/')}`;
}
