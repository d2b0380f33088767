/** The fallback: server-sent events and REST where no WebSocket gets through. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiresInMs } from '../src/token.js';
import { Refusal } from './support/store.mjs';
import { until, upTo, world } from './support/world.mjs';

const SSE = { transports: ['sse'] };

test('after failed handshakes it falls back, and takes the socket again later', async (t) => {
  const { client, server, log, say, ada } = await world(t);
  server.allowsSockets = false;
  say(ada, 'old');
  const one = client();
  one.live.follow(log.id, { after: 0, epoch: 'epoch-1' });
  one.live.connect();
  await until(() => one.isLive());
  assert.equal(one.live.state.transport, 'sse');
  assert.equal(one.states.filter(({ state }) => state === 'offline').length, 3);
  await one.live.send(log.id, 'mine').done;
  say(ada, 'live');
  await until(() => one.seqs.length === 3);
  server.allowsSockets = true;
  await until(() => one.isLive() && one.live.state.transport === 'ws');
  say(ada, 'over the socket');
  await until(() => one.seqs.length === 4);
  assert.deepEqual(one.seqs, upTo(4));
  assert.equal(server.sockets.size, 1);
  await until(() => server.streams.size === 0);
});

test('without a WebSocket in the world, server-sent events it is', async (t) => {
  const { client, log } = await world(t);
  const one = client(undefined, { environment: { WebSocket: undefined } });
  one.live.follow(log.id);
  one.live.connect();
  await until(() => one.isLive());
  assert.equal(one.live.state.transport, 'sse');
  assert.equal(one.of('following')[0].participants.length, 1);
});

test('a server that is away is no reason to fall back', async (t) => {
  const { client, server } = await world(t);
  server.onCall = () => new Refusal(503, 'unavailable');
  const one = client();
  one.live.connect();
  await until(() => one.states.filter(({ state }) => state === 'offline').length > 5);
  assert.ok(one.states.every(({ transport }) => transport !== 'sse'));
  server.onCall = () => undefined;
  await until(() => one.isLive() && one.live.state.transport === 'ws');
});

test('streams that end are opened again after what was seen', async (t) => {
  const { client, server, log, say, ada } = await world(t);
  const one = client(undefined, SSE);
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive() && server.streams.size === 1);
  for (let n = 0; n < 5; n++) {
    say(ada, `m ${n}`);
    server.http.closeAllConnections();
  }
  await until(() => one.seqs.length === 5 && one.isLive());
  assert.deepEqual(one.seqs, upTo(5));
});

test('more sessions than streams: all hear everything', async (t) => {
  const { client, server, store, ada } = await world(t);
  const logs = upTo(8).map((n) => store.addSession(ada.user.id, `s ${n}`));
  const one = client(undefined, SSE);
  for (const log of logs) one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive() && server.streams.size === 3);
  for (const log of logs) store.send(log, ada.user.id, { content: 'x' });
  await until(() => one.seqs.length === 8);
  one.live.leave(logs[7].id);
  await until(() => one.isLive() && server.streams.size === 3);
  assert.equal(one.of('error').length, 0);
});

test('removal, deletion and a foreign session end a following here too', async (t) => {
  const { client, store, log, ada, bob } = await world(t);
  store.addMember(log, bob.user.id);
  const shared = store.addSession(ada.user.id, 'to be deleted');
  store.addMember(shared, bob.user.id);
  const foreign = store.addSession(ada.user.id, 'foreign');
  const one = client(bob, SSE);
  for (const { id } of [log, shared, foreign]) one.live.follow(id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive() && one.seqs.length === 2);
  store.removeMember(log, bob.user.id);
  store.remove(shared);
  await until(() => one.of('unfollowed').length === 3);
  const reasons = Object.fromEntries(
    one.of('unfollowed').map((each) => [each.session_id, each.reason]),
  );
  assert.deepEqual(reasons, {
    [log.id]: 'removed',
    [shared.id]: 'deleted',
    [foreign.id]: 'not_a_member',
  });
  assert.equal(one.of('error').length, 0);
});

test('the list of sessions lives by asking', async (t) => {
  const { client, store, log, ada, say } = await world(t);
  const one = client(undefined, SSE);
  one.live.connect();
  await until(() => one.isLive());
  await new Promise((next) => {
    setTimeout(next, 30);
  });
  const fresh = store.addSession(ada.user.id, 'fresh');
  await until(() => one.of('session.added').length === 1);
  assert.equal(one.of('session.added')[0].session.id, fresh.id);
  say(ada, 'news');
  await until(() => one.of('session.activity').length === 1);
  assert.equal(one.of('session.activity')[0].last_message.content, 'news');
  store.remove(fresh);
  await until(() => one.of('session.removed').length === 1);
  assert.equal(log.id, one.of('session.activity')[0].session_id);
});

test('another epoch is a reset here too, and a refused token is renewed', async (t) => {
  const { client, server, store, log, say, ada } = await world(t);
  say(ada, 'a');
  const one = client(undefined, { ...SSE, api: { getToken: () => store.newToken(ada.user.id) } });
  one.live.follow(log.id, { after: 0, epoch: 'epoch-1' });
  one.live.connect();
  await until(() => one.isLive());
  store.epoch = 'epoch-2';
  store.tokens.clear();
  server.http.closeAllConnections();
  say(ada, 'b');
  await until(() => one.of('reset').length === 1 && one.isLive());
  const sending = one.live.send(log.id, 'c');
  await sending.done;
  await until(() => one.seqs.at(-1) === 3);
});

test('many messages by REST keep their order', async (t) => {
  const { client, server, log } = await world(t);
  const one = client(undefined, SSE);
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  const sendings = upTo(50).map((n) => one.live.send(log.id, `m ${n}`));
  await until(() => log.events.length > 10);
  server.http.closeAllConnections();
  await Promise.all(sendings.map(({ done }) => done));
  assert.deepEqual(
    log.events.map(({ data }) => data.content),
    upTo(50).map((n) => `m ${n}`),
  );
  await until(() => one.seqs.length === 50);
  assert.deepEqual(one.seqs, upTo(50));
});

test('read marks go by REST', async (t) => {
  const { client, log, say, ada } = await world(t);
  say(ada, 'a');
  const one = client(undefined, SSE);
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive());
  one.live.read(log.id, 1);
  await until(() => log.marks.get(ada.user.id) === 1);
});

test('what a token says of its end', () => {
  const claims = btoa(JSON.stringify({ sub: 'é', exp: 100 }))
    .replace(/\+/g, '-')
    .replace(/\//g, '_');
  assert.equal(expiresInMs(`h.${claims}.s`, 40_000), 60_000);
  for (const token of [null, '', 'opaque', 'a.b.c', `h.${btoa('{}')}.s`]) {
    assert.equal(expiresInMs(token, 0), Infinity);
  }
});
