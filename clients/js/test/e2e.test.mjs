/**
 * The client against the running server: `ASSISTDECK_URL=http://localhost:8080 node --test
 * test/e2e.test.mjs`. Makes its own users, so that it can run again and again.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Api, ApiError, Live } from '../src/index.js';
import { until, upTo } from './support/world.mjs';

const url = process.env.ASSISTDECK_URL;
const options = { skip: !url && 'ASSISTDECK_URL is not set', timeout: 60_000 };
const sockets = new Set();

class WatchedSocket extends WebSocket {
  constructor(...parameters) {
    super(...parameters);
    sockets.add(this);
  }
}

/** Breaks every connection as a dead network does. */
function cutEverything() {
  for (const socket of sockets) socket.terminate();
  sockets.clear();
}

/** A new user with a live connection, and all that it told. */
async function person(t, name, liveOptions = {}) {
  const api = new Api({ url });
  const email = `${name.toLowerCase()}-${randomUUID()}@example.com`;
  const { user } = await api.register({ name, email, password: `pass-${randomUUID()}` });
  const live = new Live(api, {
    backoffMs: 50,
    tickMs: 500,
    pollMs: 1_000,
    environment: { WebSocket: WatchedSocket },
    ...liveOptions,
  });
  t.after(() => live.close());
  const events = [];
  const told = [];
  live.on('event', (event) => events.push(event));
  for (const name of [
    'following',
    'unfollowed',
    'reset',
    'typing',
    'presence',
    'read',
    'error',
    'session.added',
    'session.removed',
    'session.activity',
    'unknown',
  ]) {
    live.on(name, (value) => told.push([name, value]));
  }
  const of = (name) => told.filter(([each]) => each === name).map(([, value]) => value);
  const isLive = () => live.state.state === 'live';
  live.connect();
  await until(isLive, `${name} is live`);
  return { api, live, user, email, events, of, isLive };
}

async function talk(t, liveOptions) {
  const ada = await person(t, 'Ada', liveOptions);
  const bob = await person(t, 'Bob', liveOptions);
  const session = await ada.api.createSession('A talk');
  await ada.api.addParticipant(session.id, { email: bob.email });
  for (const { live } of [ada, bob]) live.follow(session.id, { after: 0, epoch: session.epoch });
  await until(() => ada.events.length === 1 && bob.events.length === 1);
  await until(() => ada.isLive() && bob.isLive());
  return { ada, bob, session };
}

const seqs = ({ events }) => events.map(({ seq }) => seq);

for (const transport of ['ws', 'sse']) {
  test(`two people over ${transport}: chat, edit, delete, remove`, options, async (t) => {
    const { ada, bob, session } = await talk(t, { transports: [transport] });
    assert.equal(ada.live.state.transport, transport);
    const hello = await ada.live.send(session.id, 'Hello').done;
    const reply = await bob.live.send(session.id, {
      content: 'Hi',
      file_url: 'https://a.example/b',
    }).done;
    await ada.api.editMessage(session.id, hello.id, 'Hello, Bob');
    await ada.api.deleteMessage(session.id, reply.id);
    await ada.api.renameSession(session.id, 'Renamed');
    await until(() => ada.events.length === 6 && bob.events.length === 6);
    assert.deepEqual(seqs(bob), upTo(6));
    const types = [
      'participant.added',
      'message.created',
      'message.created',
      'message.updated',
      'message.deleted',
      'session.updated',
    ];
    assert.deepEqual(
      bob.events.map(({ type }) => type),
      types,
    );
    assert.deepEqual(seqs(ada), upTo(6));
    await ada.api.removeParticipant(session.id, bob.user.id);
    await until(() => bob.of('unfollowed').length === 1);
    await ada.live.send(session.id, 'secret').done;
    await until(() => ada.events.length === 8);
    assert.deepEqual(seqs(bob), upTo(7));
    await assert.rejects(bob.live.send(session.id, 'still here?').done, { code: 'not_a_member' });
    await ada.api.deleteSession(session.id);
    await until(() => ada.of('unfollowed').length === 1);
    assert.equal(ada.of('unfollowed')[0].reason, 'deleted');
    for (const one of [ada, bob]) {
      for (const name of ['unknown', 'error', 'reset']) assert.deepEqual(one.of(name), []);
    }
  });
}

