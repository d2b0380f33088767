/**
 * The JavaScript client of AssistDeck: `Api` is REST, `Live` is real time over an `Api`.
 *
 * No dependencies; browsers and Node 20 or later. Start with the README.
 */

export { Api } from './api.js';
export { ApiError } from './error.js';
export { Live } from './live.js';
