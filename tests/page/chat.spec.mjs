/** People in a session: sharing, talking, editing, leaving, being removed. */

import { expect, test } from './support.mjs';

test('two people find each other and chat', async ({ people }) => {
  const ada = await people('Ada Marsh', { allow: /status of 404/ });
  const bob = await people('Bob Reed');
  await ada.start('Launch plan');
  await ada.page.getByLabel('Add somebody by email').fill('nobody@example.com');
  await ada.page.getByRole('button', { name: 'Add', exact: true }).click();
  await expect(ada.page.getByRole('alert')).toHaveText(/need to create an account first/);
  await ada.page.getByLabel('Add somebody by email').fill(bob.email);
  await ada.page.getByRole('button', { name: 'Add', exact: true }).click();
  await bob.page.getByRole('status').getByRole('button', { name: 'Open' }).click();
  await expect(bob.page.getByRole('heading', { level: 1 })).toHaveText('Launch plan');
  await expect(ada.page.getByText('2 here now')).toBeVisible();

  await bob.composer.pressSequentially('Hi');
  await expect(ada.page.getByText('Bob Reed is typing')).toBeVisible();
  await bob.composer.press('Enter');
  await expect(ada.message('Hi').getByText('Bob Reed')).toBeVisible();
  await expect(ada.page.getByText('Bob Reed is typing')).toBeHidden();
  await expect(bob.page.getByText('Seen by Ada Marsh')).toBeVisible();

  await ada.say('Hello **Bob**, see `plan.md`:\n\n- one\n- two\n\n> quoted\n\n'
    + '```js\nlet a = 1;\n```');
  const message = bob.message('Hello Bob');
  await expect(message.locator('strong')).toHaveText('Bob');
  await expect(message.locator('p code')).toHaveText('plan.md');
  await expect(message.locator('li')).toHaveText(['one', 'two']);
  await expect(message.locator('blockquote')).toHaveText('quoted');
  await bob.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await message.getByRole('button', { name: 'Copy code' }).click();
  expect(await bob.page.evaluate(() => navigator.clipboard.readText())).toBe('let a = 1;');
  await expect(bob.page.getByRole('log')).toContainText('Ada Marsh: Hello Bob');
});