test('breaks lose and double nothing', options, async (t) => {
  const { ada, bob, session } = await talk(t);
  const sendings = [];
  for (let n = 0; n < 200; n++) {
    sendings.push([ada, bob][n % 2].live.send(session.id, `m ${n}`));
    if (n % 25 === 24) {
      cutEverything();
      await new Promise((next) => {
        setTimeout(next, 20);
      });
    }
  }
  await Promise.all(sendings.map(({ done }) => done));
  await until(() => ada.events.length === 201 && bob.events.length === 201, 'all have arrived');
  for (const one of [ada, bob]) assert.deepEqual(seqs(one), upTo(201));
  const contents = new Set(ada.events.map(({ data }) => data.content));
  assert.equal(contents.size, 201);
});

test('signals, the list of sessions and read marks', options, async (t) => {
  const { ada, bob, session } = await talk(t);
  ada.live.typing(session.id, true);
  await until(() => bob.of('typing').some(({ is_typing }) => is_typing));
  assert.equal(bob.of('typing')[0].user_id, ada.user.id);
  const { seq } = await ada.live.send(session.id, 'read this').done;
  await until(() => bob.events.length === 2);
  assert.equal((await bob.api.sessions()).items[0].unread_count, 1);
  bob.live.read(session.id, seq);
  await until(() =>
    ada.of('read').some((read) => read.user_id === bob.user.id && read.seq === seq),
  );
  assert.equal((await bob.api.sessions()).items[0].unread_count, 0);
  bob.live.leave(session.id);
  await ada.live.send(session.id, 'elsewhere').done;
  await until(() => bob.of('session.activity').some(({ last_seq }) => last_seq === seq + 1));
  const other = await ada.api.createSession('Another');
  await ada.api.addParticipant(other.id, { user_id: bob.user.id });
  await until(() => bob.of('session.added').some((added) => added.session.id === other.id));
  await bob.api.leaveSession(other.id);
  await until(() => bob.of('session.removed').some((gone) => gone.session_id === other.id));
  for (const one of [ada, bob]) {
    for (const name of ['unknown', 'error', 'reset']) assert.deepEqual(one.of(name), []);
  }
});

test('a position of another epoch is a reset', options, async (t) => {
  const { ada, session } = await talk(t);
  ada.live.follow(session.id, { after: 1, epoch: 'another' });
  await until(() => ada.of('reset').length === 1);
  assert.equal(ada.of('reset')[0].session.epoch, session.epoch);
  ada.live.follow(session.id, { after: 1_000_000 });
  await until(() => ada.of('reset').length === 2 && ada.isLive());
});

test('a silent connection answers a probe', options, async (t) => {
  const { ada } = await talk(t);
  const window = new EventTarget();
  const live = new Live(ada.api, {
    probeWaitMs: 1_000,
    tickMs: 50,
    auth: 'bearer',
    environment: { WebSocket: WatchedSocket, window },
  });
  t.after(() => live.close());
  const states = [];
  live.on('state', ({ state }) => states.push(state));
  live.on('error', (error) => assert.fail(error.code));
  live.connect();
  await until(() => live.state.state === 'live');
  window.dispatchEvent(new Event('online'));
  await new Promise((next) => {
    setTimeout(next, 1_500);
  });
  assert.deepEqual(states, ['connecting', 'live']);
});

test('history in pages, users, tokens, and errors with their codes', options, async (t) => {
  const { ada, bob, session } = await talk(t);
  for (const n of upTo(5)) await ada.api.sendMessage(session.id, { content: `m ${n}` });
  const newest = await ada.api.messages(session.id, { limit: 2 });
  assert.deepEqual(
    newest.items.map(({ content }) => content),
    ['m 4', 'm 5'],
  );
  const older = await newest.prev();
  assert.deepEqual(
    older.items.map(({ content }) => content),
    ['m 2', 'm 3'],
  );
  assert.equal((await ada.api.findUser(bob.email)).id, bob.user.id);
  assert.equal(await ada.api.findUser('nobody@example.com'), null);
  assert.equal((await ada.api.participants(session.id)).items.length, 2);
  const draft = { content: 'once', client_id: 'c-1' };
  const first = await ada.api.sendMessage(session.id, draft);
  assert.equal((await ada.api.sendMessage(session.id, draft)).id, first.id);
  const feed = await bob.api.events(session.id, { after: 0 });
  assert.deepEqual([feed.head, feed.events.length, feed.epoch], [7, 7, session.epoch]);
  await ada.api.renewToken();
  assert.equal((await ada.api.profile()).id, ada.user.id);
  await assert.rejects(
    bob.api.renameSession(session.id, 'x'),
    (error) =>
      error instanceof ApiError &&
      error.status === 403 &&
      error.code === 'not_session_owner' &&
      error.requestId !== null,
  );
});
