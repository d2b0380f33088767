/** A session without messages, and one that is gone: what happened, and what to do now. */

import { copyText, h, put } from './dom.js';
import { icon } from './icons.js';
import { inviteForm } from './members-sheet.js';

/** @typedef {import('../model/deck.js').Deck} Deck */
/** @typedef {import('../model/opened.js').Opened} Opened */

/** @param {Deck} deck @param {Opened} opened */
export function invitation(deck, opened) {
  const isAlone = opened.isOwner && opened.presence.members.size < 2;
  return h('section', { class: 'panel invitation' },
    icon(isAlone ? 'invite' : 'logo'),
    h('h2', {}, isAlone ? 'Who should be here?' : 'Nothing said yet'),
    h('p', {}, isAlone
      ? 'Add the people you want to talk to, or write the first message now and add them later.'
      : 'Write the first message. Everyone in this session sees it at once.'),
    isAlone && inviteForm(deck, opened));
}

/** @type {Record<string, {title: string, text: string, icon: import('./icons.js').IconName}>} */
const ENDS = {
  removed: {
    icon: 'leave', title: 'You are not in this session any more',
    text: 'Its owner removed you just now. If that was a slip, ask them to add you again: '
      + 'everything will be there.',
  },
  left: {
    icon: 'leave', title: 'You left this session',
    text: 'Its owner can add you again.',
  },
  deleted: {
    icon: 'trash', title: 'This session was deleted',
    text: 'Its owner deleted it, with all its messages.',
  },
  unknown: {
    icon: 'alert', title: 'There is no such session here',
    text: 'It was deleted, or it isn’t shared with you. Whoever sent you here can add you by '
      + 'your email.',
  },
};

/** @param {Deck} deck @param {Opened} opened */
export function gone(deck, opened) {
  const isMine = !deck.isNews(opened.id);
  const reason = isMine && opened.reason === 'removed' ? 'left' : opened.reason;
  const end = ENDS[reason] ?? ENDS.unknown;
  const draft = deck.draft(opened.id);
  return h('section', { class: 'panel gone' }, icon(end.icon),
    opened.session && h('p', { class: 'gone-title' }, h('bdi', {}, opened.title)),
    h('h1', { tabindex: -1 }, end.title),
    h('p', {}, end.text),
    reason === 'unknown' && h('p', { class: 'soft' }, `You are ${deck.me.email}.`),
    draft && unsent(draft),
    h('a', { class: 'button primary', href: '#' }, 'To your sessions'));
}

/** What was being written is not lost. @param {string} draft */
function unsent(draft) {
  const copy = h('button', {
    type: 'button', class: 'button',
    onclick: async () => { await copyText(draft); put(copy, icon('check'), 'Copied'); },
  }, icon('copy'), 'Copy');
  return h('div', { class: 'unsent' }, h('p', {}, 'You were writing:'),
    h('blockquote', { dir: 'auto' }, draft.slice(0, 2000)), copy);
}
