/**
 * The people of an open session: its members, who of them is online, who types, how far the
 * others have read.
 */

import { Source } from './source.js';

const TYPING_MS = 6000;

/** @typedef {import('../assistdeck-client.js').ParticipantRow} ParticipantRow */

/** @extends {Source<{changed: void, typing: void}>} */
export class Presence extends Source {
  /** @type {Map<string, ParticipantRow>} the owner first */
  members = new Map();
  /** @type {Set<string> | null} null: nobody says */
  online = null;
  /** Whether the server has said who is here, since the last break. */
  isKnown = false;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #typing = new Map();
  /** @type {Map<string, number>} */
  #marks = new Map();
  #people;

  /** @param {import('./people.js').People} people */
  constructor(people) {
    super();
    this.#people = people;
  }

  /** @param {ParticipantRow[]} members @param {string[]} [online] */
  set(members, online) {
    this.#people.learn(members);
    this.members = new Map(members.map((row) => [row.user_id, row]));
    this.online = online ? new Set(online) : null;
    this.isKnown = true;
    this.tell('changed', undefined);
  }

  /** @param {import('../assistdeck-client.js').SessionEvent} event */
  apply(event) {
    if (event.type === 'participant.added') {
      this.#people.learn([event.data]);
      this.members.set(event.data.user_id, event.data);
    } else if (event.type === 'participant.removed') {
      this.members.delete(event.data.user_id);
      this.online?.delete(event.data.user_id);
      this.stopTyping(event.data.user_id);
    } else return;
    this.tell('changed', undefined);
  }

  /** @param {string} user @param {boolean} isOnline */
  setOnline(user, isOnline) {
    this.online ??= new Set();
    if (isOnline) this.online.add(user);
    else this.online.delete(user);
    if (!isOnline) this.stopTyping(user);
    this.tell('changed', undefined);
  }

  /** @param {string} user @param {boolean} isTyping */
  setTyping(user, isTyping) {
    clearTimeout(this.#typing.get(user));
    this.#typing.delete(user);
    if (isTyping) this.#typing.set(user, setTimeout(() => this.stopTyping(user), TYPING_MS));
    this.tell('typing', undefined);
  }

  /** @param {string} user */
  stopTyping(user) { if (this.#typing.has(user)) this.setTyping(user, false); }

  /** Names of those who type. */
  get typing() {
    return [...this.#typing.keys()].map((id) => this.#people.name(id) ?? 'Somebody');
  }

  /** @param {string} user @param {number} seq */
  read(user, seq) { this.#marks.set(user, Math.max(seq, this.#marks.get(user) ?? 0)); }

  /** Names of members who have read up to a message. @param {number} seq */
  readers(seq) {
    return [...this.#marks].flatMap(([id, mark]) => (
      mark >= seq && this.members.has(id) ? [this.#people.name(id) ?? 'Somebody'] : []));
  }

  /** Nobody tells us any more. */
  forget() {
    for (const timer of this.#typing.values()) clearTimeout(timer);
    this.#typing.clear();
    this.online = null;
    this.isKnown = false;
    this.tell('changed', undefined);
  }
}
