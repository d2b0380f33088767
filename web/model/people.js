/**
 * Names by user id, as far as they were ever told. Messages carry ids alone; the lists of
 * members bring the names. They are kept, so that those who left still have one.
 */

import { plain } from '../text/plain.js';
import { kept } from './keep.js';

const NAMES_MAX = 1000;

export class People {
  /** @type {Map<string, string>} */
  #names = new Map(Object.entries(kept.get('names') ?? {}));
  /** @type {Set<string>} ids whose messages were marked as an assistant's */
  #assistants = new Set();

  /** @param {{id: string, name: string}} me */
  constructor(me) {
    this.me = me;
    this.#names.set(me.id, plain(me.name));
  }

  /** @param {Array<{user_id: string, name: string}>} rows */
  learn(rows) {
    for (const { user_id, name } of rows) this.#names.set(user_id, plain(name));
    kept.set('names', Object.fromEntries([...this.#names].slice(-NAMES_MAX)));
  }

  /** @param {{sender_id: string, is_ai_message: boolean}} message */
  meet({ sender_id, is_ai_message }) {
    if (is_ai_message) this.#assistants.add(sender_id);
  }

  /** @param {string} id */
  isAssistant(id) { return this.#assistants.has(id); }

  /** @param {string} id */
  isMe(id) { return id === this.me.id; }

  /** @param {string} id */
  knows(id) { return this.#names.has(id); }

  /** @param {string} id @returns {string | undefined} */
  name(id) { return this.#names.get(id); }
}
