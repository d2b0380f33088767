/**
 * Links out of what people wrote: http and https alone, in a new tab that knows nothing of us.
 * Where the text of a link pretends to be another address, the true host is said behind it.
 */

import { h } from './dom.js';

/** Signs that turn the direction of writing, or are not seen at all. */
const HIDDEN = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/**
 * @param {string} address
 * @returns {URL | null}
 */
export function webUrl(address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  return url && (url.protocol === 'http:' || url.protocol === 'https:') ? url : null;
}

/**
 * @param {string} address
 * @param {Node[] | string} label
 * @returns {Node[]} a link, or the label alone where the address is none
 */
export function link(address, label) {
  const url = webUrl(address);
  const text = typeof label === 'string'
    ? [document.createTextNode(label.replace(HIDDEN, ''))] : label;
  if (!url) return text;
  const anchor = h('a', {
    href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow ugc', title: url.href,
  }, h('bdi', {}, ...text));
  const said = (anchor.textContent ?? '').replace(HIDDEN, '');
  const claim = /^\s*(?:https?:\/\/)?(?:[^\s/@]*@)?([\w-]+(?:\.[\w-]+)+)/i.exec(said)?.[1];
  const isHonest = !claim || claim.toLowerCase() === url.hostname
    || `www.${claim.toLowerCase()}` === url.hostname;
  const isMasked = url.username !== '' || said.length !== (anchor.textContent ?? '').length;
  if (isHonest && !isMasked) return [anchor];
  return [anchor, h('span', { class: 'host' }, ` (${url.host})`)];
}
