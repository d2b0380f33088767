/**
 * AssistDeck's page, from here: who is signed in, and accordingly the way in or the sessions.
 *
 * `model/` holds what is known and speaks with the server through `assistdeck-client.js`;
 * `view/` shows it and passes on what people do; `text/` makes words out of values. An arrow
 * goes from view to model to text, never back.
 */

import { Account } from './model/account.js';
import { Deck } from './model/deck.js';
import { sentence } from './text/sentences.js';
import { h, put } from './view/dom.js';
import { icon } from './view/icons.js';
import { Shell } from './view/shell.js';
import { SignIn } from './view/sign-in.js';
import { applyTheme } from './view/theme.js';
import { toasts } from './view/toasts.js';

const AGAIN_MS = 3000;

const app = /** @type {HTMLElement} */ (document.getElementById('app'));
const account = new Account();
/** @type {Deck | null} */
let deck = null;

/** Shows what fits who is signed in. */
function show() {
  deck?.stop();
  deck = null;
  const { user } = account;
  if (!user) {
    put(app, new SignIn(account), toasts());
    return;
  }
  deck = new Deck(account, user);
  put(app, new Shell(deck, account), toasts());
  deck.start();
}

async function begin() {
  try {
    await account.restore();
    if (!account.user) show();
  } catch (error) {
    put(app, h('main', { class: 'panel', role: 'alert' }, icon('offline'),
      h('h1', {}, 'The server doesn’t answer'), h('p', {}, sentence(error)),
      h('p', { class: 'soft' }, 'Trying again by itself…')));
    setTimeout(begin, AGAIN_MS);
  }
}

applyTheme();
account.on('user', show);
begin();
