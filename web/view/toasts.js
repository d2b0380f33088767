/** Short words about what just happened, with a way back where there is one. */

import { h, put } from './dom.js';
import { icon } from './icons.js';

const STAY_MS = 6000;

const shelf = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });

/** The place where they appear; once in the page. */
export const toasts = () => shelf;

/** What is not in the dialog on top can't be reached. */
export function placeToasts() {
  const home = [...document.querySelectorAll('dialog[open]')].at(-1)
    ?? document.getElementById('app');
  if (home && shelf.parentElement !== home) home.append(shelf);
}

/**
 * @param {string | Array<import('./dom.js').Child>} text
 * @param {{label: string, run: () => unknown}} [action]
 * @returns {() => void} takes it away
 */
export function toast(text, action) {
  const close = () => {
    clearTimeout(timer);
    box.remove();
  };
  const box = h('div', { class: 'toast' },
    h('span', {}, ...[text].flat()),
    action && h('button', {
      type: 'button', class: 'text-button', onclick: () => { close(); action.run(); },
    }, action.label),
    h('button', { type: 'button', class: 'icon-button', 'aria-label': 'Dismiss', onclick: close },
      icon('close')));
  let timer = setTimeout(close, STAY_MS);
  const stay = () => clearTimeout(timer);
  const go = () => { timer = setTimeout(close, STAY_MS); };
  for (const name of ['pointerenter', 'focusin']) box.addEventListener(name, stay);
  for (const name of ['pointerleave', 'focusout']) box.addEventListener(name, go);
  placeToasts();
  shelf.append(box);
  while (shelf.children.length > 3) shelf.firstElementChild?.remove();
  return close;
}

export const clearToasts = () => put(shelf);
