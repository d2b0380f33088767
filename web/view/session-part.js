/** A part of the page that is about the open session. */

import { Part } from './dom.js';

export class SessionPart extends Part {
  /**
   * @param {import('../model/deck.js').Deck} deck
   * @param {import('../model/opened.js').Opened} opened
   */
  constructor(deck, opened) {
    super();
    this.deck = deck;
    this.opened = opened;
  }
}
