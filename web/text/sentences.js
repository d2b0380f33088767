/**
 * What the page says: errors, and the states of the connection, in words for people. The
 * server's own sentence stands in where there is none here.
 */

import { ApiError } from '../assistdeck-client.js';

/** @type {Record<string, string>} */
const ERRORS = {
  unreachable: 'The server can’t be reached. Check your connection and try again.',
  timeout: 'The server took too long to answer. Please try again.',
  bad_answer: 'Something between this page and the server answered in its place.',
  unavailable: 'The server is busy or restarting. Please try again in a moment.',
  internal: 'Something went wrong on the server. Please try again.',
  invalid_credentials: 'Email and password don’t match.',
  email_taken: 'There is an account with this email already. Sign in instead?',
  registration_closed: 'This server takes no new accounts. Ask whoever runs it for one.',
  invalid_email: 'This is not an email address.',
  invalid_name: 'A name has 1 to 100 characters.',
  invalid_password: 'A password has 8 to 128 characters.',
  password_too_common: 'This password is too easy to guess. Take a longer or odder one.',
  invalid_title: 'A title has 1 to 200 characters, on one line.',
  user_not_found: 'Nobody here has this email. They need to create an account first.',
  already_participant: 'This person is in the session already.',
  not_session_owner: 'Only the owner of the session can do this.',
  not_a_member: 'You don’t have access to this session any more.',
  session_not_found: 'This session doesn’t exist any more.',
  message_not_found: 'This message doesn’t exist any more.',
  content_too_large: 'This message is too long: 64 KiB is the most.',
  invalid_content: 'This message holds signs that can’t be sent.',
  message_deleted: 'This message was sent and deleted since.',
  queue_full: 'Too many messages are waiting to be sent.',
  stopped: 'The connection ended before it was sent.',
};

/** @param {unknown} error */
export function sentence(error) {
  if (!(error instanceof ApiError)) return 'Something went wrong in this page. Please reload it.';
  if (error.code === 'rate_limited') {
    const seconds = error.retryAfter ?? 0;
    const wait = seconds > 90 ? `${Math.ceil(seconds / 60)} minutes`
      : seconds > 1 ? `${seconds} seconds` : 'a moment';
    return `Too many attempts. Please wait ${wait} and try again.`;
  }
  return ERRORS[error.code] ?? error.message;
}

/** @param {string} code */
export const sentenceOf = (code) => ERRORS[code] ?? 'Something went wrong.';

/** @type {Record<string, string>} */
const OFFLINE = {
  server_restart: 'The server is restarting.',
  server_error: 'The server has a problem.',
  server_busy: 'The server is busy.',
  too_slow: 'The connection was too slow.',
  rate_limited: 'Too much at once: taking a short break.',
  token_expired: 'Renewing your sign-in.',
  unauthorized: 'Renewing your sign-in.',
  protocol_error: 'The connection broke off.',
  origin_not_allowed: 'This server doesn’t allow this page’s address. Ask whoever runs it.',
  refused: 'The server refused the connection.',
};

/** @param {import('../assistdeck-client.js').State} state @param {boolean} hasNetwork */
export function offlineReason({ reason = '' }, hasNetwork) {
  if (!hasNetwork) return 'Your device has no network.';
  return OFFLINE[reason] ?? 'The server can’t be reached.';
}
