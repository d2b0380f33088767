/** A long history stays smooth: few nodes, no jump, and the newest is one press away. */

import { expect, test } from './support.mjs';

const COUNT = 10_000;
const NODES_MAX = 500;
const LANES = 32;

const text = (n) => (n % 10 === 0
  ? `Number **${n}**, a longer one:\n\n- with a list\n- and \`code\`\n\nand a [link](https://example.com/${n}).`
  : n % 7 === 0 ? `Number **${n}**: ${'some words that fill a line or two. '.repeat(4)}`
    : `Number **${n}**`);

test('10,000 messages: a scripted scroll to the beginning and back', async ({ people, server }) => {
  test.setTimeout(90_000);
  const [ada, bob] = [await server.account('Ada Long'), await server.account('Bob Long')];
  const { id } = await server.createSession(ada.token, 'Long');
  await server.add(ada.token, id, bob.email);
  let next = 1;
  await Promise.all(Array.from({ length: LANES }, async () => {
    while (next <= COUNT) {
      const n = next++;
      await server.send(n % 3 ? ada.token : bob.token, id, text(n));
    }
  }));
  const reader = await people('Ada Long', { account: ada });
  await reader.open('Long');
  const list = reader.page.locator('ad-message-list');
  await expect.poll(() => list.evaluate((one) => one.scrollHeight - one.clientHeight - one.scrollTop))
    .toBeLessThan(2);

  const up = await list.evaluate(scroll, { by: -400, until: 'This is where the session begins.' });
  console.log(`history: up ${JSON.stringify(up)}`);
  expect(up.isThere).toBe(true);
  expect(up.rowsMax).toBeLessThan(NODES_MAX);
  // What was in view moved with the wheel and not a pixel more.
  expect(up.jumps).toEqual([]);
  const jump = reader.page.getByRole('button', { name: 'To the newest' });
  await expect(jump).toBeVisible();
  await list.evaluate((one) => { one.scrollTop = 900; });
  const down = await list.evaluate(scroll, { by: 400, until: '', steps: 300 });
  console.log(`history: down ${JSON.stringify(down)}`);
  expect(down.rowsMax).toBeLessThan(NODES_MAX);
  expect(down.jumps).toEqual([]);
  await jump.click();
  await expect(jump).toBeHidden();
  await reader.say('at the end again');
  await expect(reader.message('at the end again')).toBeInViewport();
});

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
    const before = seen?.getBoundingClientRect().top ?? 0;
    const from = list.scrollTop;
    list.scrollTop += by;
    const moved = list.scrollTop - from;
    const now = await frame();
    frames.push(now - last);
    last = now;
    // The row that we looked at went by as much as we scrolled.
    const after = seen?.isConnected ? seen.getBoundingClientRect().top : null;
    if (after !== null && seen && Math.abs(before - moved - after) > 2) {
      jumps.push(Math.round(before - moved - after));
    }
    rowsMax = Math.max(rowsMax, list.querySelectorAll('li.row').length);
    isThere = until !== '' && list.textContent.includes(until) && list.scrollTop === 0;
  }
  frames.sort((a, b) => a - b);
  const p = (part) => Math.round(frames[Math.floor(frames.length * part)] * 10) / 10;
  return { isThere, frames: frames.length, p50: p(0.5), p95: p(0.95), p99: p(0.99), rowsMax, jumps };
}
