/**
 * A button with a menu: arrows move in it, Escape and a click elsewhere close it.
 */

import { h } from './dom.js';
import { icon } from './icons.js';

/**
 * @typedef {object} Entry
 * @property {import('./icons.js').IconName} icon
 * @property {string} label
 * @property {() => void} run
 * @property {boolean} [isDanger]
 */

/** @param {string} label @param {() => Entry[]} entries */
export function menuButton(label, entries) {
  const menu = h('div', { class: 'menu', role: 'menu', popover: 'auto', 'aria-label': label });
  const button = h('button', {
    type: 'button', class: 'icon-button', 'aria-label': label, title: label,
    'aria-haspopup': 'menu', 'aria-expanded': 'false',
    onclick: () => menu.togglePopover(),
  }, icon('more'));
  menu.addEventListener('beforetoggle', (event) => {
    const isOpen = /** @type {ToggleEvent} */ (event).newState === 'open';
    button.setAttribute('aria-expanded', String(isOpen));
    if (!isOpen) return;
    menu.replaceChildren(...entries().map((entry) => h('button', {
      type: 'button', role: 'menuitem', class: entry.isDanger ? 'danger' : '', tabindex: -1,
      onclick: () => { menu.hidePopover(); entry.run(); },
    }, icon(entry.icon), entry.label)));
    const { bottom, right } = button.getBoundingClientRect();
    menu.style.top = `${bottom + 6}px`;
    menu.style.right = `${innerWidth - right}px`;
  });
  menu.addEventListener('toggle', () => focusIn(menu, 0));
  menu.addEventListener('keydown', ({ key }) => {
    const items = /** @type {Element[]} */ ([...menu.children]);
    const at = document.activeElement ? items.indexOf(document.activeElement) : -1;
    if (key === 'ArrowDown') focusIn(menu, (at + 1) % items.length);
    else if (key === 'ArrowUp') focusIn(menu, (at + items.length - 1) % items.length);
    else if (key === 'Tab') menu.hidePopover();
  });
  return h('div', { class: 'menu-holder' }, button, menu);
}

/** @param {HTMLElement} menu @param {number} at */
function focusIn(menu, at) {
  const item = menu.children[at];
  if (menu.matches(':popover-open') && item instanceof HTMLElement) item.focus();
}
