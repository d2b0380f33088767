/**
 * Making, renaming, deleting and leaving a session, each with a way back: a new name can be
 * undone, what can't be undone is asked about first.
 */

import { actionForm, confirm, field, openDialog } from './dialog.js';
import { h } from './dom.js';
import { toast } from './toasts.js';
import { sentence } from '../text/sentences.js';

const TITLE_CHARS_MAX = 200;

/** @typedef {import('../model/deck.js').Deck} Deck */
/** @typedef {import('../model/opened.js').Opened} Opened */

/** @param {string} id */
export const goTo = (id) => { location.hash = id ? `#/s/${id}` : ''; };

/**
 * The form that names a session.
 * @param {string} title
 * @param {string} submit
 * @param {(title: string) => Promise<unknown>} run
 */
export function titleForm(title, submit, run) {
  const { element, input } = field('What is it about?', {
    value: title, required: true, maxlength: TITLE_CHARS_MAX, autocomplete: 'off',
    pattern: '.*\\S.*',
    placeholder: 'Launch plan, weekend trip, reading group…',
    'data-wrong': 'Please give it a name.',
  });
  const form = actionForm({ fields: [element], submit, run: () => run(input.value.trim()) });
  return { form, input };
}

/** @param {Deck} deck @param {string} title */
export async function createSession(deck, title) {
  const session = await deck.api.createSession(title);
  deck.sessions.put(session);
  goTo(session.id);
}

/** @param {Deck} deck */
export function newSession(deck) {
  const { form, input } = titleForm('', 'Start session', async (title) => {
    await createSession(deck, title);
    dialog.close();
  });
  const dialog = openDialog('New session', [form], 'small');
  input.focus();
}

/** @param {Deck} deck @param {Opened} opened */
export function renameSession(deck, opened) {
  const old = opened.title;
  const { form, input } = titleForm(old, 'Rename', async (title) => {
    await rename(deck, opened.id, title);
    dialog.close();
    if (title === old) return;
    toast(['Renamed to ', h('bdi', { class: 'who' }, title)],
      { label: 'Undo', run: () => rename(deck, opened.id, old).catch(complain) });
  });
  const dialog = openDialog('Rename session', [form], 'small');
  input.select();
}

/** @param {Deck} deck @param {string} id @param {string} title */
async function rename(deck, id, title) {
  deck.sessions.put(await deck.api.renameSession(id, title));
}

/** @param {unknown} error */
export const complain = (error) => toast(sentence(error));

/** @param {Deck} deck @param {Opened} opened */
export function deleteSession(deck, opened) {
  const { title, presence: { members } } = opened;
  const others = members.size - 1;
  const whom = others > 1 ? `you and ${others} others`
    : others === 1 ? 'you and one other person' : 'you';
  confirm('Delete this session?', [h('bdi', { class: 'who' }, title),
    ` and all its messages are deleted for ${whom}. This can’t be undone.`],
  'Delete session', async () => {
    deck.expectEnd(opened.id);
    await deck.api.deleteSession(opened.id);
    leaveView(deck, opened);
    toast(['Deleted ', h('bdi', { class: 'who' }, title)]);
  });
}

/** @param {Deck} deck @param {Opened} opened */
export function leaveSession(deck, opened) {
  const { title } = opened;
  confirm('Leave this session?', ['You won’t see ', h('bdi', { class: 'who' }, title),
    ' any more, until its owner adds you again.'],
  'Leave session', async () => {
    deck.expectEnd(opened.id);
    await deck.api.leaveSession(opened.id);
    leaveView(deck, opened);
    toast(['You left ', h('bdi', { class: 'who' }, title)]);
  });
}

/** @param {Deck} deck @param {Opened} opened */
function leaveView(deck, opened) {
  if (deck.current === opened) goTo('');
  deck.sessions.remove(opened.id);
}
