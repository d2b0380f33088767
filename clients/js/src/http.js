/**
 * One REST call: where the server is, who is calling, what came back.
 *
 * Owns the token. Every failure comes out as an `ApiError`, except a caller's own abort. Where
 * the application gave `getToken`, a call that is refused with 401 is repeated once with a
 * fresh token: a refused call did nothing, so the repeat is safe. The token only ever goes to
 * the configured server: of a `Link` header nothing but the query is taken.
 */

import { ApiError, errorOf } from './error.js';

/** @typedef {Record<string, string | number | undefined | null>} Query */
/**
 * @typedef {object} CallOptions
 * @property {Query} [query]
 * @property {unknown} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {number} [timeoutMs]
 * @property {boolean} [anonymous]  without the token
 * @property {boolean} [stream]     the body is the caller's to read
 */

export class Http {
  #options;
  #fetch;
  /** @type {Promise<string> | null} */
  #renewing = null;
  /** @type {string | null} */
  token;
  /** @type {Set<(token: string | null) => void>} */
  watchers = new Set();

  /** @param {import('./client.js').ApiOptions} options */
  constructor(options) {
    const url = options.url ?? globalThis.location?.origin;
    if (!url) throw new TypeError('The option `url` is needed outside of a browser.');
    this.base = new URL(url).href.replace(/\/+$/, '');
    this.#options = options;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.token = options.token ?? null;
  }

  /** @param {string | null} token */
  setToken(token) {
    this.token = token;
    this.#options.onToken?.(token);
    for (const watcher of this.watchers) watcher(token);
  }

  /** A fresh token; callers at the same time share one. */
  renew() {
    this.#renewing ??= this.#renew().finally(() => { this.#renewing = null; });
    return this.#renewing;
  }

  async #renew() {
    const { getToken } = this.#options;
    const token = getToken
      ? await getToken(this.token)
      : (await this.#once('POST', '/api/token', {})).data.token;
    if (!token) throw new ApiError(401, 'unauthorized', 'There is no fresh token.');
    this.setToken(token);
    return /** @type {string} */ (token);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   * @returns {Promise<{data: any, response: Response}>}
   */
  async call(method, path, options = {}) {
    const used = this.token;
    try {
      return await this.#once(method, path, options);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // A kept connection may end at the moment in which it is used again, with a server that goes
      // or a node behind a balancer: what changes nothing is asked once more (RFC 9110, 9.2.2).
      if (error.code === 'unreachable' && method === 'GET' && !options.stream) {
        return this.#once(method, path, options);
      }
      const renewable = error.code === 'unauthorized'
        && !options.anonymous && this.#options.getToken;
      if (!renewable) throw error;
      if (this.token === used) await this.renew();
      return this.#once(method, path, options);
    }
  }

  /**
   * A list with the neighbours that its `Link` header names.
   * @param {string} path
   * @param {Query} [query]
   * @returns {Promise<import('./wire.js').Page<any>>}
   */
  async page(path, query) {
    const { data, response } = await this.call('GET', path, { query });
    const links = linksOf(response.headers.get('Link'));
    const { next, prev } = links;
    return {
      items: data,
      next: next ? () => this.page(path, next) : null,
      prev: prev ? () => this.page(path, prev) : null,
    };
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} options
   */
  async #once(method, path, options) {
    const abort = new AbortController();
    const { signal } = options;
    const forward = () => abort.abort(signal?.reason);
    if (signal?.aborted) forward();
    signal?.addEventListener('abort', forward);
    let timedOut = false;
    const timer = setTimeout(() => { timedOut = true; abort.abort(); },
      options.timeoutMs ?? this.#options.timeoutMs ?? 30_000);
    try {
      const response = await this.#fetch(this.#url(path, options.query), {
        method,
        headers: this.#headers(options),
        body: options.body === undefined ? undefined : JSON.stringify(options.body),
        signal: abort.signal,
        cache: 'no-store',
      });
      if (!response.ok) throw await errorOf(response);
      if (options.stream) return { data: null, response };
      const text = await response.text();
      return { data: parse(text, response.status), response };
    } catch (error) {
      if (error instanceof ApiError || signal?.aborted) throw error;
      if (timedOut) throw new ApiError(0, 'timeout', 'The server took too long.');
      throw new ApiError(0, 'unreachable', 'The server was not reached.', { cause: error });
    } finally {
      clearTimeout(timer);
      if (!options.stream) signal?.removeEventListener('abort', forward);
    }
  }

  /**
   * @param {string} path
   * @param {Query} [query]
   */
  #url(path, query = {}) {
    const url = new URL(this.base + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
    }
    return url.href;
  }

  /** @param {CallOptions} options */
  #headers(options) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json', ...options.headers };
    if (options.body !== undefined) headers['Content-Type'] = 'application/json';
    if (this.token && !options.anonymous) headers.Authorization = `Bearer ${this.token}`;
    return headers;
  }
}

/**
 * @param {string} text
 * @param {number} status
 */
function parse(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(status, 'bad_answer', 'The answer was not JSON.');
  }
}

/**
 * The queries of a `Link` header, by relation.
 * @param {string | null} header
 * @returns {Record<string, Record<string, string>>}
 */
export function linksOf(header) {
  /** @type {Record<string, Record<string, string>>} */
  const links = {};
  for (const [, target, parameters] of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    const relations = /;\s*rel="?([^";,]+)/i.exec(parameters)?.[1] ?? '';
    const query = new URL(target, 'http://any').searchParams;
    for (const relation of relations.trim().split(/\s+/)) {
      links[relation] = Object.fromEntries(query);
    }
  }
  return links;
}
