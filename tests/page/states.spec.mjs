/** Every state has its look: loading, failed, connecting, catching up; days, authors, marks. */

import { expect, test } from './support.mjs';

test('loading and failing look like that, and can be tried again', async ({ people, server }) => {
  const ada = await people('Ada Wait', { allow: /status of 500/ });
  const { id } = await server.createSession(await ada.token(), 'Slow one');
  await server.send(await ada.token(), id, 'there at last');
  let release = () => {};
  const held = new Promise((done) => { release = done; });
  let isBroken = true;
  await ada.page.route(/messages\?/, async (route) => {
    await held;
    if (!isBroken) return route.continue();
    return route.fulfill({ status: 500, json: { error: 'Broken.', code: 'internal' } });
  });
  await ada.sessions.getByRole('link', { name: 'Slow one' }).click();
  await expect(ada.page.getByText('Loading messages…')).toBeVisible();
  await expect(ada.page.getByRole('heading', { level: 1 })).toHaveText('Slow one');
  release();
  await expect(ada.page.getByRole('alert')).toContainText('could not be loaded');
  await expect(ada.page.getByRole('alert')).toContainText('Something went wrong on the server');
  isBroken = false;
  await ada.page.getByRole('button', { name: 'Try again' }).click();
  await expect(ada.message('there at last')).toBeVisible();
});

test('a list that can’t be loaded says so, and can be tried again', async ({ people }) => {
  const ada = await people('Ada List', { allow: /status of 500/ });
  await ada.start('On the list');
  await ada.page.route(/sessions\?/, (route) => (
    route.fulfill({ status: 500, json: { error: 'Broken.', code: 'internal' } })));
  // Without a word from the server it is not asked for again by itself.
  await ada.page.routeWebSocket(/\/ws/, () => {});
  await ada.page.reload();
  await expect(ada.sessions.getByText('Your sessions could not be loaded.')).toBeVisible();
  await ada.page.unroute(/sessions\?/);
  await ada.sessions.getByRole('button', { name: 'Try again' }).click();
  await expect(ada.sessions.getByRole('link', { name: 'On the list' })).toBeVisible();
});

test('the connection in words: connecting, catching up, and nothing when all is well', async ({
  people,
}) => {
  const ada = await people('Ada Link');
  await ada.start('Slow wire');
  // The server's frames wait until they are let through, up to the kind that is named.
  let upTo = '';
  let flush = () => {};
  await ada.page.routeWebSocket(/\/ws/, (route) => {
    const waiting = [];
    const up = route.connectToServer();
    flush = () => {
      while (waiting.length > 0 && upTo !== '') {
        const text = waiting.shift();
        route.send(text);
        if (JSON.parse(text).type === upTo) upTo = '';
      }
    };
    up.onMessage((text) => { waiting.push(text); flush(); });
  });
  await ada.page.reload();
  const bar = ada.page.locator('ad-connection-bar');
  await expect(bar).toHaveText('Connecting…');
  upTo = 'hello';
  flush();
  await expect(bar).toHaveText('Catching up…');
  upTo = 'everything';
  flush();
  await expect(bar).toHaveText('Connected again');
  await expect(bar).toHaveText('');
});

test('messages stand in groups, by author and by day; an assistant’s are marked', async ({
  people, server,
}) => {
  const ada = await people('Ada Grid');
  const [bob, deck] = [await server.account('Bob Pane'), await server.account('Deck')];
  await ada.start('In groups');
  const id = ada.sessionId();
  for (const { email } of [bob, deck]) await server.add(await ada.token(), id, email);
  const from = (who, text, more) => server.send(who.token, id, text, more);
  await from(bob, 'first');
  await from(bob, 'second');
  await from(deck, 'computed', { is_ai_message: true });
  await from(bob, 'third');
  const group = (text) => ada.rows.filter({ hasText: text });
  await expect(ada.rows.first().locator('.day')).toHaveText('Today');
  for (const text of ['first', 'third']) await expect(group(text)).not.toHaveClass(/grouped/);
  await expect(group('second')).toHaveClass(/grouped/);
  await expect(ada.message('first').getByText('Bob Pane')).toBeVisible();
  await expect(ada.message('computed').getByText('AI assistant')).toBeVisible();
  await expect(ada.message('third').getByText('AI')).toHaveCount(0);
  await expect(ada.message('first').locator('time')).toHaveText(/^\d\d:\d\d$/);

  // The first as if it had been said the day before.
  await ada.page.route(/messages\?/, async (route) => {
    const response = await route.fetch();
    const [earlier, ...rest] = await response.json();
    const created_at = new Date(Date.parse(earlier.created_at) - 86_400_000).toISOString();
    await route.fulfill({ response, json: [{ ...earlier, created_at }, ...rest] });
  });
  await ada.page.reload();
  await expect(group('first').locator('.day')).toHaveText('Yesterday');
  await expect(group('second').locator('.day')).toHaveText('Today');
  await expect(group('second')).not.toHaveClass(/grouped/);
  await expect(ada.page.locator('.day')).toHaveCount(2);
});
