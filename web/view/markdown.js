/**
 * Markdown, a subset, to nodes: paragraphs, headings, lists, quotes, rules, fenced code; within
 * them what `inline` knows. HTML is text like any other. A line of a paragraph that ends is a
 * line that ends, as in any chat.
 */

import { copyText, h } from './dom.js';
import { icon } from './icons.js';
import { inline } from './inline.js';

const DEPTH_MAX = 5;
/** Longer lines are text: no fence, rule or heading is that long. */
const LINE_MAX = 300;
/** What has more lines is shown as it is: nobody reads that many blocks. */
const LINES_MAX = 2000;
const FENCE = /^ {0,3}(`{3,}|~{3,}) *([\w+#.-]{0,30})[^`]*$/;
const HEADING = /^ {0,3}#{1,6} +(.*?)(?: +#+)? *$/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,9})([-*+•]|\d{1,9}[.)]) +(?=\S)/;

/** @param {string} line */
const isRule = (line) => line.length < LINE_MAX && RULE.test(line);

/** @param {string} text @returns {Node[]} */
export function markdown(text) {
  const lines = text.replace(/\r\n?/g, '\n').replaceAll('\t', '    ').split('\n');
  if (lines.length > LINES_MAX) return [h('p', { class: 'plain' }, text)];
  return blocks(lines, 0);
}

/** @param {string[]} lines @param {number} depth @returns {Node[]} */
function blocks(lines, depth) {
  /** @type {Node[]} */
  const out = [];
  /** @type {string[]} */
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) out.push(h('p', {}, inline(paragraph.join('\n'))));
    paragraph = [];
  };
  for (let at = 0; at < lines.length;) {
    const block = lines[at].trim() ? blockAt(lines, at, depth) : { node: null, next: at + 1 };
    if (!block) {
      paragraph.push(lines[at++]);
      continue;
    }
    flush();
    if (block.node) out.push(block.node);
    at = block.next;
  }
  flush();
  return out;
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {{node: Node, next: number} | null} null: a line of a paragraph
 */
function blockAt(lines, at, depth) {
  const line = lines[at];
  const fence = line.length < LINE_MAX && FENCE.exec(line);
  if (fence) return fenced(lines, at, fence[1], fence[2]);
  if (isRule(line)) return { node: h('hr'), next: at + 1 };
  const heading = line.length < LINE_MAX && HEADING.exec(line);
  if (heading && heading[1]) {
    return { node: h('p', { class: 'heading' }, inline(heading[1])), next: at + 1 };
  }
  if (depth >= DEPTH_MAX) return null;
  if (QUOTE.test(line)) return quote(lines, at, depth);
  if (ITEM.test(line)) return list(lines, at, depth);
  return null;
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {string} mark
 * @param {string} language
 */
function fenced(lines, at, mark, language) {
  let end = at + 1;
  const isClose = (/** @type {string} */ line) => (
    line.trimStart().startsWith(mark) && line.trim().replaceAll(mark[0], '') === '');
  while (end < lines.length && !isClose(lines[end])) end++;
  const code = lines.slice(at + 1, end).join('\n');
  return { node: codeBlock(code, language), next: end + 1 };
}

/** @param {string} code @param {string} language */
function codeBlock(code, language) {
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': 'Copy code' },
    icon('copy'), h('span', {}, 'Copy'));
  button.addEventListener('click', async () => {
    await copyText(code);
    button.replaceChildren(icon('check'), h('span', {}, 'Copied'));
    setTimeout(() => button.replaceChildren(icon('copy'), h('span', {}, 'Copy')), 2000);
  });
  return h('div', { class: 'code' },
    h('div', { class: 'code-head' }, h('span', {}, language), button),
    h('pre', { tabindex: 0, 'aria-label': `${language} code`.trim(), role: 'region', dir: 'ltr' },
      h('code', {}, code)));
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end++;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ''));
  return { node: h('blockquote', {}, blocks(inner, depth + 1)), next: end };
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function list(lines, at, depth) {
  const first = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const isOrdered = /\d/.test(first[2]);
  /** @type {Node[]} */
  const items = [];
  let next = at;
  for (;;) {
    const item = ITEM.exec(lines[next] ?? '');
    if (!item || /\d/.test(item[2]) !== isOrdered || isRule(lines[next])) break;
    const width = item[0].length;
    const end = endOfItem(lines, next, width);
    const inner = lines.slice(next, end).map((line, index) => (
      index === 0 ? line.slice(width) : line.replace(/^ {1,12}/, (pad) => pad.slice(width))));
    items.push(listItem(blocks(inner, depth + 1)));
    // A blank line between two items belongs to neither.
    const isLoose = end < lines.length && !lines[end].trim() && ITEM.test(lines[end + 1] ?? '');
    next = isLoose ? end + 1 : end;
  }
  const start = isOrdered ? Number.parseInt(first[2], 10) : 1;
  const node = isOrdered ? h('ol', { start: start === 1 ? null : start }, items)
    : h('ul', {}, items);
  return { node, next };
}

/** @param {string[]} lines @param {number} at @param {number} width  of its mark */
function endOfItem(lines, at, width) {
  let end = at + 1;
  for (; end < lines.length; end++) {
    const line = lines[end];
    const indent = line.length - line.trimStart().length;
    if (!line.trim()) {
      const below = lines[end + 1] ?? '';
      if (!below.trim() || below.length - below.trimStart().length < Math.min(width, 2)) break;
    } else if (indent < Math.min(width, 2)) break;
  }
  return end;
}

/** An item of one paragraph needs none. @param {Node[]} inner */
function listItem(inner) {
  const [first, ...rest] = inner;
  const isParagraph = first instanceof HTMLParagraphElement && !first.className;
  return h('li', {}, isParagraph ? [...first.childNodes] : first ? [first] : [], rest);
}
