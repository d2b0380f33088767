/**
 * People in browsers, and what they do. Everything goes through the page as a person would,
 * except where a test needs much (`Server`, which speaks REST).
 */

import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test as base, expect } from '@playwright/test';

export { expect };

export const PASSWORD = 'correct horse battery';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let count = 0;
const unique = () => `${process.pid}.${Date.now()}.${++count}`;

/** A person in a browser of their own. */
export class Person {
  constructor(context, page, name, email) {
    Object.assign(this, { context, page, name, email });
  }

  get composer() { return this.page.getByRole('textbox', { name: 'Message', exact: true }); }

  get sessions() { return this.page.getByRole('navigation', { name: 'Sessions' }); }

  /** The rows of messages, notices and dates, in their order. */
  get rows() { return this.page.locator('ad-message-list li.row'); }

  /** A message by what is in it. */
  message(text) { return this.page.locator('ad-message-list article').filter({ hasText: text }); }

  /** The open one. */
  sessionId() { return this.page.url().split('/').pop(); }

  /** What the browser keeps to stay signed in. */
  token() {
    return this.page.evaluate(() => JSON.parse(localStorage.getItem('assistdeck.token')));
  }

  async say(text) {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** Starts a session from wherever they are. */
  async start(title) {
    await this.page.getByRole('button', { name: 'New session' }).first().click();
    const dialog = this.page.getByRole('dialog', { name: 'New session' });
    await dialog.getByLabel('What is it about?').fill(title);
    await dialog.getByRole('button', { name: 'Start session' }).click();
    await expect(this.page.getByRole('heading', { level: 1, name: title })).toBeVisible();
    await expect(this.composer).toBeVisible();
  }

  async open(title) {
    await this.sessions.getByRole('link', { name: title }).click();
    await expect(this.composer).toBeVisible();
  }

  async openPeople() {
    await this.page.getByRole('button', { name: /^(Share|People) \(/ }).click();
    return this.page.getByRole('dialog', { name: 'People in this session' });
  }

  async add(other) {
    const people = await this.openPeople();
    await people.getByLabel('Add somebody by email').fill(other.email);
    await people.getByRole('button', { name: 'Add', exact: true }).click();
    await expect(people.getByText(other.name)).toBeVisible();
    await people.getByRole('button', { name: 'Close' }).click();
  }

  /** Everything said so far, as it stands there. */
  async said() {
    return (await this.page.locator('ad-message-list article .text').allInnerTexts())
      .map((text) => text.trim());
  }

  /** What axe finds wrong with the page as it is now. */
  async faults() {
    if (!await this.page.evaluate(() => 'axe' in globalThis)) await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => globalThis.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }));
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => (
      `${id}: ${target} ${failureSummary}`)));
  }
}

/** A server by REST, for what would take too long by hand. */
export class Server {
  constructor(url) { this.url = url; }

  async call(method, path, body, token) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  }

  /** An account, without a browser. */
  async account(name) {
    const email = `${name.toLowerCase().replace(/\W+/g, '-')}.${unique()}@example.com`;
    const account = { name, email, password: PASSWORD };
    const { token, user } = await this.call('POST', '/api/register', account);
    return { token, ...user };
  }

  createSession(token, title) { return this.call('POST', '/api/chat/sessions', { title }, token); }

  send(token, id, content, more = {}) {
    return this.call('POST', `/api/chat/sessions/${id}/messages`, { content, ...more }, token);
  }

  add(token, id, email) {
    return this.call('POST', `/api/chat/sessions/${id}/participants`, { email }, token);
  }

  /** How much of a session a person has not read, by what the server knows. */
  async unread(person, id) {
    const list = await this.call('GET', '/api/chat/sessions', null, await person.token());
    return list.find((session) => session.id === id).unread_count;
  }

  messages(token, id) {
    return this.call('GET', `/api/chat/sessions/${id}/messages?limit=1000`, null, token);
  }
}

/** The process behind the second server, which tests may end and start again. */
export function control(word) {
  return new Promise((done, failed) => {
    const [host, port] = process.env.PAGE_CONTROL.split(':');
    const socket = connect(Number(port), host, () => socket.end(`${word}\n`));
    let answer = '';
    socket.on('data', (data) => { answer += data; });
    socket.on('end', () => (answer.trim() === 'done' ? done() : failed(new Error(answer))));
    socket.on('error', failed);
  });
}

/**
 * `people(name, options)` brings somebody with a fresh account, signed in; whatever their page
 * complains about fails the test, unless it is what the test is about (`allow`).
 */
export const test = base.extend({
  server: async ({ baseURL }, use) => { await use(new Server(baseURL)); },
  people: async ({ browser, baseURL }, use) => {
    const complaints = [];
    const contexts = [];
    const people = async (name, { url = baseURL, account, allow, ...options } = {}) => {
      const context = await browser.newContext({ ...options, baseURL: url });
      contexts.push(context);
      const page = await context.newPage();
      watch(page, complaints, allow);
      const who = account ?? await new Server(url).account(name);
      await page.addInitScript((token) => {
        if (sessionStorage.getItem('placed')) return;
        localStorage.setItem('assistdeck.token', JSON.stringify(token));
        sessionStorage.setItem('placed', '1');
      }, who.token);
      await page.goto('/');
      await expect(page.getByRole('button', { name: `Your account: ${name}` })).toBeVisible();
      return new Person(context, page, name, who.email);
    };
    await use(people);
    for (const context of contexts) await context.close();
    expect(complaints).toEqual([]);
  },
});

/** @param {RegExp} [allow] */
export function watch(page, complaints, allow = /^$/) {
  page.on('pageerror', (error) => complaints.push(String(error.stack)));
  page.on('dialog', (dialog) => { complaints.push(dialog.message()); dialog.dismiss(); });
  page.on('console', (message) => {
    const isBad = message.type() === 'error' || message.type() === 'warning';
    if (isBad && !allow.test(message.text())) complaints.push(message.text());
  });
}
