/**
 * What changed in the list of sessions from one look to the next, told in the frames that
 * a socket would have brought. Pure: lists in, frames out. The first look tells nothing.
 */

/** @typedef {import('./wire.js').ServerFrame} ServerFrame */

export class Listing {
  /** @type {Map<string, number> | null} the heads seen last */
  #heads = null;

  /**
   * @param {import('./wire.js').ListedSession[]} sessions
   * @param {boolean} isComplete  whether the list ends here: else nothing is known to be gone
   * @param {(sessionId: string) => boolean} isFollowed
   * @returns {ServerFrame[]}
   */
  compare(sessions, isComplete, isFollowed) {
    const old = this.#heads;
    const heads = this.#heads = new Map(isComplete ? [] : old);
    /** @type {ServerFrame[]} */
    const frames = [];
    for (const session of sessions) {
      const { id: session_id, last_seq, last_message } = session;
      heads.set(session_id, last_seq);
      if (!old || isFollowed(session_id)) continue;
      if (!old.has(session_id)) frames.push({ type: 'session.added', session });
      else if (old.get(session_id) !== last_seq) {
        frames.push({ type: 'session.activity', session_id, last_seq, last_message });
      }
    }
    for (const session_id of old?.keys() ?? []) {
      if (!heads.has(session_id)) frames.push({ type: 'session.removed', session_id });
    }
    return frames;
  }
}
