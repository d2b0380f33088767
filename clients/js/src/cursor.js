/**
 * The last number of a session's log that was handed over.
 *
 * Numbers are dense from 1, so one comparison tells whether an event is the next one, an old
 * one that came again, or stands behind a hole. A cursor without a position waits for one.
 */

export class Cursor {
  /** @param {number | null} [seq] */
  constructor(seq = null) {
    /** The last number taken, or null before the position is known. */
    this.seq = seq;
  }

  /**
   * Takes a number if it is the next one.
   * @param {number} seq
   * @returns {'next' | 'old' | 'gap'}
   */
  take(seq) {
    if (this.seq === null || seq > this.seq + 1) return 'gap';
    if (seq <= this.seq) return 'old';
    this.seq = seq;
    return 'next';
  }
}
