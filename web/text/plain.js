/**
 * Names and titles without signs that turn the direction of what stands around them: they would
 * let one name look like another.
 */

const TURNING = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** @param {string} text */
export const plain = (text) => text.replace(TURNING, '').trim() || '?';
