/** The way in and out: accounts, passwords, tokens, the weight of the page. */

import { PASSWORD, expect, test, watch } from './support.mjs';

const PAGE_BYTES_MAX = 100 * 1024;

/** A stranger in front of the page. */
async function visit(browser, baseURL) {
  const context = await browser.newContext({ baseURL, reducedMotion: 'no-preference' });
  const page = await context.newPage();
  const complaints = [];
  watch(page, complaints, /status of 40[0-9]/);
  await page.goto('/');
  return { context, page, complaints };
}

test('the first visit: an account, a session, a message, all of it there after a reload', async ({
  browser, baseURL,
}) => {
  const { context, page, complaints } = await visit(browser, baseURL);
  const name = page.getByLabel('Name');
  await expect(name).toBeFocused();
  await name.fill('Ada Lovelace');
  await page.keyboard.press('Tab');
  await page.keyboard.type(`ada.${Date.now()}@example.com`);
  await page.keyboard.press('Tab');
  await page.keyboard.type('short');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toHaveText(/at least 8 characters/);
  await page.getByLabel('Password', { exact: true }).fill('password');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toHaveText(/too easy to guess/);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Welcome, Ada' })).toBeVisible();
  await page.getByLabel('What is it about?').fill('Engines');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Who should be here?' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill('Hello, engines');
  await page.keyboard.press('Enter');
  await expect(page.locator('article')).toContainText('Hello, engines');
  await page.reload();
  await expect(page.locator('article')).toContainText('Hello, engines');
  await expect(page).toHaveTitle('Engines · AssistDeck');
  expect(complaints).toEqual([]);
  await context.close();
});

test('who signs out comes back with the password, and with no other', async ({
  people, browser, baseURL,
}) => {
  const ada = await people('Ada Byron', { allow: /status of 401/ });
  await ada.start('Kept');
  await ada.composer.fill('a draft that goes with me');
  await ada.page.getByRole('button', { name: /^Your account/ }).click();
  await ada.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(ada.page.getByRole('heading', { name: 'Welcome back' })).toBeVisible();
  const left = await ada.page.evaluate(() => Object.keys(localStorage).sort());
  expect(left).toEqual(['assistdeck.email']);
  await ada.page.getByLabel('Password', { exact: true }).fill('something else');
  await ada.page.getByRole('button', { name: 'Sign in' }).click();
  await expect(ada.page.getByRole('alert')).toHaveText(/don’t match/);
  await ada.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await ada.page.getByRole('button', { name: 'Sign in' }).click();
  await expect(ada.page.getByRole('button', { name: 'Your account: Ada Byron' })).toBeVisible();
  const { context, page } = await visit(browser, baseURL);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Welcome back' })).toBeVisible();
  await context.close();
});

test('a new password: this browser’s tabs go on, others are signed out and told why', async ({
  people,
}) => {
  const allow = /status of 401|WebSocket/;
  const ada = await people('Ada King', { allow });
  const tab = await ada.context.newPage();
  await tab.goto('/');
  await expect(tab.getByRole('button', { name: /^Your account/ })).toBeVisible();
  const token = await ada.token();
  await ada.page.bringToFront();
  const other = await people('Ada King', { account: { token, email: ada.email }, allow });
  await ada.start('Secrets');
  await other.open('Secrets');

  await ada.page.getByRole('button', { name: /^Your account/ }).click();
  await ada.page.getByText('Change password').first().click();
  await ada.page.getByLabel('Current password').fill('wrong guess');
  await ada.page.getByLabel('New password').fill('another fine secret');
  await ada.page.getByRole('button', { name: 'Change password' }).click();
  await expect(ada.page.getByRole('alert')).toHaveText(/don’t match/);
  await ada.page.getByLabel('Current password').fill(PASSWORD);
  await ada.page.getByRole('button', { name: 'Change password' }).click();
  await expect(ada.page.getByText('Your password is changed')).toBeVisible();

  await expect(other.page.getByText(/You were signed out/)).toBeVisible();
  await ada.say('still here');
  await expect(tab.getByRole('navigation').getByText('still here')).toBeVisible();
});

test('a token past the half of its life is renewed', async ({ people }) => {
  const ada = await people('Ada Gordon');
  const before = await ada.page.evaluate(() => localStorage.getItem('assistdeck.token'));
  await ada.page.clock.install({ time: Date.now() + 4 * 86_400_000 });
  await ada.page.reload();
  await expect.poll(() => ada.page.evaluate(() => localStorage.getItem('assistdeck.token')))
    .not.toBe(before);
});

test('the page is light and cached for good', async ({ browser, baseURL }) => {
  const context = await browser.newContext({ baseURL });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  const answers = [];
  page.on('response', (response) => answers.push(response));
  const began = Date.now();
  await page.goto('/');
  await expect(page.getByLabel('Name')).toBeFocused();
  const took = Date.now() - began;
  await page.waitForLoadState('networkidle');
  const ready = await page.evaluate(() => (
    Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd)));
  console.log(`page: ${bytes} bytes on the wire, ready after ${ready} ms, used after ${took} ms`);
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(PAGE_BYTES_MAX);
  for (const answer of answers) {
    const { 'cache-control': keep, 'content-encoding': packed } = await answer.allHeaders();
    const { pathname } = new URL(answer.url());
    expect(answer.status(), pathname).toBe(200);
    if (pathname.startsWith('/assets/')) expect(keep, pathname).toContain('immutable');
    if (pathname === '/') expect(keep).toBe('no-cache');
    if (pathname !== '/favicon.svg') expect(packed, pathname).toBe('gzip');
  }
  const asked = [];
  page.on('request', (request) => asked.push(request));
  await page.reload();
  await expect(page.getByLabel('Name')).toBeFocused();
  const sizes = await Promise.all(asked.map(async (request) => [request.url(),
    (await (await request.response()).request().sizes()).responseBodySize]));
  const fresh = sizes.filter(([url, size]) => url.includes('/assets/') && size > 0);
  expect(fresh).toEqual([]);
  await context.close();
});
