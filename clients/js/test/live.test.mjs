/** The real-time part over the socket, on a network that does as it should. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, upTo, world } from './support/world.mjs';

test('a follower with `after` gets every event since, then live, once and in order', async (t) => {
  const { client, log, say, ada } = await world(t);
  for (let n = 0; n < 5; n++) say(ada, `old ${n}`);
  const one = client();
  one.live.follow(log.id, { after: 2, epoch: 'epoch-1' });
  one.live.connect();
  await until(() => one.isLive());
  say(ada, 'new');
  await until(() => one.seqs.length === 4);
  assert.deepEqual(one.seqs, [3, 4, 5, 6]);
  assert.deepEqual(
    one.states.map(({ state }) => state),
    ['connecting', 'catching-up', 'live'],
  );
  assert.deepEqual(one.live.position(log.id), { after: 6, epoch: 'epoch-1', isLive: true });
});

test('without `after` it is live only, and the frame brings the lists', async (t) => {
  const { client, log, say, ada } = await world(t);
  say(ada, 'old');
  const one = client();
  one.live.connect();
  await until(() => one.isLive());
  one.live.follow(log.id);
  one.live.follow(log.id);
  await until(() => one.names().includes('caught_up'));
  say(ada, 'new');
  await until(() => one.seqs.length === 1);
  assert.deepEqual(one.seqs, [2]);
  assert.equal(one.of('following').length, 1);
  assert.equal(one.of('following')[0].participants.length, 1);
});

test('a message is pending at once, then sent, and its event comes once', async (t) => {
  const { client, log } = await world(t);
  const one = client();
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive());
  const sending = one.live.send(log.id, 'Hello');
  assert.equal(sending.status, 'pending');
  assert.equal(one.live.sendings(log.id).length, 1);
  const message = await sending.done;
  assert.equal(message.content, 'Hello');
  assert.equal(message.client_id, sending.client_id);
  assert.equal(sending.status, 'sent');
  assert.deepEqual(
    one.of('sending').map(({ status }) => status),
    ['pending', 'sent'],
  );
  assert.equal(one.live.sendings().length, 0);
  await until(() => one.seqs.length === 1);
});

test('what is written before connecting is sent after it, 32 in flight at most', async (t) => {
  const { client, server, log } = await world(t);
  const held = [];
  let most = 0;
  server.onHear = (frame, socket) => {
    if (frame.type !== 'message.send' || frame.isLet) return true;
    held.push(() => socket.raw.emit('message', JSON.stringify({ ...frame, isLet: true })));
    return false;
  };
  const one = client(undefined, { answerTimeoutMs: 60_000 });
  one.live.follow(log.id, { after: 0 });
  const sendings = upTo(100).map((n) => one.live.send(log.id, `m ${n}`));
  one.live.connect();
  await until(() => held.length === 32);
  while (one.live.sendings().length > 0) {
    most = Math.max(most, held.length);
    held.shift()?.();
    await new Promise((next) => {
      setTimeout(next, 1);
    });
  }
  assert.equal(most, 32);
  const messages = await Promise.all(sendings.map(({ done }) => done));
  assert.deepEqual(
    messages.map(({ content }) => content),
    upTo(100).map((n) => `m ${n}`),
  );
  assert.deepEqual(
    messages.map(({ seq }) => seq),
    upTo(100),
  );
});

test('a refused message fails, can be retried under its client_id, and discarded', async (t) => {
  const { client, log } = await world(t);
  const one = client();
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive());
  const sending = one.live.send(log.id, ' ');
  await assert.rejects(sending.done, { name: 'ApiError', code: 'invalid_content' });
  assert.equal(sending.status, 'failed');
  const again = one.live.retry(sending.client_id);
  assert.equal(again.client_id, sending.client_id);
  assert.equal(again.status, 'pending');
  await assert.rejects(again.done, { code: 'invalid_content' });
  assert.equal(one.live.discard(sending.client_id), true);
  assert.equal(one.live.sendings().length, 0);
  const large = one.live.send(log.id, 'x'.repeat(65_537));
  await assert.rejects(large.done, { code: 'content_too_large' });
});

test('an answer that asks to come later is obeyed without a word to the application', async (t) => {
  const { client, server, log } = await world(t);
  let refusals = 3;
  server.onHear = (frame, socket) => {
    if (frame.type !== 'message.send' || refusals-- <= 0) return true;
    socket.send({
      type: 'error',
      error: 'Later.',
      code: 'unavailable',
      client_id: frame.client_id,
    });
    return false;
  };
  const one = client();
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  const first = one.live.send(log.id, 'first');
  const second = one.live.send(log.id, 'second');
  await Promise.all([first.done, second.done]);
  assert.deepEqual(
    one.of('sending').map(({ status }) => status),
    ['pending', 'pending', 'sent', 'sent'],
  );
  assert.equal(one.of('error').length, 0);
});

test('to a session that is not followed a message goes by REST', async (t) => {
  const { client, server, log } = await world(t);
  const one = client();
  one.live.connect();
  await until(() => one.isLive());
  const message = await one.live.send(log.id, 'by the way').done;
  assert.equal(message.seq, 1);
  assert.ok(server.calls.includes(`POST /api/chat/sessions/${log.id}/messages`));
});

test('whoever is removed hears it, and nothing after', async (t) => {
  const { client, store, log, bob, ada, say } = await world(t);
  store.addMember(log, bob.user.id);
  const one = client(bob);
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  await until(() => one.isLive());
  store.removeMember(log, bob.user.id);
  say(ada, 'secret');
  await until(() => one.names().includes('unfollowed'));
  assert.deepEqual(one.of('unfollowed'), [{ session_id: log.id, reason: 'removed' }]);
  assert.deepEqual(one.seqs, [1, 2]);
  // Added again, the whole history is read across the old removal.
  store.addMember(log, bob.user.id);
  one.live.follow(log.id, { after: 2 });
  say(ada, 'welcome back');
  await until(() => one.seqs.length === 5);
  assert.deepEqual(one.seqs, upTo(5));
  assert.equal(one.of('unfollowed').length, 1);
  assert.equal(one.of('error').length, 0);
});

test('deletion, and a session that is none of mine, end the following with a reason', async (t) => {
  const { client, store, log, bob } = await world(t);
  const other = store.addSession(bob.user.id, 'Not for Ada');
  const one = client();
  one.live.follow(log.id);
  one.live.follow(other.id);
  one.live.connect();
  await until(() => one.isLive());
  store.remove(log);
  await until(() => one.of('unfollowed').length === 2);
  assert.deepEqual(
    one.of('unfollowed').map(({ reason }) => reason),
    ['not_a_member', 'deleted'],
  );
  assert.equal(one.of('error').length, 0);
});

test('typing is told every three seconds, its end once; a read mark only grows', async (t) => {
  const { client, server, log } = await world(t);
  const one = client();
  one.live.follow(log.id);
  one.live.connect();
  await until(() => one.isLive());
  for (let n = 0; n < 9; n++) one.live.typing(log.id, true);
  await one.live.send(log.id, 'done').done;
  for (const seq of [1, 5, 3, 7]) one.live.read(log.id, seq);
  one.live.leave(log.id);
  await until(() => server.heard.at(-1).type === 'leave');
  const signals = server.heard.filter(({ type }) => type === 'typing' || type === 'read');
  assert.deepEqual(
    signals.map(({ is_typing, seq }) => is_typing ?? seq),
    [true, false, 1, 7],
  );
});

test('signals reach the application as they are, and so does what is unknown', async (t) => {
  const { client, server, log } = await world(t);
  const one = client();
  one.live.connect();
  await until(() => one.isLive());
  const [socket] = server.sockets;
  socket.send({ type: 'presence', session_id: log.id, user_id: 'u', online: true });
  socket.send({ type: 'session.removed', session_id: log.id });
  socket.send({ type: 'answer.started', session_id: log.id });
  socket.raw.send('not json');
  socket.raw.send('{"type": 7}');
  socket.send({ type: 'session.activity', session_id: log.id, last_seq: 4, last_message: null });
  await until(() => one.names().includes('session.activity'));
  assert.deepEqual(one.names(), [
    'hello',
    'presence',
    'session.removed',
    'unknown',
    'session.activity',
  ]);
});

test('at most 200 sessions are followed', async (t) => {
  const { client } = await world(t);
  const one = client();
  for (let n = 0; n < 200; n++) one.live.follow(`s${n}`);
  assert.throws(() => one.live.follow('one more'), RangeError);
});

test('a listener that throws disturbs nobody else', async (t) => {
  const { client, log, say, ada } = await world(t);
  const one = client();
  const caught = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => caught.push(error));
  t.after(() => {
    for (const each of listeners) process.on('uncaughtException', each);
  });
  one.live.on('message.created', () => {
    throw new Error('mine');
  });
  one.live.follow(log.id, { after: 0 });
  one.live.connect();
  say(ada, 'a');
  await until(() => one.seqs.length === 1 && caught.length === 1);
  assert.equal(caught[0].message, 'mine');
  assert.equal(one.isLive(), true);
});
