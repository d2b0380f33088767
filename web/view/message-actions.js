/**
 * What can be done with a message, and the keyboard's way through the list.
 *
 * One toolbar for all rows: it moves to the row under the pointer, the one that was tapped, or
 * the one with the focus. One row at a time can be reached with Tab; arrows move on from there.
 */

import { copyText, h, put } from './dom.js';
import { icon } from './icons.js';

/**
 * @typedef {object} Wishes
 * @property {(message: import('../assistdeck-client.js').Message) => void} edit
 * @property {(message: import('../assistdeck-client.js').Message) => void} remove
 */

const MOVES = /** @type {Record<string, number>} */ ({
  ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity,
});

export class MessageActions {
  #bar = h('div', { class: 'actions', role: 'group', 'aria-label': 'Message' });
  /** @type {Element | null} */
  #active = null;

  /**
   * @param {HTMLOListElement} list
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/opened.js').Opened} opened
   * @param {Wishes} wishes
   */
  constructor(list, deck, opened, wishes) {
    this.list = list;
    this.deck = deck;
    this.opened = opened;
    this.wishes = wishes;
    list.addEventListener('pointerover', (event) => this.#over(event));
    list.addEventListener('pointerleave', () => this.#leave());
    list.addEventListener('focusin', (event) => this.#focus(event));
    list.addEventListener('click', (event) => this.#place(rowOf(event)));
    list.addEventListener('keydown', (event) => this.#key(event));
  }

  /**
   * A row was made anew.
   * @param {Element} old
   * @param {HTMLElement} row
   * @param {boolean} hadFocus
   */
  replaced(old, row, hadFocus) {
    if (old === this.#active) {
      this.#active = row;
      row.tabIndex = 0;
    }
    if (this.#bar.parentElement === old) this.#place(row);
    if (hadFocus) row.focus({ preventScroll: true });
  }

  /** One row can be reached: the last one, until the focus is on another. */
  settle() {
    if (this.#active?.isConnected && this.list.contains(document.activeElement)) return;
    const last = this.list.lastElementChild;
    if (last === this.#active) return;
    if (this.#active instanceof HTMLElement) this.#active.tabIndex = -1;
    this.#active = last;
    if (last instanceof HTMLElement) last.tabIndex = 0;
  }

  /** @param {PointerEvent} event */
  #over(event) { if (event.pointerType !== 'touch') this.#place(rowOf(event)); }

  #leave() {
    if (!this.#bar.parentElement?.contains(document.activeElement)) this.#bar.remove();
  }

  /** @param {FocusEvent} event */
  #focus(event) {
    const row = rowOf(event);
    if (!row) return;
    if (this.#active instanceof HTMLElement) this.#active.tabIndex = -1;
    this.#active = row;
    row.tabIndex = 0;
    this.#place(row);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const row = rowOf(event);
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move && (event.target === row || event.key.startsWith('Arrow'))) {
      if (event.target instanceof HTMLPreElement) return;
      event.preventDefault();
      this.#moveTo(row, move);
      return;
    }
    const message = this.#messageOf(row);
    if (!message || event.target !== row) return;
    if (event.key === 'Delete' && this.#mayDelete(message)) this.wishes.remove(message);
    else if (event.key === 'Enter' && this.#isMine(message)) this.wishes.edit(message);
    else return;
    event.preventDefault();
  }

  /** @param {HTMLElement} row @param {number} move */
  #moveTo(row, move) {
    const next = move === -Infinity ? this.list.firstElementChild
      : move === Infinity ? this.list.lastElementChild
        : move < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!(next instanceof HTMLElement)) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
  }

  /** @param {HTMLElement | null} row */
  #place(row) {
    const message = row && this.#messageOf(row);
    if (!message) {
      this.#bar.remove();
      return;
    }
    if (this.#bar.parentElement === row && this.#bar.dataset.id === message.id) return;
    this.#bar.dataset.id = message.id;
    put(this.#bar, this.#copy(message),
      this.#isMine(message) && button('edit', 'Edit', () => this.wishes.edit(message)),
      this.#mayDelete(message) && button('trash', 'Delete', () => this.wishes.remove(message)));
    row.append(this.#bar);
  }

  /** @param {import('../assistdeck-client.js').Message} message */
  #copy(message) {
    const copy = button('copy', 'Copy', async () => {
      await copyText(message.content);
      put(copy, icon('check'));
      setTimeout(() => put(copy, icon('copy')), 1500);
    });
    return copy;
  }

  /** @param {HTMLElement} row */
  #messageOf(row) {
    const seq = Number(row.dataset.seq ?? -1);
    const item = this.opened.log.items[this.opened.log.indexOf(seq)];
    return item?.seq === seq ? item.message : undefined;
  }

  /** @param {{sender_id: string}} message */
  #isMine(message) { return this.deck.people.isMe(message.sender_id); }

  /** @param {{sender_id: string}} message */
  #mayDelete(message) { return this.opened.isOwner || this.#isMine(message); }
}

/** @param {Event} event @returns {HTMLElement | null} */
function rowOf(event) {
  return event.target instanceof Element ? event.target.closest('li.row') : null;
}

/** @param {import('./icons.js').IconName} name @param {string} label @param {() => void} onclick */
function button(name, label, onclick) {
  return h('button', { type: 'button', 'aria-label': label, title: label, onclick }, icon(name));
}
