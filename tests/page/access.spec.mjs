/** For everyone: both themes, phones, the keyboard alone, screen readers, still pictures. */

import { expect, test } from './support.mjs';

const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true };

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing to complain about, ${colorScheme}`, async ({
    people, browser, baseURL, server,
  }) => {
    // What fades in would be judged half way.
    const still = { colorScheme, reducedMotion: 'reduce' };
    const check = async (one, what) => expect(await one.faults(), what).toEqual([]);
    const ada = await people('Ada Clear', { ...still, allow: /status of 404/ });
    await check(ada, 'the welcome');
    const bob = await server.account('Bob Plain');
    await ada.start('For all');
    await check(ada, 'the empty session');
    const id = ada.sessionId();
    const token = await ada.token();
    await server.add(token, id, bob.email);
    await server.send(bob.token, id,
      'Hello, `code`, https://example.com\n\n```js\nlet a;\n```\n> quote');
    await ada.say('**Mine**\n\n- a list');
    await server.send(bob.token, id, 'A file', { file_url: 'https://example.com/report.pdf' });
    await expect(ada.message('A file')).toBeVisible();
    await check(ada, 'the chat');
    await ada.message('Mine').hover();
    await expect(ada.page.getByRole('button', { name: 'Edit' })).toBeVisible();
    await check(ada, 'what can be done with a message');
    await ada.openPeople();
    await check(ada, 'the people');
    await ada.page.keyboard.press('Escape');
    await ada.page.getByRole('button', { name: 'Session menu' }).click();
    await check(ada, 'the menu');
    await ada.page.getByRole('menuitem', { name: 'Delete session' }).click();
    await check(ada, 'a question');
    await ada.page.keyboard.press('Escape');
    await ada.page.getByRole('button', { name: /^Your account/ }).click();
    await ada.page.getByText('Change password').first().click();
    await check(ada, 'the account');
    await ada.page.keyboard.press('Escape');
    await ada.page.goto('/#/s/00000000-0000-7000-8000-000000000000');
    const none = ada.page.getByRole('heading', { name: 'There is no such session here' });
    await expect(none).toBeVisible();
    await check(ada, 'a session that is none');

    const account = { token, email: ada.email };
    const phone = await people('Ada Clear', { ...still, ...PHONE, account });
    await check(phone, 'the list on a phone');
    await phone.open('For all');
    await check(phone, 'a session on a phone');
    const context = await browser.newContext({ baseURL, ...still });
    ada.page = await context.newPage();
    await ada.page.goto('/');
    await expect(ada.page.getByLabel('Name')).toBeFocused();
    await check(ada, 'the way in');
    await context.close();
  });
}

test('the keyboard alone: a session, a message, an edit, a menu, and back', async ({ people }) => {
  const ada = await people('Ada Keys');
  const { keyboard } = ada.page;
  await ada.page.getByLabel('What is it about?').focus();
  await keyboard.type('Without a mouse');
  await keyboard.press('Enter');
  await expect(ada.composer).toBeFocused();
  for (const text of ['one', 'two', 'three']) {
    await keyboard.type(text);
    await keyboard.press('Enter');
  }
  await expect(ada.page.getByText('Sending…')).toHaveCount(0);
  await keyboard.press('Shift+Tab');
  while (!await ada.rows.last().evaluate((li) => li === document.activeElement)) {
    await keyboard.press('Shift+Tab');
  }
  await keyboard.press('ArrowUp');
  await expect(ada.rows.nth(-2)).toBeFocused();
  await keyboard.press('Tab');
  await expect(ada.page.getByRole('button', { name: 'Copy' })).toBeFocused();
  await keyboard.press('Tab');
  await expect(ada.page.getByRole('button', { name: 'Edit' })).toBeFocused();
  await keyboard.press('Enter');
  await expect(ada.composer).toBeFocused();
  await expect(ada.composer).toHaveValue('two');
  await keyboard.type(', changed');
  await keyboard.press('Enter');
  await expect(ada.message('two, changed')).toBeVisible();
  await ada.page.getByRole('button', { name: 'Session menu' }).focus();
  await keyboard.press('Enter');
  await expect(ada.page.getByRole('menuitem').first()).toBeFocused();
  await keyboard.press('ArrowDown');
  await expect(ada.page.getByRole('menuitem', { name: 'Rename' })).toBeFocused();
  await keyboard.press('Escape');
  await expect(ada.page.getByRole('button', { name: 'Session menu' })).toBeFocused();
  await ada.page.locator('.skip').focus();
  await keyboard.press('Enter');
  await expect(ada.composer).toBeFocused();
});

test('a phone: one thing at a time, and the way back', async ({ people }) => {
  const ada = await people('Ada Pocket', PHONE);
  await ada.start('In a pocket');
  await ada.composer.fill('hello');
  await ada.page.getByRole('button', { name: 'Send' }).tap();
  await expect(ada.message('hello')).toBeVisible();
  await expect(ada.sessions).toBeHidden();
  await ada.message('hello').tap();
  await expect(ada.page.getByRole('button', { name: 'Edit' })).toBeVisible();
  await ada.page.getByRole('link', { name: 'All sessions' }).tap();
  await expect(ada.sessions.getByRole('link', { name: 'In a pocket' })).toBeVisible();
  await ada.page.goBack();
  await expect(ada.message('hello')).toBeVisible();
});

test('who wants less motion gets none', async ({ people }) => {
  const ada = await people('Ada Still', { reducedMotion: 'reduce' });
  await ada.start('Quiet');
  const moving = await ada.page.evaluate(() => document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().duration > 1).length);
  expect(moving).toBe(0);
});
