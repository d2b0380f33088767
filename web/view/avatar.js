/** A person in a circle: initials on a colour that follows from the id; assistants a star. */

import { h } from './dom.js';
import { icon } from './icons.js';

const TONES = 8;

/**
 * @param {string} id
 * @param {string} name
 * @param {{isAssistant?: boolean, isOnline?: boolean}} [look]
 */
export function avatar(id, name, { isAssistant = false, isOnline = false } = {}) {
  const face = isAssistant ? icon('spark') : initials(name);
  const tone = isAssistant ? 'assistant' : `tone-${toneOf(id)}`;
  return h('span', { class: `avatar ${tone}`, 'aria-hidden': 'true' }, face,
    isOnline && h('span', { class: 'dot' }));
}

/** @param {string} name */
function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((word) => [...word][0] ?? '?').join('').toLocaleUpperCase();
}

/** @param {string} id */
export function toneOf(id) {
  let sum = 0;
  for (let at = 0; at < id.length; at++) sum = (sum * 31 + id.charCodeAt(at)) >>> 0;
  return sum % TONES;
}
