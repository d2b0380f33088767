/**
 * What the user's fingers and eyes produce, thinned: typing and read marks.
 *
 * Typing is told when it begins and again only where the server would forget it; its end is
 * told once. A read mark only grows; at most one a second goes out, and the last one always.
 * Pure: the time is given, frames come back.
 */

const TYPING_AGAIN_MS = 3_000;
const TYPING_ENDS_MS = 6_000;
export const READ_EVERY_MS = 1_000;
const REPEAT_MS = 60_000;

/** @typedef {import('./wire.js').ClientFrame} ClientFrame */

export class Signals {
  /** @type {Map<string, number>} when typing was told last */
  #typing = new Map();
  /** @type {Map<string, {seq: number, told: number, at: number}>} */
  #marks = new Map();

  /**
   * @param {string} sessionId
   * @param {boolean} isTyping
   * @param {number} now
   * @returns {ClientFrame | null}
   */
  typing(sessionId, isTyping, now) {
    const told = this.#typing.get(sessionId);
    if (isTyping) {
      if (told !== undefined && now - told < TYPING_AGAIN_MS) return null;
      this.#typing.set(sessionId, now);
    } else {
      this.#typing.delete(sessionId);
      if (told === undefined || now - told >= TYPING_ENDS_MS) return null;
    }
    return { type: 'typing', session_id: sessionId, is_typing: isTyping };
  }

  /**
   * Remembers that the user has read up to `seq`.
   * @param {string} sessionId
   * @param {number} seq
   */
  read(sessionId, seq) {
    const mark = this.#marks.get(sessionId);
    if (!mark) this.#marks.set(sessionId, { seq, told: 0, at: -Infinity });
    else if (seq > mark.seq) mark.seq = seq;
  }

  /**
   * The read marks that may go out now; the rest is due a second later at most.
   * @param {number} now
   * @param {(sessionId: string) => boolean} mayGo
   * @returns {ClientFrame[]}
   */
  due(now, mayGo) {
    /** @type {ClientFrame[]} */
    const frames = [];
    for (const [session_id, mark] of this.#marks) {
      if (mark.seq <= mark.told || now - mark.at < READ_EVERY_MS || !mayGo(session_id)) continue;
      mark.told = mark.seq;
      mark.at = now;
      frames.push({ type: 'read', session_id, seq: mark.seq });
    }
    return frames;
  }

  /** Whether a mark has still to be told. */
  get isBehind() {
    for (const mark of this.#marks.values()) if (mark.seq > mark.told) return true;
    return false;
  }

  /** @param {string} sessionId */
  forget(sessionId) {
    this.#typing.delete(sessionId);
    this.#marks.delete(sessionId);
  }

  /**
   * The connection broke: what was told in its last minute may not have arrived.
   * @param {number} now
   */
  repeat(now) {
    this.#typing.clear();
    for (const mark of this.#marks.values()) {
      if (now - mark.at > REPEAT_MS) continue;
      mark.told = 0;
      mark.at = -Infinity;
    }
  }
}
