/** A long history stays smooth: few nodes, no jump, and the newest is one press away. */

import { expect, test } from './support.mjs';

const COUNT = 10_000;
const NODES_MAX = 500;
const text = (n) => (n % 10 === 0
  ? `Number **${n}**, longer:\n\n- with a list\n- and \`code\`\n\na [link](https://example.com/).`
  : n % 7 === 0 ? `Number **${n}**: ${'some words that fill a line or two. '.repeat(4)}`
    : `Number **${n}**`);

test('10,000 messages: a scripted scroll to the beginning and back', async ({ people, server }) => {
  const [ada, bob] = [await server.account('Ada Long'), await server.account('Bob Long')];
  const { id } = await server.createSession(ada.token, 'Long');
  await server.add(ada.token, id, bob.email);
  const reader = await people('Ada Long', { account: ada });
  const began = Date.now();
  const texts = Array.from({ length: COUNT }, (_, n) => text(n + 1));
  await reader.page.evaluate(say, { id, tokens: [ada.token, bob.token], texts });
  console.log(`history: ${COUNT} messages written in ${Date.now() - began} ms`);
  await reader.page.reload();
  await reader.open('Long');
  const list = reader.page.locator('ad-message-list');
  const below = (one) => one.scrollHeight - one.clientHeight - one.scrollTop;
  await expect.poll(() => list.evaluate(below)).toBeLessThan(2);

  const up = await list.evaluate(scroll, { by: -1000, until: 'This is where the session begins.' });
  console.log(`history: up ${JSON.stringify(up)}`);
  expect(up.isThere).toBe(true);
  expect(up.rowsMax).toBeLessThan(NODES_MAX);
  // What was in view moved with the wheel and not a pixel more.
  expect(up.jumps).toEqual([]);
  const jump = reader.page.getByRole('button', { name: 'To the newest' });
  await expect(jump).toBeVisible();
  await list.evaluate((one) => { one.scrollTop = 900; });
  const down = await list.evaluate(scroll, { by: 1000, until: '', steps: 100 });
  console.log(`history: down ${JSON.stringify(down)}`);
  expect(down.rowsMax).toBeLessThan(NODES_MAX);
  expect(down.jumps).toEqual([]);
  await jump.click();
  await expect(jump).toBeHidden();
  await reader.say('at the end again');
  await expect(reader.message('at the end again')).toBeInViewport();
});

/** In the page: says all of it, over a socket for each speaker. */
async function say({ id, tokens, texts }) {
  const address = `${location.origin.replace('http', 'ws')}/ws?session_id=${id}`;
  const sockets = await Promise.all(tokens.map((token) => new Promise((done) => {
    const socket = new WebSocket(address, ['assistdeck.plain', `bearer.${token}`]);
    socket.onopen = () => done(socket);
  })));
  await new Promise((done) => {
    let seen = 0;
    sockets[0].onmessage = () => { if (++seen === texts.length) done(); };
    for (const [n, content] of texts.entries()) {
      sockets[n % 3 ? 0 : 1].send(JSON.stringify({ content }));
    }
  });
  for (const socket of sockets) socket.close();
}

/** In the page: scrolls frame by frame, and measures. */
async function scroll(list, { by, until, steps = 4000 }) {
  const frame = () => new Promise((done) => { requestAnimationFrame(done); });
  const frames = [];
  const jumps = [];
  let rowsMax = 0;
  let last = await frame();
  let isThere = false;
  for (let step = 0; step < steps && !isThere; step++) {
    const { top, bottom } = list.getBoundingClientRect();
    const seen = [...list.querySelectorAll('li.row')].find((li) => {
      const box = li.getBoundingClientRect();
      return box.top > top + 450 && box.bottom < bottom;
    });
    const before = seen ? seen.getBoundingClientRect().top - top : 0;
    const from = list.scrollTop;
    list.scrollTop += by;
    const moved = list.scrollTop - from;
    const now = await frame();
    frames.push(now - last);
    last = now;
    // The row that we looked at went by as much as we scrolled.
    // Within the list: on a busy machine the line of the connection comes and goes above it.
    const place = list.getBoundingClientRect().top;
    const after = seen?.isConnected ? seen.getBoundingClientRect().top - place : null;
    if (after !== null && seen && Math.abs(before - moved - after) > 2) {
      jumps.push(Math.round(before - moved - after));
    }
    rowsMax = Math.max(rowsMax, list.querySelectorAll('li.row').length);
    isThere = until !== '' && list.textContent.includes(until) && list.scrollTop === 0;
  }
  frames.sort((a, b) => a - b);
  const p = (part) => Math.round(frames[Math.floor(frames.length * part)] * 10) / 10;
  const times = { p50: p(0.5), p95: p(0.95), p99: p(0.99) };
  return { isThere, frames: frames.length, ...times, rowsMax, jumps };
}