test('messages are edited and deleted, and everyone sees it', async ({ people }) => {
  const [ada, bob] = [await people('Ada Moss'), await people('Bob Ives')];
  await ada.start('Corrections');
  await ada.add(bob);
  await bob.open('Corrections');
  await ada.say('We meet on Tuseday');
  await ada.say('Bring cake');
  await bob.say('Fine');
  await ada.composer.press('ArrowUp');
  await expect(ada.page.getByText('Editing your message')).toBeVisible();
  await ada.composer.press('Escape');
  await expect(ada.composer).toHaveValue('');
  await ada.message('Tuseday').hover();
  await ada.page.getByRole('button', { name: 'Edit' }).click();
  await ada.say('We meet on Tuesday');
  await expect(bob.message('Tuesday').getByText('edited')).toBeVisible();
  await bob.message('Tuesday').hover();
  await expect(bob.page.getByRole('button', { name: 'Copy' })).toBeVisible();
  await expect(bob.page.getByRole('button', { name: 'Edit' })).toBeHidden();
  await expect(bob.page.getByRole('button', { name: 'Delete' })).toBeHidden();

  await ada.message('Bring cake').hover();
  await ada.page.getByRole('button', { name: 'Delete' }).click();
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await expect(bob.message('Bring cake')).toBeVisible();
  // The owner may delete what others wrote, too.
  for (const text of ['Bring cake', 'Fine']) {
    await ada.message(text).hover();
    await ada.page.getByRole('button', { name: 'Delete' }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await expect(bob.message(text)).toHaveCount(0);
  }
  await expect(bob.page.getByText('This message was deleted')).toHaveCount(2);
  await bob.page.reload();
  await expect(bob.message('Tuesday')).toBeVisible();
  await expect(bob.page.getByText('This message was deleted')).toHaveCount(0);
});

test('three people: one is removed and sees why, comes back, one leaves', async ({
  people, server,
}) => {
  const ada = await people('Ada Stone');
  const [bob, eve] = [await people('Bob Vale'), await people('Eve Fern')];
  await ada.start('Inner circle');
  await ada.add(bob);
  await ada.add(eve);
  await bob.open('Inner circle');
  await eve.open('Inner circle');
  await expect(ada.page.getByText('3 here now')).toBeVisible();
  await bob.composer.fill('half a thought');

  const sheet = await ada.openPeople();
  const row = sheet.getByRole('listitem').filter({ hasText: 'Eve Fern' });
  await expect(row).toContainText('Here now');
  await sheet.getByRole('button', { name: 'Remove Bob Vale' }).click();
  await ada.page.getByRole('dialog', { name: 'Remove Bob Vale?' })
    .getByRole('button', { name: 'Remove' }).click();
  // It stays as long as the focus is there.
  await sheet.getByRole('button', { name: 'Undo' }).focus();
  await expect(bob.page.getByRole('heading', { name: 'You are not in this session any more' }))
    .toBeFocused();
  await expect(bob.page.getByText('half a thought')).toBeVisible();
  await expect(bob.sessions.getByRole('link')).toHaveCount(0);
  await expect(eve.page.getByText('Bob Vale is not in this session any more')).toBeVisible();
  await server.send(await ada.token(), ada.sessionId(), 'Without Bob');
  await expect(eve.message('Without Bob')).toBeVisible();

  await sheet.getByRole('button', { name: 'Undo' }).click();
  await expect(bob.message('Without Bob')).toBeVisible();
  await expect(bob.composer).toHaveValue('half a thought');
  await sheet.getByRole('button', { name: 'Close' }).click();

  await eve.page.getByRole('button', { name: 'Session menu' }).click();
  await eve.page.getByRole('menuitem', { name: 'Leave session' }).click();
  await eve.page.getByRole('dialog').getByRole('button', { name: 'Leave session' }).click();
  await expect(eve.page.getByText('You left Inner circle')).toBeVisible();
  await expect(ada.page.getByText('Eve Fern is not in this session any more')).toBeVisible();
  await expect(eve.sessions.getByRole('link')).toHaveCount(0);
});

test('sessions are renamed with a way back, and deleted after a question', async ({ people }) => {
  const [ada, bob] = [await people('Ada Wells'), await people('Bob Nash')];
  await ada.start('Old name');
  await ada.add(bob);
  await bob.open('Old name');
  const choose = async (entry) => {
    await ada.page.getByRole('button', { name: 'Session menu' }).click();
    await ada.page.getByRole('menuitem', { name: entry }).click();
  };
  await choose('Rename');
  await ada.page.getByLabel('What is it about?').fill('New name');
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
  await ada.page.getByRole('button', { name: 'Undo' }).focus();
  await expect(bob.page.getByRole('heading', { level: 1 })).toHaveText('New name');
  await expect(bob.sessions.getByText('New name')).toBeVisible();
  await ada.page.getByRole('button', { name: 'Undo' }).click();
  await expect(bob.page.getByRole('heading', { level: 1 })).toHaveText('Old name');

  await choose('Delete session');
  const question = ada.page.getByRole('dialog', { name: 'Delete this session?' });
  await expect(question).toContainText('you and one other person');
  await expect(question.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await ada.page.keyboard.press('Escape');
  await expect(ada.page.getByRole('heading', { level: 1 })).toHaveText('Old name');
  await choose('Delete session');
  await question.getByRole('button', { name: 'Delete session' }).click();
  await expect(ada.page.getByText('Deleted Old name')).toBeVisible();
  await expect(bob.page.getByRole('heading', { name: 'This session was deleted' })).toBeVisible();
  await expect(bob.sessions.getByRole('link')).toHaveCount(0);
});

test('the list is live: order, last message, unread counts, the line above what is new', async ({
  people, server,
}) => {
  const bob = await server.account('Bob Flint');
  const ada = await people('Ada Frost');
  const ids = {};
  for (const title of ['First', 'Second']) {
    ids[title] = (await server.createSession(bob.token, title)).id;
    await server.add(bob.token, ids[title], ada.email);
    await expect(ada.sessions.getByRole('link', { name: title })).toBeVisible();
  }
  await ada.open('Second');
  for (let n = 1; n <= 3; n++) await server.send(bob.token, ids.First, `*news* ${n}`);
  const first = ada.sessions.getByRole('link', { name: 'First' });
  await expect(first).toContainText('news 3');
  await expect(first).toContainText('3 unread');
  await expect(ada.sessions.getByRole('link').first()).toContainText('First');
  await expect(ada.page).toHaveTitle('(3) Second · AssistDeck');
  await server.send(bob.token, ids.Second, 'in view');
  await expect(ada.message('in view')).toBeVisible();
  await expect(ada.sessions.getByRole('link', { name: 'Second' })).not.toContainText('unread');

  await first.click();
  await expect(ada.page.locator('.new-line')).toHaveText('New messages');
  await expect(ada.rows.filter({ has: ada.page.locator('.new-line') })).toContainText('news 1');
  await expect(first).not.toContainText('unread');
  // The page shows it before the server has heard of it.
  await expect.poll(() => server.unread(ada, ids.First)).toBe(0);
  await ada.page.reload();
  await expect(ada.message('news 3')).toBeVisible();
  await expect(ada.page.locator('.new-line')).toHaveCount(0);
  await expect(first).not.toContainText('unread');
});

test('drafts stay with their session, across a reload', async ({ people }) => {
  const ada = await people('Ada Brook');
  await ada.start('One');
  await ada.composer.fill('for one');
  await ada.start('Two');
  await expect(ada.composer).toHaveValue('');
  await ada.composer.fill('for two');
  await ada.open('One');
  await expect(ada.composer).toHaveValue('for one');
  await ada.page.reload();
  await expect(ada.composer).toHaveValue('for one');
  await ada.open('Two');
  await expect(ada.composer).toHaveValue('for two');
});
