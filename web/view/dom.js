/**
 * Making elements. Text always becomes text nodes: nothing here, or anywhere in the page, takes
 * markup as a string, and the page's policy (Trusted Types) would not let it.
 */

/** @typedef {Node | string | false | null | undefined} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | Function>} Attributes */

/**
 * An element. An attribute that is a function is a listener (`onclick: …`); `true` is an empty
 * attribute; `false`, `null` and `undefined` are none.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  put(element, ...children);
  return element;
}

/**
 * Puts these in place of an element's children.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function put(element, ...children) {
  element.replaceChildren();
  // One by one: a text of many parts is more than a call takes arguments.
  for (const child of children.flat()) if (isThere(child)) element.append(child);
}

/** @param {Child} child @returns {child is Node | string} */
const isThere = (child) => child !== false && child !== null && child !== undefined && child !== '';

/** A custom element that stops listening when it leaves the page. */
export class Part extends HTMLElement {
  /** @type {Array<() => void>} */
  #ends = [];

  /** Ends with this part. @param {() => void} end */
  until(end) { this.#ends.push(end); }

  /**
   * @param {EventTarget} target
   * @param {string} name
   * @param {(event: any) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  listen(target, name, listener, options) {
    target.addEventListener(name, listener, options);
    this.until(() => target.removeEventListener(name, listener, options));
  }

  disconnectedCallback() { for (const end of this.#ends.splice(0)) end(); }
}

/** An id for what must be named by another attribute. */
let ids = 0;
export const newId = () => `id${++ids}`;

/** Copies a text; also where the page has no right to the clipboard (no https).
 * @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h('textarea', { class: 'unseen', 'aria-hidden': 'true' });
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    const focused = document.activeElement;
    area.select();
    document.execCommand('copy');
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
  }
}
