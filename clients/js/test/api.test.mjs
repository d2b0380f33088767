/** The REST part: what goes over the wire, and what comes out of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api, ApiError } from '../src/index.js';

/** An `Api` whose fetch answers from a list, and what it was asked. */
function scripted(answers, options = {}) {
  const asked = [];
  const api = new Api({
    url: 'http://host:1/base/',
    token: 'T',
    ...options,
    fetch: async (url, init) => {
      asked.push({ url, ...init, body: init.body && JSON.parse(init.body) });
      const answer = answers.shift() ?? [200, {}];
      if (answer instanceof Error) throw answer;
      const [status, body, headers] = answer;
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
        status,
        headers,
      });
    },
  });
  return { api, asked, last: () => asked.at(-1) };
}

test('every call has its method, path and body', async () => {
  const { api, last } = scripted([]);
  const sessions = 'http://host:1/base/api/chat/sessions';
  const calls = [
    [() => api.createTicket(), 'POST', 'http://host:1/base/api/ws-tickets'],
    [() => api.profile(), 'GET', 'http://host:1/base/api/users/profile'],
    [() => api.createSession('T'), 'POST', sessions, { title: 'T' }],
    [() => api.session('i/d'), 'GET', `${sessions}/i%2Fd`],
    [() => api.renameSession('s', 'U'), 'PATCH', `${sessions}/s`, { title: 'U' }],
    [() => api.deleteSession('s'), 'DELETE', `${sessions}/s`],
    [() => api.markRead('s', 4), 'POST', `${sessions}/s/read`, { seq: 4 }],
    [() => api.participants('s', { limit: 2 }), 'GET', `${sessions}/s/participants?limit=2`],
    [
      () => api.addParticipant('s', { email: 'e' }),
      'POST',
      `${sessions}/s/participants`,
      { email: 'e' },
    ],
    [() => api.removeParticipant('s', 'u'), 'DELETE', `${sessions}/s/participants/u`],
    [() => api.leaveSession('s'), 'POST', `${sessions}/s/leave`],
    [
      () => api.messages('s', { after: 0, limit: 5 }),
      'GET',
      `${sessions}/s/messages?after=0&limit=5`,
    ],
    [
      () => api.sendMessage('s', { content: 'c' }),
      'POST',
      `${sessions}/s/messages`,
      { content: 'c' },
    ],
    [() => api.editMessage('s', 'm', 'c'), 'PATCH', `${sessions}/s/messages/m`, { content: 'c' }],
    [() => api.deleteMessage('s', 'm'), 'DELETE', `${sessions}/s/messages/m`],
    [() => api.events('s', { after: 3, wait: 30 }), 'GET', `${sessions}/s/events?after=3&wait=30`],
    [() => api.eventStream('s', 3), 'GET', `${sessions}/s/events?after=3`],
  ];
  for (const [call, method, url, body] of calls) {
    await call();
    assert.deepEqual([last().method, last().url, last().body], [method, url, body]);
    assert.equal(last().headers.Authorization, 'Bearer T');
    assert.equal(last().headers['Content-Type'], body && 'application/json');
  }
  assert.equal(last().headers.Accept, 'text/event-stream');
});

test('signing in goes without the old token and keeps the new one', async () => {
  const told = [];
  const { api, asked } = scripted(
    [
      [201, { token: 'A', user: { id: 'u' } }],
      [200, { token: 'B', user: {} }],
      [200, { token: 'C' }],
      [200, { token: 'D', expires_in: 9 }],
    ],
    { onToken: (token) => told.push(token) },
  );
  assert.equal((await api.register({ name: 'n', email: 'e', password: 'p' })).user.id, 'u');
  await api.login({ email: 'e', password: 'p' });
  await api.changePassword('p', 'q');
  await api.renewToken();
  assert.deepEqual(told, ['A', 'B', 'C', 'D']);
  assert.equal(api.token, 'D');
  assert.deepEqual(
    asked.map(({ headers }) => headers.Authorization),
    [undefined, undefined, 'Bearer B', 'Bearer C'],
  );
  assert.deepEqual(asked[2].body, { password: 'p', new_password: 'q' });
});

