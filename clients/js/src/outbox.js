/**
 * The messages on their way, in the order in which they were written.
 *
 * An entry waits, is in flight, and leaves when it is settled; a failed one stays until it is
 * retried or discarded. At most `inFlightMax` are in flight; all together are bounded. Within
 * a session nothing overtakes an entry that waits. What was in flight when a connection broke
 * waits again, with the same `client_id`, so that the server can tell the repeat.
 * Pure: never sends, never looks at a clock of its own.
 */

/**
 * @typedef {object} Entry
 * @property {string} client_id
 * @property {string} session_id
 * @property {'waiting' | 'inflight' | 'failed'} phase
 * @property {number} attempts   answers so far that asked to try again
 * @property {number} notBefore  when it may go out
 * @property {number} sentAt     when it went out last
 */

/** @template {{client_id: string, session_id: string}} T */
export class Outbox {
  /** @type {Map<string, T & Entry>} */
  #entries = new Map();
  #inFlight = 0;

  /**
   * @param {number} inFlightMax
   * @param {number} entriesMax
   */
  constructor(inFlightMax, entriesMax) {
    this.inFlightMax = inFlightMax;
    this.entriesMax = entriesMax;
  }

  get isFull() { return this.#entries.size >= this.entriesMax; }

  get inFlight() { return this.#inFlight; }

  /** @param {T} item  which becomes the entry */
  add(item) {
    if (this.isFull || this.#entries.has(item.client_id)) {
      throw new RangeError('The outbox is full, or has this client_id.');
    }
    /** @type {Entry} */
    const state = {
      client_id: item.client_id, session_id: item.session_id,
      phase: 'waiting', attempts: 0, notBefore: 0, sentAt: 0,
    };
    const entry = Object.assign(item, state);
    this.#entries.set(item.client_id, entry);
    return entry;
  }

  /** @param {string | undefined} clientId */
  get(clientId) { return clientId === undefined ? undefined : this.#entries.get(clientId); }

  values() { return [...this.#entries.values()]; }

  /**
   * The next entry to send, now in flight; null when nothing may go.
   * @param {number} now
   * @param {(sessionId: string) => boolean} mayGo
   */
  take(now, mayGo) {
    if (this.#inFlight >= this.inFlightMax) return null;
    const held = new Set();
    for (const entry of this.#entries.values()) {
      if (entry.phase !== 'waiting' || held.has(entry.session_id)) continue;
      if (entry.notBefore <= now && mayGo(entry.session_id)) {
        this.#phase(entry, 'inflight');
        entry.sentAt = now;
        return entry;
      }
      held.add(entry.session_id);
    }
    return null;
  }

  /**
   * Takes an entry out: it was stored, or given up.
   * @param {string | undefined} clientId
   */
  settle(clientId) {
    const entry = this.get(clientId);
    if (!entry) return undefined;
    this.#phase(entry, 'failed');
    this.#entries.delete(entry.client_id);
    return entry;
  }

  /** @param {T & Entry} entry */
  fail(entry) { this.#phase(entry, 'failed'); }

  /**
   * Lets an entry wait (again).
   * @param {T & Entry} entry
   * @param {number} [notBefore]
   */
  wait(entry, notBefore = 0) {
    this.#phase(entry, 'waiting');
    entry.notBefore = notBefore;
  }

  /** Those in flight since before `time`. @param {number} time */
  overdue(time) {
    return this.values().filter((entry) => entry.phase === 'inflight' && entry.sentAt <= time);
  }

  /**
   * @param {T & Entry} entry
   * @param {Entry['phase']} phase
   */
  #phase(entry, phase) {
    if (entry.phase === 'inflight') this.#inFlight--;
    if (phase === 'inflight') this.#inFlight++;
    entry.phase = phase;
  }
}
