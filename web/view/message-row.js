/**
 * One row of a session: a message with its author, time and marks; one on its way, or failed;
 * one that was deleted; a notice of what else happened.
 */

import { dayName, fullTime, timeOf } from '../text/dates.js';
import { markdown } from './markdown.js';
import { sentenceOf } from '../text/sentences.js';
import { webUrl } from './link.js';
import { avatar } from './avatar.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** Few signs, all of them pictures, are shown large. */
const PICTURES = /^(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** Longer messages are folded. */
const LONG_CHARS = 8000;
const LONG_LINES = 150;
/** Keys of those that were unfolded. @type {Set<string>} */
const unfolded = new Set();

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('../model/deck.js').Deck} Deck */

/** @param {Row} row @param {Deck} deck */
export function messageRow(row, deck) {
  const { item, sending } = row;
  const li = h('li', { class: 'row', tabindex: -1, 'data-seq': item?.seq });
  if (row.isNewDay) li.append(h('p', { class: 'day' }, h('span', {}, dayName(row.at))));
  if (row.isFirstNew) li.append(h('p', { class: 'new-line' }, h('span', {}, 'New messages')));
  if (item?.notice) li.append(notice(item, deck));
  else if (item?.isDeleted) li.append(deleted());
  else li.append(message(row, deck));
  if (row.isMine) li.classList.add('mine');
  if (item?.message?.is_ai_message) li.classList.add('ai');
  if (row.isGrouped) li.classList.add('grouped');
  if (sending) li.classList.add(sending.status);
  return li;
}

/** @param {Row} row @param {Deck} deck */
function message(row, deck) {
  const { item, sending, isMine } = row;
  const stored = item?.message;
  const content = stored?.content ?? sending?.content ?? '';
  const author = stored?.sender_id ?? deck.me.id;
  const name = deck.people.name(author) ?? 'Former member';
  const isAssistant = !!stored?.is_ai_message;
  return h('article', { class: 'message' },
    !isMine && avatar(author, name, { isAssistant }),
    head(row, isMine ? 'You' : name, isAssistant),
    h('div', { class: 'bubble' },
      ...body(content, item?.key ?? ''),
      file(stored?.file_url ?? sending?.file_url)),
    foot(row, deck));
}

/** What was said; of what is very long the beginning, until asked for. @param {string} content
 * @param {string} key */
function body(content, key) {
  const isJumbo = content.length < 40 && PICTURES.test(content.trim());
  const text = h('div', { class: isJumbo ? 'text jumbo' : 'text', dir: 'auto' },
    markdown(content));
  const isLong = content.length > LONG_CHARS || content.split('\n').length > LONG_LINES;
  if (!isLong || unfolded.has(key)) return [text];
  text.classList.add('folded');
  const button = h('button', {
    type: 'button', class: 'text-button unfold',
    onclick: () => {
      unfolded.add(key);
      text.classList.remove('folded');
      button.remove();
    },
  }, 'Show all');
  return [text, button];
}

/** @param {Row} row @param {string} name @param {boolean} isAssistant */
function head({ at, item, isGrouped, isMine }, name, isAssistant) {
  return h('header', { class: 'head' },
    h('span', { class: isGrouped || isMine ? 'author unseen' : 'author' }, h('bdi', {}, name)),
    isAssistant && h('span', { class: isGrouped ? 'badge unseen' : 'badge' },
      'AI', h('span', { class: 'unseen' }, ' assistant')),
    h('time', { datetime: at, title: fullTime(at) }, timeOf(at)),
    item?.message?.edited_at && h('span', { class: 'edited',
      title: `Edited ${fullTime(item.message.edited_at)}` }, 'edited'));
}

/** @param {string | undefined} address */
function file(address) {
  const url = address && webUrl(address);
  if (!url) return null;
  const name = nameOf(url).slice(0, 80);
  return h('a', {
    class: 'file', href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow ugc',
    title: url.href,
  }, icon('file'), h('span', {}, h('bdi', {}, name), h('small', {}, url.host)));
}

/** @param {URL} url */
function nameOf({ pathname, host }) {
  const last = pathname.split('/').pop() || host;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** @param {Row} row @param {Deck} deck */
function foot({ sending, readers }, deck) {
  if (sending?.status === 'failed') {
    return h('footer', { class: 'foot failure' },
      icon('alert'), h('span', {}, `Not sent. ${sentenceOf(sending.error?.code ?? '')}`),
      h('button', { type: 'button', class: 'text-button',
        onclick: () => deck.live.retry(sending.client_id) }, 'Try again'),
      h('button', { type: 'button', class: 'text-button',
        onclick: () => deck.discard(sending.client_id) }, 'Discard'));
  }
  if (sending) return h('footer', { class: 'foot' }, icon('clock'), h('span', {}, 'Sending…'));
  if (readers.length === 0) return null;
  const names = readers.length > 3 ? `${readers.length} people` : readers.join(', ');
  return h('footer', { class: 'foot seen' }, icon('check'), h('bdi', {}, `Seen by ${names}`));
}

function deleted() {
  return h('p', { class: 'notice deleted' }, icon('trash'), 'This message was deleted');
}

/** @param {import('../model/log.js').Item} item @param {Deck} deck */
function notice({ notice: event }, deck) {
  const who = (/** @type {string} */ id) => (
    h('bdi', { class: 'who' }, deck.people.isMe(id) ? 'You' : deck.people.name(id) ?? 'Somebody'));
  const isMe = (/** @type {string} */ id) => deck.people.isMe(id);
  switch (event?.type) {
    case 'participant.added':
      return h('p', { class: 'notice' }, who(event.data.user_id),
        isMe(event.data.user_id) ? ' were added' : ' was added');
    case 'participant.removed':
      return h('p', { class: 'notice' }, who(event.data.user_id),
        isMe(event.data.user_id) ? ' are gone' : ' is not in this session any more');
    case 'session.updated':
      return h('p', { class: 'notice' }, 'The session is called ',
        h('bdi', { class: 'who' }, event.data.title), ' now');
    default: return h('p', { class: 'notice' });
  }
}
