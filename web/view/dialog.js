/**
 * Dialogs: modal, with a title, closed by Escape, a click outside or their button. The browser
 * keeps the focus in them and gives it back.
 */

import { h, newId, put } from './dom.js';
import { icon } from './icons.js';
import { sentence } from '../text/sentences.js';
import { placeToasts } from './toasts.js';

/**
 * @param {string} title
 * @param {Array<import('./dom.js').Child>} content
 * @param {string} [look]  `sheet` stands at the side
 */
export function openDialog(title, content, look = '') {
  const id = newId();
  const dialog = h('dialog', { class: `dialog ${look}`, 'aria-labelledby': id },
    h('div', { class: 'dialog-box' },
      h('div', { class: 'dialog-head' },
        h('h2', { id }, title),
        h('button', {
          type: 'button', class: 'icon-button', 'aria-label': 'Close',
          onclick: () => dialog.close(),
        }, icon('close'))),
      ...content));
  // The box fills the dialog, so only a press on the backdrop meets the dialog itself.
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('close', () => {
    placeToasts();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A form that says what it does, shows its error and can't be sent twice.
 * @param {object} form
 * @param {Array<import('./dom.js').Child>} form.fields
 * @param {string} form.submit
 * @param {() => Promise<unknown>} form.run
 * @param {string} [form.look]
 * @param {string} [form.tone]  of the button
 */
export function actionForm({ fields, submit, run, look = '', tone = 'primary' }) {
  const alert = h('p', { class: 'form-error', role: 'alert' });
  const button = h('button', { type: 'submit', class: `button ${tone}` }, submit);
  const form = h('form', { class: `form ${look}`, novalidate: true }, ...fields, alert,
    h('div', { class: 'form-end' }, button));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-busy') === 'true') return;
    put(alert);
    const wrong = [...form.querySelectorAll('input')].find((input) => !input.checkValidity());
    if (wrong) {
      put(alert, icon('alert'), wrong.dataset.wrong ?? wrong.validationMessage);
      wrong.focus();
      return;
    }
    button.setAttribute('aria-busy', 'true');
    try {
      await run();
    } catch (error) {
      put(alert, icon('alert'), sentence(error));
      const again = form.querySelector('input[type="password"]') ?? form.querySelector('input');
      if (again instanceof HTMLInputElement) again.select();
    } finally {
      button.removeAttribute('aria-busy');
    }
  });
  return form;
}

/**
 * @param {string} label
 * @param {import('./dom.js').Attributes} attributes
 * @param {string} [hint]
 */
export function field(label, attributes, hint) {
  const [id, hintId] = [newId(), newId()];
  const input = h('input', { id, 'aria-describedby': hint ? hintId : null, ...attributes });
  const element = h('div', { class: 'field' }, h('label', { for: id }, label), input,
    hint && h('p', { class: 'hint', id: hintId }, hint));
  return { element, input };
}

/**
 * Asks before something that can't be taken back. Gives the dialog's form, which runs it.
 * @param {string} title
 * @param {Array<import('./dom.js').Child>} text
 * @param {string} submit
 * @param {() => Promise<unknown>} run
 */
export function confirm(title, text, submit, run) {
  const cancel = h('button', {
    type: 'button', class: 'button', onclick: () => dialog.close(),
  }, 'Cancel');
  const form = actionForm({
    fields: [h('p', { class: 'dialog-text' }, ...text)], submit, tone: 'danger',
    run: async () => { await run(); dialog.close(); },
  });
  form.querySelector('.form-end')?.prepend(cancel);
  const dialog = openDialog(title, [form], 'small');
  cancel.focus();
}
