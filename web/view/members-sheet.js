/**
 * Who is in a session: the owner adds people by email and removes them; everyone sees who is
 * here.
 */

import { actionForm, confirm, field, openDialog } from './dialog.js';
import { plain } from '../text/plain.js';
import { avatar } from './avatar.js';
import { copyText, h, put } from './dom.js';
import { icon } from './icons.js';
import { toast } from './toasts.js';

/** @typedef {import('../model/deck.js').Deck} Deck */
/** @typedef {import('../model/opened.js').Opened} Opened */
/** @typedef {import('../assistdeck-client.js').ParticipantRow} ParticipantRow */

/** @param {Deck} deck @param {Opened} opened */
export function showMembers(deck, opened) {
  const list = h('ul', { class: 'members' });
  const count = h('h3', {});
  const render = () => {
    const members = [...opened.presence.members.values()];
    put(count, members.length === 1 ? 'Only you, so far' : `${members.length} people`);
    put(list, ...members.map((row) => member(deck, opened, row)));
  };
  const dialog = openDialog('People in this session', [
    opened.isOwner && inviteForm(deck, opened),
    count, list,
  ], 'sheet');
  const offs = [
    opened.presence.on('changed', render),
    opened.on('phase', () => { if (opened.phase === 'gone') dialog.close(); }),
  ];
  dialog.addEventListener('close', () => { for (const off of offs) off(); });
  render();
}

/** Adds people by email, one after another. @param {Deck} deck @param {Opened} opened */
export function inviteForm(deck, opened) {
  const { element, input } = field('Add somebody by email', {
    type: 'email', required: true, autocomplete: 'off', inputmode: 'email', maxlength: 254,
    placeholder: 'name@example.com', 'data-wrong': 'Please enter an email address.',
  }, 'They need an account on this server. They see the session at once, with all its messages.');
  const copy = h('button', {
    type: 'button', class: 'text-button link-copy',
    onclick: async () => {
      await copyText(`${location.origin}/#/s/${opened.id}`);
      put(copy, icon('check'), 'Link copied');
      setTimeout(() => put(copy, icon('link'), 'Copy link'), 2000);
    },
  }, icon('link'), 'Copy link');
  const form = actionForm({
    fields: [element], submit: 'Add', look: 'invite',
    run: async () => {
      const email = input.value.trim();
      await deck.api.addParticipant(opened.id, { email });
      input.value = '';
      toast([h('bdi', { class: 'who' }, email), ' was added']);
    },
  });
  form.querySelector('.form-end')?.prepend(copy);
  return form;
}

/** @param {Deck} deck @param {Opened} opened @param {ParticipantRow} row */
function member(deck, opened, row) {
  const { people } = deck;
  const isMe = people.isMe(row.user_id);
  const name = plain(row.name);
  const { online } = opened.presence;
  const isOnline = isMe || !!online?.has(row.user_id);
  const isAssistant = people.isAssistant(row.user_id);
  return h('li', { class: 'member' },
    avatar(row.user_id, name, { isOnline, isAssistant }),
    h('span', { class: 'member-name' }, h('bdi', {}, name),
      isMe && h('span', { class: 'soft' }, ' (you)'),
      isAssistant && h('span', { class: 'badge' }, 'AI'),
      row.is_owner && h('span', { class: 'badge quiet' }, 'Owner')),
    h('span', { class: 'member-state' },
      (online || isMe) && h('span', {}, isOnline ? 'Here now' : 'Away'),
      h('bdi', { class: 'member-email' }, row.email)),
    opened.isOwner && !isMe && h('button', {
      type: 'button', class: 'button quiet', 'aria-label': `Remove ${name}`,
      onclick: () => remove(deck, opened, { ...row, name }),
    }, 'Remove'));
}

/** @param {Deck} deck @param {Opened} opened @param {ParticipantRow} row */
function remove(deck, opened, { user_id, name, email }) {
  confirm(`Remove ${name}?`, ['They lose the session at once. Their messages stay.'],
    'Remove', async () => {
      await deck.api.removeParticipant(opened.id, user_id);
      toast([h('bdi', { class: 'who' }, name), ' was removed'], {
        label: 'Undo',
        run: () => deck.api.addParticipant(opened.id, { email })
          .catch(() => toast('That did not work. Please add them again.')),
      });
    });
}
