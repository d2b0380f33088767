/**
 * How long to wait before the next attempt: exponential with full jitter.
 *
 * The wait is drawn evenly from nothing up to `base`, 2 × `base`, 4 × `base`, … `max`, so that
 * the many clients of a server that went away come back spread out and not in waves.
 */

export class Backoff {
  #attempt = 0;

  /**
   * @param {number} baseMs
   * @param {number} maxMs
   * @param {() => number} random  from 0 up to 1
   */
  constructor(baseMs, maxMs, random) {
    this.baseMs = baseMs;
    this.maxMs = maxMs;
    this.random = random;
  }

  /**
   * The next wait in milliseconds, with `floorMs` under it.
   * @param {number} [floorMs]
   */
  next(floorMs = 0) {
    return Math.round(floorMs + this.random() * this.ceiling(this.#attempt++));
  }

  /** @param {number} attempt  from 0 */
  ceiling(attempt) {
    return Math.min(this.maxMs, this.baseMs * 2 ** Math.min(attempt, 30));
  }

  reset() {
    this.#attempt = 0;
  }
}
