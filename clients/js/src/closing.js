/**
 * What to do when a connection ended: section 7c of the contract as one function.
 *
 * 4000 to 4499 come back, 4500 to 4999 stop, whatever the code means in particular: so codes
 * of later servers are obeyed too. Everything below 4000 is a matter of the network or of the
 * server's life and comes back.
 */

import { ApiError } from './error.js';

/**
 * @typedef {object} Decision
 * @property {'reconnect' | 'renew' | 'reset' | 'mend' | 'stop'} action
 *   `renew`: get a token first. `reset`: the positions mean nothing any more. `mend`: what was
 *   in flight broke the protocol and must not be repeated by itself.
 * @property {string} reason
 * @property {number} [code]
 * @property {number} [floorMs]  wait this long at least
 */

/** @type {Record<number, [Decision['action'], string, number?]>} */
const KNOWN = {
  1000: ['reconnect', 'closed'],
  1001: ['reconnect', 'server_restart'],
  1002: ['mend', 'protocol_error'],
  1007: ['mend', 'protocol_error'],
  1009: ['mend', 'protocol_error'],
  1011: ['reconnect', 'server_error'],
  1012: ['reconnect', 'server_restart'],
  1013: ['reconnect', 'server_busy', 2_000],
  4401: ['renew', 'token_expired'],
  4408: ['reconnect', 'too_slow'],
  4409: ['reset', 'position_unknown'],
  4429: ['reconnect', 'rate_limited', 5_000],
  4501: ['stop', 'revoked'],
  4503: ['stop', 'removed'],
  4504: ['stop', 'deleted'],
};

/**
 * @param {number} code
 * @returns {Decision}
 */
export function decide(code) {
  const known = KNOWN[code];
  if (known) return { action: known[0], reason: known[1], code, floorMs: known[2] };
  if (code >= 4500 && code <= 4999) return { action: 'stop', reason: 'refused', code };
  return { action: 'reconnect', reason: 'network', code };
}

/**
 * The same for a REST call that a transport needed and did not get.
 * @param {unknown} error
 * @returns {Decision}
 */
export function decideError(error) {
  if (!(error instanceof ApiError)) return { action: 'reconnect', reason: 'network' };
  const { status: code, retryAfter } = error;
  const floorMs = (retryAfter ?? 0) * 1000;
  if (code === 401) return { action: 'renew', reason: 'unauthorized', code };
  if (error.code === 'origin_not_allowed') return { action: 'stop', reason: error.code, code };
  if (code === 429) return { action: 'reconnect', reason: 'rate_limited', code, floorMs };
  if (code >= 500) return { action: 'reconnect', reason: 'server_error', code, floorMs };
  return { action: 'reconnect', reason: 'network', code, floorMs };
}
