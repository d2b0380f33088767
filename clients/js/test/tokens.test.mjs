/** Tokens on an open connection: their end, their renewal, their refusal. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from './support/store.mjs';
import { follower, until, world } from './support/world.mjs';

test('after 4401 it gets a token from the server and comes back', async (t) => {
  const here = await world(t);
  const tokens = [];
  const one = await follower(here, { api: { onToken: (token) => tokens.push(token) } });
  for (const socket of here.server.sockets) socket.close(4401);
  await until(() => one.hasBeen('offline', 'token_expired') && one.isLive());
  assert.equal(tokens.length, 1);
  assert.equal(one.api.token, tokens[0]);
});

test('a token that is refused is renewed by the callback, or the end is told', async (t) => {
  const here = await world(t);
  const { store, server, ada } = here;
  const one = await follower(here, { api: { getToken: () => store.newToken(ada.user.id) } });
  const two = await follower(here);
  store.tokens.clear();
  for (const socket of server.sockets) socket.close(4401);
  await until(() => two.live.state.state === 'stopped');
  assert.deepEqual(two.live.state, { state: 'stopped', reason: 'unauthorized', code: 401 });
  await until(() => one.hasBeen('offline') && one.isLive());
});

test('a callback that gives what is refused again ends in `stopped`, not in a loop', async (t) => {
  const here = await world(t);
  const one = await follower(here, { api: { getToken: () => 'nonsense' } });
  here.store.tokens.clear();
  for (const socket of here.server.sockets) socket.close(4401);
  await until(() => one.live.state.state === 'stopped');
  assert.equal(one.live.state.reason, 'unauthorized');
});

test('`token_expiring` is answered in band, by every new token', async (t) => {
  const here = await world(t);
  const { server } = here;
  let refusals = 1;
  server.onCall = (_, path) =>
    path === '/api/token' && refusals-- > 0 ? new Refusal(401, 'unauthorized') : undefined;
  const one = await follower(here, { api: { getToken: undefined } });
  const [socket] = server.sockets;
  socket.send({ type: 'token_expiring', in_ms: 60_000 });
  await until(() => refusals < 1);
  socket.send({ type: 'token_expiring', in_ms: 30_000 });
  const auth = await until(() => server.heard.find(({ type }) => type === 'auth'));
  assert.equal(auth.token, one.api.token);
  assert.equal(one.hasBeen('offline'), false);
});

test('a bearer protocol in place of a ticket', async (t) => {
  const here = await world(t);
  await follower(here, { auth: 'bearer' });
  assert.equal(
    here.server.calls.some((call) => call.includes('tickets')),
    false,
  );
});
