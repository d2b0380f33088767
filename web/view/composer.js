/**
 * Where messages are written: grows with the text, keeps a draft for each session, tells the
 * others that somebody types, and doubles as the place where a message is edited.
 */

import { sentence } from '../text/sentences.js';
import { h, newId, put } from './dom.js';
import { icon } from './icons.js';
import { SessionPart } from './session-part.js';

const BYTES_MAX = 65_536;
const DRAFT_MS = 400;
/** What the server takes for no text. */
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** @typedef {import('../assistdeck-client.js').Message} Message */

export class Composer extends SessionPart {
  #id = newId();
  #text = h('textarea', {
    id: this.#id, rows: 1, placeholder: 'Write a message', enterkeyhint: 'send', dir: 'auto',
    'aria-label': 'Message',
  });
  #banner = h('div', { class: 'composer-banner' });
  #note = h('p', { class: 'composer-note', role: 'status' });
  #send = h('button', { type: 'submit', class: 'send', 'aria-label': 'Send' }, icon('send'));
  /** @type {Message | null} being edited */
  #edited = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  connectedCallback() {
    const form = h('form', { class: 'composer-form' }, this.#text, this.#send);
    put(this, this.#banner, form, this.#note);
    this.#text.value = this.deck.draft(this.opened.id);
    this.listen(form, 'submit', (event) => { event.preventDefault(); this.#submit(); });
    this.listen(this.#text, 'input', () => this.#onInput());
    this.listen(this.#text, 'keydown', (event) => this.#key(event));
    this.listen(form, 'pointerdown', (event) => {
      if (event.target === form) { event.preventDefault(); this.#text.focus(); }
    });
    this.until(() => this.keep());
    this.listen(window, 'pagehide', () => this.keep());
    this.#fit();
  }

  /** With a finger, the focus would bring a keyboard over half of the screen. */
  focusIfKeyboard() {
    if (matchMedia('(pointer: fine)').matches) this.#text.focus({ preventScroll: true });
  }

  /** @param {Message} message */
  edit(message) {
    this.keep();
    this.#edited = message;
    this.#text.value = message.content;
    put(this.#banner, icon('edit'), h('span', {}, 'Editing your message'),
      h('button', { type: 'button', class: 'text-button', onclick: () => this.#cancel() },
        'Cancel'));
    this.#send.setAttribute('aria-label', 'Save');
    put(this.#send, icon('check'));
    this.#fit();
    this.#text.focus();
  }

  #cancel() {
    this.#edited = null;
    this.#text.value = this.deck.draft(this.opened.id);
    put(this.#banner);
    this.#send.setAttribute('aria-label', 'Send');
    put(this.#send, icon('send'));
    this.#fit();
    this.#text.focus();
  }

  #onInput() {
    this.#fit();
    if (this.#edited) return;
    const { id } = this.opened;
    this.deck.live.typing(id, this.#text.value.trim() !== '');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.keep(), DRAFT_MS);
  }

  /** What is being written is a draft from now on. */
  keep() {
    clearTimeout(this.#timer);
    if (!this.#edited) this.deck.setDraft(this.opened.id, this.#text.value);
  }

  #fit() {
    const { style } = this.#text;
    style.height = 'auto';
    style.height = `${this.#text.scrollHeight}px`;
    const { value } = this.#text;
    const bytes = value.length > BYTES_MAX / 4 ? new TextEncoder().encode(value).length : 0;
    const left = BYTES_MAX - bytes;
    const isTooLong = left < 0;
    put(this.#note, isTooLong ? `Too long by ${-left} bytes`
      : bytes > BYTES_MAX * 0.9 ? `${left} bytes left` : '');
    this.#note.classList.toggle('wrong', isTooLong);
    this.#send.disabled = isTooLong || value.trim() === '';
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return;
    const isTouch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey && !isTouch) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape' && this.#edited) {
      event.preventDefault();
      this.#cancel();
    } else if (event.key === 'ArrowUp' && this.#text.value === '') {
      const last = this.opened.log.findLast(({ sender_id }) => sender_id === this.deck.me.id);
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  }

  async #submit() {
    const content = this.#text.value.replace(CONTROL, '');
    if (content.trim() === '' || this.#send.disabled) return;
    if (!this.#edited) {
      clearTimeout(this.#timer);
      this.#text.value = '';
      this.#fit();
      this.deck.send(this.opened.id, content);
      this.dispatchEvent(new Event('sent'));
      return;
    }
    const { id } = this.#edited;
    try {
      if (content !== this.#edited.content) {
        const message = await this.deck.api.editMessage(this.opened.id, id, content);
        this.opened.onStored(message);
      }
      this.#cancel();
    } catch (error) {
      put(this.#note, sentence(error));
      this.#note.classList.add('wrong');
    }
  }
}
customElements.define('ad-composer', Composer);
