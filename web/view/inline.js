/**
 * Markdown within a line: code, emphasis, links, breaks. Text in, nodes out; what is no markup
 * stays text. Time grows with the length of the text, whatever it is made of: a closing mark
 * that was sought in vain is not sought again, and nesting has a depth.
 */

import { h } from './dom.js';
import { link } from './link.js';

const DEPTH_MAX = 6;
const TRIES_MAX = 50;
const SPECIAL = /[\\`*_~[\n]|https?:\/\//gi;
const NAMED = /\[([^[\]\n]{1,500})\]\(<?(https?:\/\/[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?\)/iy;
const BARE = /https?:\/\/[^\s<>"`\u0000-\u001f\u200b-\u200f\u202a-\u202e\u2060-\u2069]+/iy;
/** @type {Record<string, 'strong' | 'em' | 's'>} */
const TAGS = { '**': 'strong', '__': 'strong', '*': 'em', '_': 'em', '~~': 's' };

const isWord = (/** @type {string | undefined} */ sign) => !!sign && /[\p{L}\p{N}]/u.test(sign);
const isSpace = (/** @type {string | undefined} */ sign) => !sign || /\s/.test(sign);

/**
 * @param {string} text
 * @param {number} [depth]
 * @returns {Node[]}
 */
export function inline(text, depth = 0) {
  return new Line(text, depth).nodes();
}

class Line {
  /** @type {Node[]} */
  #out = [];
  #plain = '';
  #at = 0;
  /** @type {Set<string>} marks that close nowhere further on */
  #open = new Set();

  /** @param {string} text @param {number} depth */
  constructor(text, depth) {
    this.text = text;
    this.depth = depth;
  }

  nodes() {
    const { text } = this;
    while (this.#at < text.length) {
      SPECIAL.lastIndex = this.#at;
      const next = this.depth > DEPTH_MAX ? null : SPECIAL.exec(text);
      const start = next?.index ?? text.length;
      this.#plain += text.slice(this.#at, start);
      this.#at = start;
      if (next && !this.#markup(text[start])) this.#plain += text[this.#at++];
    }
    this.#flush();
    return this.#out;
  }

  /** Whether there was markup here, which is then behind us. @param {string} sign */
  #markup(sign) {
    switch (sign) {
      case '\\': return this.#escape();
      case '\n': return this.#add(h('br'), 1);
      case '`': return this.#code();
      case '[': return this.#named();
      case 'h': case 'H': return this.#bare();
      default: return this.#emphasis(sign);
    }
  }

  #escape() {
    const sign = this.text[this.#at + 1];
    if (!sign || !/[!-/:-@[-`{-~]/.test(sign)) return false;
    this.#plain += sign;
    this.#at += 2;
    return true;
  }

  #code() {
    const { text } = this;
    let end = this.#at;
    while (text[end] === '`') end++;
    const mark = text.slice(this.#at, end);
    let close = this.#open.has(mark) ? -1 : text.indexOf(mark, end);
    while (close >= 0 && text[close + mark.length] === '`') {
      while (text[close] === '`') close++;
      close = text.indexOf(mark, close);
    }
    if (close < 0) {
      this.#open.add(mark);
      this.#plain += mark;
      this.#at = end;
      return true;
    }
    const code = text.slice(end, close).replace(/\n/g, ' ');
    const isPadded = /^ .*[^ ].* $/.test(code);
    const shown = isPadded ? code.slice(1, -1) : code;
    return this.#add(h('code', {}, shown), close + mark.length - this.#at);
  }

  #named() {
    NAMED.lastIndex = this.#at;
    const match = NAMED.exec(this.text);
    if (!match) return false;
    return this.#add(link(match[2], inline(match[1], DEPTH_MAX - 1)), match[0].length);
  }

  #bare() {
    if (isWord(this.text[this.#at - 1])) return false;
    BARE.lastIndex = this.#at;
    let address = BARE.exec(this.text)?.[0] ?? '';
    const hasPair = address.includes('(');
    for (;;) {
      const end = address.at(-1) ?? '';
      const isOpened = end === ')' && hasPair;
      if (!end || !'.,;:!?\'*_~)]}'.includes(end) || isOpened) break;
      address = address.slice(0, -1);
    }
    if (address.length < 9) return false;
    return this.#add(link(address, address), address.length);
  }

  /** @param {string} sign */
  #emphasis(sign) {
    const { text } = this;
    const mark = text[this.#at + 1] === sign ? sign + sign : sign;
    const from = this.#at + mark.length;
    const isInWord = sign === '_' && isWord(text[this.#at - 1]);
    if (!(mark in TAGS) || isInWord || isSpace(text[from])) return this.#skip(mark);
    const close = this.#close(mark, from);
    if (close < 0) return this.#skip(mark);
    const inner = inline(text.slice(from, close), this.depth + 1);
    return this.#add(h(TAGS[mark], {}, inner), close + mark.length - this.#at);
  }

  /** @param {string} mark @param {number} from */
  #close(mark, from) {
    if (this.#open.has(mark)) return -1;
    const { text } = this;
    let close = from;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      close = text.indexOf(mark, close + (tries > 0 ? mark.length : 0));
      if (close < 0) {
        this.#open.add(mark);
        return -1;
      }
      // Of a longer run the last ones close: in ***x*** the inner one is closed within.
      while (text.startsWith(mark[0], close + mark.length) && mark.length === 2) close++;
      const isPart = mark.length === 1
        && (text[close + 1] === mark || (text[close - 1] === mark && close > from));
      const isInWord = mark[0] === '_' && isWord(text[close + mark.length]);
      if (close > from && !isPart && !isInWord && !isSpace(text[close - 1])) return close;
    }
    return -1;
  }

  /** No markup, all of it. @param {string} mark */
  #skip(mark) {
    this.#plain += mark;
    this.#at += mark.length;
    return true;
  }

  /** @param {Node | Node[]} nodes @param {number} length */
  #add(nodes, length) {
    this.#flush();
    this.#out.push(...[nodes].flat());
    this.#at += length;
    return true;
  }

  #flush() {
    if (this.#plain) this.#out.push(document.createTextNode(this.#plain));
    this.#plain = '';
  }
}
