/** My account: who I am, how the page looks, a new password, the way out. */

import { plain } from '../text/plain.js';
import { actionForm, field, openDialog } from './dialog.js';
import { avatar } from './avatar.js';
import { h } from './dom.js';
import { reveal } from './sign-in.js';
import { THEMES, setTheme, theme } from './theme.js';
import { toast } from './toasts.js';

/** @param {import('../model/deck.js').Deck} deck @param {() => void} signOut */
export function showAccount(deck, signOut) {
  const { me } = deck;
  const dialog = openDialog('Your account', [
    h('div', { class: 'me' }, avatar(me.id, plain(me.name)),
      h('div', {}, h('strong', {}, h('bdi', {}, plain(me.name))), h('p', {}, me.email))),
    themes(),
    h('details', { class: 'fold' }, h('summary', {}, 'Change password'),
      passwordForm(deck, () => dialog.close())),
    h('button', {
      type: 'button', class: 'button', onclick: () => { dialog.close(); signOut(); },
    }, 'Sign out'),
    h('p', { class: 'soft' }, 'For programs: ',
      h('a', { href: '/docs' }, 'the reference of all calls')),
  ], 'small');
}

function themes() {
  return h('fieldset', { class: 'themes' }, h('legend', {}, 'Appearance'),
    ...THEMES.map(({ value, label }) => h('label', {},
      h('input', {
        type: 'radio', name: 'theme', value, checked: theme() === value,
        onchange: () => setTheme(value),
      }), h('span', {}, label))));
}

/** @param {import('../model/deck.js').Deck} deck @param {() => void} done */
function passwordForm(deck, done) {
  const old = field('Current password', {
    type: 'password', required: true, autocomplete: 'current-password',
    'data-wrong': 'Please enter your current password.',
  });
  const fresh = field('New password', {
    type: 'password', required: true, minlength: 8, maxlength: 128, autocomplete: 'new-password',
    'data-wrong': 'The new password needs at least 8 characters.',
  }, 'At least 8 characters. All other devices are signed out.');
  fresh.element.append(reveal(fresh.input));
  const name = h('input', {
    type: 'text', autocomplete: 'username', value: deck.me.email, hidden: true, readonly: true,
    tabindex: -1, 'aria-hidden': 'true',
  });
  return actionForm({
    fields: [name, old.element, fresh.element], submit: 'Change password',
    run: async () => {
      await deck.changePassword(old.input.value, fresh.input.value);
      done();
      toast('Your password is changed');
    },
  });
}
