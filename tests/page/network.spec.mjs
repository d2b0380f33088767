/** Breaks: no network, a server that goes and comes, several tabs. Nothing lost, nothing twice. */

import { control, expect, test } from './support.mjs';

const MORTAL = process.env.PAGE_MORTAL_URL;
/** What a browser says of a server that is not there. */
const BREAKS = /WebSocket|ERR_CONNECTION|ERR_INTERNET|Failed to load resource/;

test('the server restarts mid-chat: nothing lost, nothing twice, no reload', async ({ people }) => {
  const [ada, bob] = [await people('Ada Dunn', { url: MORTAL, allow: BREAKS }),
    await people('Bob Kerr', { url: MORTAL, allow: BREAKS })];
  await ada.start('Through fire');
  await ada.add(bob);
  await bob.open('Through fire');
  await ada.say('before');
  await expect(bob.message('before')).toBeVisible();

  await control('stop');
  await expect(ada.page.getByText('What you write is kept and sent later.')).toBeVisible();
  await ada.say('while it was away, 1');
  await ada.say('while it was away, 2');
  await expect(ada.page.getByText('Sending…')).toHaveCount(2);
  await Promise.all([
    expect(ada.page.getByText('Connected again')).toBeVisible({ timeout: 60_000 }),
    control('start'),
  ]);
  await expect(bob.message('while it was away, 2')).toBeVisible({ timeout: 60_000 });
  await expect(ada.page.getByText('Sending…')).toHaveCount(0);
  await expect(ada.page.getByText('2 here now')).toBeVisible();

  // Killed while messages fly.
  const flying = Array.from({ length: 30 }, (_, n) => `flying ${n + 1}.`);
  const killed = bob.message('flying 3.').waitFor().then(() => control('kill'));
  for (const text of flying) await ada.say(text);
  await killed;
  await control('start');
  await expect(bob.message(flying.at(-1))).toBeVisible({ timeout: 60_000 });
  await expect(ada.page.getByText('Sending…')).toHaveCount(0);
  const all = ['before', 'while it was away, 1', 'while it was away, 2', ...flying];
  for (const one of [ada, bob]) await expect.poll(() => one.said()).toEqual(all);
  await ada.page.reload();
  await expect(ada.message(flying.at(-1))).toBeVisible();
  expect(await ada.said()).toEqual(all);
});

test('offline and back: what is written meanwhile arrives, what was missed is there', async ({
  people, server,
}) => {
  const ada = await people('Ada Crane', { allow: BREAKS });
  const bob = await server.account('Bob Heath');
  const { id } = await server.createSession(bob.token, 'On a train');
  await server.add(bob.token, id, ada.email);
  await ada.open('On a train');
  await server.send(bob.token, id, 'are you there?');
  await expect(ada.message('are you there?')).toBeVisible();
  await ada.context.setOffline(true);
  await expect(ada.page.getByText('Your device has no network.')).toBeVisible({ timeout: 30_000 });
  await ada.say('in the tunnel');
  await expect(ada.message('in the tunnel').getByText('Sending…')).toBeVisible();
  await server.send(bob.token, id, 'hello?');
  await ada.context.setOffline(false);
  await expect(ada.message('hello?')).toBeVisible({ timeout: 60_000 });
  await expect(ada.page.getByText('Sending…')).toHaveCount(0);
  const stored = (await server.messages(bob.token, id)).map(({ content }) => content);
  expect(stored).toEqual(['are you there?', 'hello?', 'in the tunnel']);
});

test('what the server refuses can be tried again, without doubling, or thrown away', async ({
  people, server,
}) => {
  const ada = await people('Ada Quill', { allow: /./ });
  await ada.start('Refusals');
  const id = ada.sessionId();
  const refusal = ({ client_id }) => JSON.stringify({
    type: 'error', code: 'not_a_member', error: 'No.', client_id,
  });
  // The socket is kept away from the server's word on sends.
  const socket = { refuse: true };
  await ada.page.routeWebSocket(/\/ws/, (route) => {
    const up = route.connectToServer();
    route.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.type !== 'message.send' || !socket.refuse) return up.send(text);
      // It is stored, and yet the answer says that it was not.
      if (frame.content === 'stored after all') up.send(text);
      else route.send(refusal(frame));
    });
    up.onMessage((text) => {
      const frame = JSON.parse(text);
      if (socket.refuse && frame.type === 'message.sent') {
        return route.send(refusal(frame));
      }
      if (socket.refuse && frame.type === 'message.created') return undefined;
      return route.send(text);
    });
  });
  await ada.page.reload();
  await expect(ada.composer).toBeVisible();
  await expect(ada.page.getByText('Only you', { exact: true })).toBeVisible();
  await ada.say('stored after all');
  await ada.say('to be thrown away');
  await expect(ada.page.getByText(/^Not sent\./)).toHaveCount(2);
  await ada.message('to be thrown away').getByRole('button', { name: 'Discard' }).click();
  socket.refuse = false;
  await ada.message('stored after all').getByRole('button', { name: 'Try again' }).click();
  await expect(ada.page.getByText(/^Not sent\./)).toHaveCount(0);
  await expect.poll(() => ada.said()).toEqual(['stored after all']);
  const token = await ada.token();
  const stored = await server.messages(token, id);
  expect(stored.map(({ content }) => content)).toEqual(['stored after all']);
});

test('two tabs of one person show the same, and sign out together', async ({ people }) => {
  const ada = await people('Ada Twine');
  await ada.start('Twice');
  const page = await ada.context.newPage();
  await page.goto(ada.page.url());
  const composer = page.getByRole('textbox', { name: 'Message', exact: true });
  await expect(composer).toBeVisible();
  await ada.say('from the one');
  await expect(page.locator('article')).toContainText('from the one');
  await composer.fill('from the other');
  await composer.press('Enter');
  await expect(ada.message('from the other')).toBeVisible();
  await expect.poll(() => ada.said()).toEqual(['from the one', 'from the other']);
  await ada.page.bringToFront();
  await ada.page.getByRole('button', { name: /^Your account/ }).click();
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Welcome back' })).toBeVisible();
});
