/**
 * The way in: an account for those who have none, a sign-in for those who do. Beside it, what
 * it is all about, as a picture of a session.
 */

import { ApiError } from '../assistdeck-client.js';
import { actionForm, field } from './dialog.js';
import { avatar } from './avatar.js';
import { Part, h, put } from './dom.js';
import { icon } from './icons.js';

export class SignIn extends Part {
  #account;
  #isNew;

  /** @param {import('../model/account.js').Account} account */
  constructor(account) {
    super();
    this.#account = account;
    this.#isNew = !account.lastEmail;
  }

  connectedCallback() {
    this.#render();
    document.title = 'AssistDeck';
  }

  #render() {
    const { parting } = this.#account;
    put(this,
      h('main', { class: 'gate' },
        h('div', { class: 'gate-form' },
          h('p', { class: 'brand' }, icon('logo'), 'AssistDeck'),
          h('h1', {}, this.#isNew ? 'Create your account' : 'Welcome back'),
          h('p', { class: 'lead' }, this.#isNew
            ? 'Chat with people and assistants in shared sessions. It takes ten seconds.'
            : 'Sign in to go on where you left.'),
          parting && h('p', { class: 'parting', role: 'status' }, icon('alert'), parting),
          this.#form(),
          h('p', { class: 'switch' },
            this.#isNew ? 'Have an account already? ' : 'New here? ',
            h('button', { type: 'button', class: 'text-button', onclick: () => this.#switch() },
              this.#isNew ? 'Sign in' : 'Create an account')))),
      scene());
    const empty = [...this.querySelectorAll('input')].find((input) => !input.value);
    empty?.focus();
  }

  #switch() {
    this.#isNew = !this.#isNew;
    this.#account.parting = '';
    this.#render();
  }

  #form() {
    const account = this.#account;
    const name = field('Name', {
      autocomplete: 'name', required: true, maxlength: 100, 'data-wrong': 'Please say your name.',
    });
    const email = field('Email', {
      type: 'email', autocomplete: 'username', required: true, maxlength: 254, inputmode: 'email',
      value: this.#isNew ? null : account.lastEmail,
      'data-wrong': 'Please enter an email address.',
    });
    const password = field('Password', {
      type: 'password', required: true, minlength: this.#isNew ? 8 : 1, maxlength: 128,
      autocomplete: this.#isNew ? 'new-password' : 'current-password',
      'data-wrong': this.#isNew ? 'The password needs at least 8 characters.'
        : 'Please enter your password.',
    }, this.#isNew ? 'At least 8 characters.' : undefined);
    password.element.append(reveal(password.input));
    const run = async () => {
      const [who, secret] = [email.input.value.trim(), password.input.value];
      if (!this.#isNew) return account.signIn(who, secret);
      try {
        return await account.register(name.input.value.trim(), who, secret);
      } catch (error) {
        // Whoever comes with an account's own email and password meant to sign in.
        if (!(error instanceof ApiError) || error.code !== 'email_taken') throw error;
        return account.signIn(who, secret).catch(() => { throw error; });
      }
    };
    return actionForm({
      fields: [this.#isNew && name.element, email.element, password.element],
      submit: this.#isNew ? 'Create account' : 'Sign in', look: 'wide', run,
    });
  }
}
customElements.define('ad-sign-in', SignIn);

/** @param {HTMLInputElement} input */
export function reveal(input) {
  const button = h('button', {
    type: 'button', class: 'reveal text-button', 'aria-pressed': 'false',
    onclick: () => {
      const isShown = input.type === 'password';
      input.type = isShown ? 'text' : 'password';
      button.setAttribute('aria-pressed', String(isShown));
      put(button, isShown ? 'Hide' : 'Show');
    },
  }, 'Show');
  button.setAttribute('aria-label', 'Show password');
  return button;
}

/** A session as it could be. */
function scene() {
  /** @param {string} name @param {string} text @param {string} look */
  const line = (name, text, look = '') => h('div', { class: `scene-line ${look}` },
    look !== 'mine' && avatar(name, name, { isAssistant: look === 'ai' }),
    h('div', {},
      look !== 'mine' && h('span', { class: 'scene-name' }, name,
        look === 'ai' && h('span', { class: 'badge' }, 'AI')),
      h('p', { class: 'scene-bubble' }, text)));
  return h('div', { class: 'scene', 'aria-hidden': 'true' },
    h('div', { class: 'scene-card' },
      line('Mira Lind', 'Can we move the launch to Thursday?'),
      line('', 'Yes, if the checks pass. Deck, what is still open?', 'mine'),
      line('Deck', 'Two things: the load test and the release notes. Both can be done by '
        + 'Wednesday noon.', 'ai'),
      line('Mira Lind', 'Perfect. I take the notes.')),
    h('p', { class: 'scene-words' }, 'People and assistants in one session. ',
      'Everyone sees the same, in the same order, at once.'));
}
