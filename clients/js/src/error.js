/**
 * The one error of this client.
 *
 * `code` is a word of the server's catalogue, or one of the client's own: `unreachable` (no
 * answer at all), `timeout`, `bad_answer` (an answer that is not the server's, such as a
 * proxy's page), `queue_full`, `not_followed`, `protocol_error`, `unanswered`, `stopped`.
 * The sentence is for people, the code for programs.
 */

export class ApiError extends Error {
  /**
   * @param {number} status  the HTTP status; 0 where there was no answer
   * @param {string} code
   * @param {string} message
   * @param {{retryAfter?: number | null, requestId?: string | null, cause?: unknown}} [more]
   */
  constructor(status, code, message, more = {}) {
    super(message, { cause: more.cause });
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    /** Seconds to wait before trying again, where the server said so. */
    this.retryAfter = more.retryAfter ?? null;
    /** What to quote when asking the people who run the server. */
    this.requestId = more.requestId ?? null;
  }

  /** Whether the same request may well succeed a little later. */
  get isTransient() {
    return TRANSIENT.has(this.code) || this.status >= 502;
  }
}

const TRANSIENT = new Set(['unavailable', 'rate_limited', 'internal', 'request_timeout',
  'unreachable', 'timeout', 'unanswered']);

/**
 * The error that an HTTP answer carries.
 * @param {Response} response
 */
export async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const known = typeof body?.code === 'string';
  return new ApiError(
    response.status,
    known ? body.code : 'bad_answer',
    known ? String(body.error) : `The answer was HTTP ${response.status}.`,
    {
      retryAfter: retryAfterOf(response.headers.get('Retry-After'), Date.now()),
      requestId: response.headers.get('X-Request-Id'),
    },
  );
}

/**
 * The seconds of a `Retry-After` header, which may be a number or a date.
 * @param {string | null} value
 * @param {number} now
 */
export function retryAfterOf(value, now) {
  if (!value) return null;
  if (/^\d+$/.test(value.trim())) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - now) / 1000));
}
