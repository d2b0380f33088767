/**
 * Reads server-sent events (HTML Standard, 9.2.6) from pieces of text, cut anywhere.
 *
 * Pure: text in, finished events out. An unfinished event is kept for the next piece, up to
 * a bound; what is unfinished at the end of a stream was never sent.
 */

/** @typedef {{id: string, event: string, data: string}} SseEvent */

const PENDING_CHARS_MAX = 4 * 1024 * 1024;

export class SseParser {
  #rest = '';
  #started = false;
  /** @type {string[]} */
  #data = [];
  #chars = 0;
  #event = '';
  #id = '';

  /**
   * @param {string} text
   * @returns {SseEvent[]}
   */
  push(text) {
    if (!this.#started && text) {
      this.#started = true;
      if (text.startsWith('\uFEFF')) text = text.slice(1);
    }
    /** @type {SseEvent[]} */
    const events = [];
    const buffer = this.#rest + text;
    let from = 0;
    for (;;) {
      const end = lineEnd(buffer, from);
      if (!end) break;
      this.#line(buffer.slice(from, end[0]), events);
      from = end[1];
    }
    this.#rest = buffer.slice(from);
    if (this.#rest.length + this.#chars > PENDING_CHARS_MAX) {
      throw new RangeError('A server-sent event is too long.');
    }
    return events;
  }

  /**
   * @param {string} line
   * @param {SseEvent[]} events
   */
  #line(line, events) {
    if (line === '') {
      if (this.#data.length > 0) {
        events.push({
          id: this.#id, event: this.#event || 'message', data: this.#data.join('\n'),
        });
      }
      this.#data = [];
      this.#chars = 0;
      this.#event = '';
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (field === 'data') {
      this.#data.push(value);
      this.#chars += value.length;
    } else if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }
}

/**
 * Where the line ends and where the next begins. A CR at the very end may be half of a CRLF,
 * so it waits for the next piece.
 * @param {string} text
 * @param {number} from
 * @returns {[number, number] | null}
 */
function lineEnd(text, from) {
  const lf = text.indexOf('\n', from);
  const cr = text.indexOf('\r', from);
  if (cr >= 0 && (lf < 0 || cr < lf)) {
    if (cr + 1 === text.length) return null;
    return [cr, text[cr + 1] === '\n' ? cr + 2 : cr + 1];
  }
  return lf < 0 ? null : [lf, lf + 1];
}
