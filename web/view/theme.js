/** Light, dark, or as the device has it. */

import { kept } from '../model/keep.js';

export const THEMES = [
  { value: 'auto', label: 'As device' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];

/** @returns {string} */
export const theme = () => kept.get('theme') ?? 'auto';

/** @param {string} value */
export function setTheme(value) {
  kept.set('theme', value);
  applyTheme();
}

export function applyTheme() { document.documentElement.dataset.theme = theme(); }
