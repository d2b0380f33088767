/**
 * The catalogue of frames: every `type` of `assistdeck.v1`, and what kind of thing it is.
 *
 * `event`: durable and numbered. `signal`: handed to the application as it is, may be lost.
 * `reply`: part of the conversation between client and server. The tests hold this against
 * the server's golden frames. A type that is not here reaches the application as `unknown`.
 */

/** @typedef {import('./wire.js').ServerFrame} ServerFrame */

/** @type {Record<ServerFrame['type'], 'event' | 'signal' | 'reply'>} */
export const SERVER_FRAMES = {
  'message.created': 'event',
  'message.updated': 'event',
  'message.deleted': 'event',
  'participant.added': 'event',
  'participant.removed': 'event',
  'session.updated': 'event',
  'session.deleted': 'event',
  presence: 'signal',
  typing: 'signal',
  read: 'signal',
  'session.added': 'signal',
  'session.removed': 'signal',
  'session.activity': 'signal',
  hello: 'reply',
  following: 'reply',
  caught_up: 'reply',
  'message.sent': 'reply',
  token_expiring: 'reply',
  error: 'reply',
};

/** @type {Record<import('./wire.js').ClientFrame['type'], true>} */
export const CLIENT_FRAMES = {
  'message.send': true,
  follow: true,
  leave: true,
  typing: true,
  read: true,
  auth: true,
};

/**
 * A frame's object, or null for what is none.
 * @param {unknown} text
 * @returns {ServerFrame | null}
 */
export function decode(text) {
  if (typeof text !== 'string') return null;
  try {
    const frame = JSON.parse(text);
    return typeof frame?.type === 'string' ? frame : null;
  } catch {
    return null;
  }
}

/**
 * @param {{type: string}} frame
 * @returns {'event' | 'signal' | 'reply' | 'unknown'}
 */
export function kindOf(frame) {
  return Object.hasOwn(SERVER_FRAMES, frame.type)
    ? SERVER_FRAMES[/** @type {ServerFrame['type']} */ (frame.type)]
    : 'unknown';
}
