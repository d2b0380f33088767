/**
 * Who is signed in: the token, kept across reloads and shared by all tabs, and its user.
 *
 * The token is renewed when half of its life is over, so whoever comes back within a few days
 * never signs in again. A sign-out or a new password in one tab is the same in all tabs.
 */

import { Api, ApiError } from '../assistdeck-client.js';
import { kept, keptName, tab } from './keep.js';
import { Source } from './source.js';

const RENEW_LOOK_MS = 3_600_000;

/** @typedef {import('../assistdeck-client.js').User} User */
/**
 * @typedef {object} AccountEvents
 * @property {User | null} user   signed in, or out
 * @property {string} token       a new token for the same user
 */

/** @extends {Source<AccountEvents>} */
export class Account extends Source {
  /** @type {User | null} */
  user = null;
  /** Why somebody who was signed in is not any more; shown once, above the sign-in. */
  parting = '';

  constructor() {
    super();
    this.api = new Api({
      token: kept.get('token'),
      onToken: (token) => kept.set('token', token),
    });
    addEventListener('storage', (event) => {
      if (event.key === keptName('token') || event.key === null) this.#otherTab();
    });
    setInterval(() => this.#renewIfDue(), RENEW_LOOK_MS);
  }

  /** The email that was used here last. @returns {string} */
  get lastEmail() { return kept.get('email') ?? ''; }

  /** Signs in with what was kept. Throws where the server can't be asked. */
  async restore() {
    if (!this.api.token) return;
    try {
      this.#is(await this.api.profile());
      this.#renewIfDue();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      this.#forget();
    }
  }

  /** @param {string} name @param {string} email @param {string} password */
  async register(name, email, password) {
    this.#is((await this.api.register({ name, email, password })).user);
  }

  /** @param {string} email @param {string} password */
  async signIn(email, password) {
    this.#is((await this.api.login({ email, password })).user);
  }

  /** @param {string} [parting] */
  signOut(parting = '') {
    this.parting = parting;
    this.user = null;
    // What is shown goes first: on its way out it keeps drafts.
    this.tell('user', null);
    this.#forget();
  }

  /**
   * The server took our token for ended. Another tab may just have brought a new one; gives
   * whether there is one.
   */
  async hasNewerToken() {
    for (const wait of [0, 300, 1500]) {
      await new Promise((done) => setTimeout(done, wait));
      if (this.#adopt()) return true;
    }
    return false;
  }

  /** @param {User} user */
  #is(user) {
    this.user = user;
    kept.set('email', user.email);
    this.tell('user', user);
  }

  /** Nothing of this user stays behind, except what another tab's user put there since. */
  #forget() {
    if (kept.get('token') === this.api.token) this.api.token = null;
    for (const start of ['draft.', 'names']) kept.clear(start);
    tab.clear('');
  }

  #otherTab() {
    const token = kept.get('token');
    if (!token && this.user) this.signOut();
    else if (token && subject(token) !== this.user?.id) location.reload();
    else this.#adopt();
  }

  #adopt() {
    const token = kept.get('token');
    if (!token || token === this.api.token || subject(token) !== this.user?.id) return false;
    this.api.token = token;
    this.tell('token', token);
    return true;
  }

  #renewIfDue() {
    const { iat, exp } = claims(this.api.token ?? '');
    if (!exp || Date.now() / 1000 < exp - (exp - (iat ?? 0)) / 2) return;
    // What can't be renewed now is tried again, and the connection does so too.
    this.api.renewToken().catch(() => {});
  }
}

/** What a token says of itself; nothing is verified, that is the server's work.
 * @param {string} token @returns {{sub?: string, iat?: number, exp?: number}} */
function claims(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    return {};
  }
}

/** @param {string} token */
const subject = (token) => claims(token).sub;