test('a user is found or not', async () => {
  const { api, last } = scripted([
    [200, [{ id: 'u' }]],
    [200, []],
  ]);
  assert.deepEqual(await api.findUser('a+b@example.com'), { id: 'u' });
  assert.equal(last().url, 'http://host:1/base/api/users?email=a%2Bb%40example.com');
  assert.equal(await api.findUser('x@example.com'), null);
});

test('pages lead to their neighbours', async () => {
  const { api, last } = scripted([
    [
      200,
      [{ seq: 5 }],
      { Link: '</api/x?before=5&limit=1>; rel="prev", </api/x?after=5>; rel="next"' },
    ],
    [200, [{ seq: 4 }]],
  ]);
  const page = await api.messages('s', { limit: 1 });
  assert.deepEqual(page.items, [{ seq: 5 }]);
  const before = await page.prev();
  assert.equal(last().url, 'http://host:1/base/api/chat/sessions/s/messages?before=5&limit=1');
  assert.deepEqual([before.items, before.next, before.prev], [[{ seq: 4 }], null, null]);
});

test('every failure is an ApiError with its code', async () => {
  const { api } = scripted([
    [
      429,
      { error: 'Slow down.', code: 'rate_limited' },
      { 'Retry-After': '3', 'X-Request-Id': 'r' },
    ],
    [502, '<html>Bad gateway</html>'],
    [200, '<html>A captive portal</html>'],
    new TypeError('fetch failed'),
    new TypeError('fetch failed'),
  ]);
  const fails = async (expected) =>
    assert.rejects(api.profile(), (error) => {
      assert.ok(error instanceof ApiError && error instanceof Error);
      for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value);
      return true;
    });
  await fails({
    status: 429,
    code: 'rate_limited',
    message: 'Slow down.',
    retryAfter: 3,
    requestId: 'r',
    isTransient: true,
  });
  await fails({ status: 502, code: 'bad_answer', retryAfter: null, isTransient: true });
  await fails({ status: 200, code: 'bad_answer', isTransient: false });
  await fails({ status: 0, code: 'unreachable', isTransient: true });
});

test('what changes nothing is asked once more where the connection broke', async () => {
  const broken = () => new TypeError('other side closed');
  const { api, asked } = scripted([broken(), [200, { id: 'u' }], broken(), broken(), broken()]);
  assert.deepEqual(await api.profile(), { id: 'u' });
  assert.deepEqual(asked.map(({ method }) => method), ['GET', 'GET']);
  await assert.rejects(api.profile(), { code: 'unreachable' });
  assert.equal(asked.length, 4, 'once, not again and again');
  await assert.rejects(api.createSession('T'), { code: 'unreachable' });
  assert.equal(asked.length, 5, 'what changes something is for the caller to repeat');
});

test('a slow server is a timeout; an abort of the caller stays an abort', async () => {
  const hang = (_, { signal }) =>
    new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const api = new Api({ url: 'http://host', fetch: hang, timeoutMs: 10 });
  await assert.rejects(api.profile(), { name: 'ApiError', code: 'timeout', status: 0 });
  const abort = new AbortController();
  const call = api.events('s', { after: 0, wait: 30 }, abort.signal);
  abort.abort();
  await assert.rejects(call, { name: 'AbortError' });
  await assert.rejects(api.events('s', { after: 0 }, AbortSignal.abort()), { name: 'AbortError' });
});

test('with `getToken` a refused call is repeated once, and the new token is shared', async () => {
  const refusal = [401, { error: 'No.', code: 'unauthorized' }];
  let renewals = 0;
  const { api, asked } = scripted(
    [refusal, refusal, [200, { id: 1 }], [200, { id: 2 }], refusal, refusal],
    {
      getToken: async (old) => {
        renewals++;
        return `${old}+`;
      },
    },
  );
  const answers = await Promise.all([api.profile(), api.profile()]);
  assert.deepEqual(
    answers.map(({ id }) => id),
    [1, 2],
  );
  assert.equal(renewals, 1);
  assert.deepEqual(
    asked.map(({ headers }) => headers.Authorization),
    ['Bearer T', 'Bearer T', 'Bearer T+', 'Bearer T+'],
  );
  await assert.rejects(api.profile(), { code: 'unauthorized' });
  assert.equal(asked.length, 6);
});

test('without an address there is no client outside of a browser', () => {
  assert.throws(() => new Api(), TypeError);
  assert.throws(() => new Api({ url: 'nonsense' }), TypeError);
});
