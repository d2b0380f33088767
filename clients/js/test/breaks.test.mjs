/** The real-time part when things break: sockets, frames, tokens, epochs. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../src/index.js';
import { follower, until, upTo, world } from './support/world.mjs';

const isEvent = (frame) => frame.seq !== undefined && frame.at !== undefined;

/** A deterministic chance. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

for (const code of [1001, 1012, 4408, 4477, 1000, 1011]) {
  test(`after ${code} it comes back with what it missed`, async (t) => {
    const here = await world(t);
    const one = await follower(here);
    here.say(here.ada, 'one');
    await until(() => one.seqs.length === 1);
    for (const socket of here.server.sockets) socket.close(code);
    here.say(here.ada, 'two');
    await until(() => one.hasBeen('offline') && one.isLive());
    here.say(here.ada, 'three');
    await until(() => one.seqs.length === 3);
    assert.deepEqual(one.seqs, [1, 2, 3]);
    assert.deepEqual(one.of('error'), []);
    assert.equal(one.states.find(({ state }) => state === 'offline').code, code);
  });
}

for (const [code, reason] of [
  [4501, 'revoked'],
  [4503, 'removed'],
  [4504, 'deleted'],
  [4999, 'refused'],
]) {
  test(`after ${code} it stops, and what was not sent fails`, async (t) => {
    const here = await world(t);
    here.server.onHear = ({ type }) => type !== 'message.send';
    const one = await follower(here);
    const sending = one.live.send(here.log.id, 'never');
    for (const socket of here.server.sockets) socket.close(code);
    await assert.rejects(sending.done, { code: 'stopped' });
    assert.deepEqual(one.live.state, { state: 'stopped', reason, code });
    here.server.onHear = () => true;
    one.live.connect();
    one.live.retry(sending.client_id);
    assert.equal((await until(() => sending.message)).seq, 1);
  });
}

test('a message that was stored just before the break is not doubled', async (t) => {
  const here = await world(t);
  const { server, log } = here;
  let breaks = 3;
  server.onSend = (frame, socket) => {
    if (frame.type !== 'message.sent' && frame.type !== 'message.created') return [frame];
    if (breaks-- <= 0) return [frame];
    socket.raw.terminate();
    return [];
  };
  const one = await follower(here, { answerTimeoutMs: 60_000 });
  const sendings = ['a', 'b', 'c'].map((content) => one.live.send(log.id, content));
  await Promise.all(sendings.map(({ done }) => done));
  await until(() => one.seqs.length === 3 && one.isLive());
  assert.deepEqual(
    log.events.map(({ data }) => data.content),
    ['a', 'b', 'c'],
  );
  assert.deepEqual(one.seqs, [1, 2, 3]);
  assert.ok(sendings.every(({ status }) => status === 'sent'));
});

test('a message that never reached the server is repeated after the break', async (t) => {
  const here = await world(t);
  let breaks = 2;
  here.server.onHear = ({ type }, socket) => {
    if (type !== 'message.send' || breaks-- <= 0) return true;
    socket.raw.terminate();
    return false;
  };
  const one = await follower(here, { answerTimeoutMs: 60_000 });
  await one.live.send(here.log.id, 'at last').done;
  assert.equal(here.log.events.length, 1);
});

test('a close in the middle of a replay loses and doubles nothing', async (t) => {
  const here = await world(t);
  for (let n = 0; n < 50; n++) here.say(here.ada, `m ${n}`);
  let left = 4;
  here.server.onSend = (frame, socket) => {
    if (frame.seq % 11 === 0 && left-- > 0) {
      socket.raw.terminate();
      return [];
    }
    return [frame];
  };
  const one = await follower(here);
  assert.deepEqual(one.seqs, upTo(50));
});

for (const seed of upTo(Number(process.env.SEEDS ?? 5))) {
  test(`dropped, doubled and reordered frames, and breaks: seed ${seed}`, async (t) => {
    const here = await world(t);
    const { server, log, ada, say } = here;
    const random = dice(seed);
    let held = [];
    let isCalm = false;
    server.onSend = (frame, socket) => {
      const chance = random();
      if (isCalm || frame.type === 'hello') return [frame];
      if (chance < 0.05) return [];
      if (chance < 0.1) return [frame, frame];
      if (chance < 0.15) {
        held.push(frame);
        return [];
      }
      if (chance < 0.16) {
        socket.raw.terminate();
        return [];
      }
      const out = [frame, ...(isEvent(frame) ? held : [])];
      if (isEvent(frame)) held = [];
      return out;
    };
    const one = here.client();
    one.live.follow(log.id, { after: 0, epoch: 'epoch-1' });
    one.live.connect();
    const sent = [];
    for (let n = 0; n < 60; n++) {
      if (n % 3 === 0) sent.push(one.live.send(log.id, `mine ${n}`));
      else say(ada, `other ${n}`);
      if (n % 10 === 0)
        await new Promise((next) => {
          setTimeout(next, 5);
        });
    }
    await new Promise((next) => {
      setTimeout(next, 100);
    });
    isCalm = true;
    await Promise.all(sent.map(({ done }) => done));
    // A lost last frame can't be noticed before another one follows it.
    say(ada, 'the end');
    const total = 61;
    await until(() => log.events.length === total && one.seqs.length === total && one.isLive());
    assert.deepEqual(one.seqs, upTo(total));
    assert.ok(sent.every(({ status }) => status === 'sent'));
  });
}

test('a lost last event is found by `caught_up`, and a hole is asked for again', async (t) => {
  const here = await world(t);
  const { server, say, ada } = here;
  for (let n = 0; n < 3; n++) say(ada, `m ${n}`);
  let drops = 1;
  server.onSend = (frame) => (frame.seq === 3 && isEvent(frame) && drops-- > 0 ? [] : [frame]);
  const one = await follower(here);
  assert.deepEqual(one.seqs, [1, 2, 3]);
  const follows = server.heard.filter(({ type }) => type === 'follow');
  assert.deepEqual(
    follows.map(({ after }) => after),
    [0, 2],
  );
  assert.equal(server.sockets.size, 1);
});

test('a follow without an answer is asked again, and so is a send', async (t) => {
  const here = await world(t);
  const { server, log } = here;
  const drops = { following: 1, caught_up: 1, 'message.sent': 1, 'message.created': 1 };
  server.onSend = (frame) => (drops[frame.type]-- > 0 ? [] : [frame]);
  const one = await follower(here);
  const message = await one.live.send(log.id, 'heard').done;
  assert.equal(message.seq, 1);
  assert.equal(log.events.length, 1);
  assert.equal(server.heard.filter(({ type }) => type === 'message.send').length, 2);
});

test('another epoch is a reset: told, and live from the new head', async (t) => {
  const here = await world(t);
  const { server, store, log, say, ada } = here;
  for (let n = 0; n < 3; n++) say(ada, `m ${n}`);
  const one = await follower(here);
  store.epoch = 'epoch-2';
  log.events.length = 1;
  for (const socket of server.sockets) socket.close(1012);
  await until(() => one.of('reset').length === 1 && one.isLive());
  const [reset] = one.of('reset');
  assert.equal(reset.session_id, log.id);
  assert.equal(reset.session.epoch, 'epoch-2');
  assert.equal(reset.head, 1);
  say(ada, 'after the reset');
  await until(() => one.seqs.length === 4);
  assert.deepEqual(one.seqs, [1, 2, 3, 2]);
  assert.equal(one.live.position(log.id).epoch, 'epoch-2');
  assert.deepEqual(one.of('error'), []);
});

test('after 4429 it waits five seconds at least', async (t) => {
  const here = await world(t);
  const one = await follower(here);
  for (const socket of here.server.sockets) socket.close(4429);
  await until(() => one.hasBeen('offline', 'rate_limited'));
  assert.ok(one.live.state.retry_in_ms >= 5_000);
  one.window.dispatchEvent(new Event('online'));
  assert.equal(one.live.state.state, 'offline');
});

test('4409 as a close code resets every followed session', async (t) => {
  const here = await world(t);
  const other = here.store.addSession(here.ada.user.id, 'Other');
  const one = await follower(here);
  one.live.follow(other.id, { after: 0 });
  for (const socket of here.server.sockets) socket.close(4409);
  await until(() => one.of('reset').length === 2 && one.isLive());
});

test('a silent connection is probed, and given up when nothing answers', async (t) => {
  const here = await world(t);
  const { server } = here;
  server.heartbeatMs = 40;
  const one = await follower(here);
  await until(() => server.heard.filter(({ type }) => type === 'ping').length >= 2);
  assert.equal(one.hasBeen('offline'), false);
  assert.equal(one.of('error').length, 0);
  server.onHear = ({ type }) => type !== 'ping';
  await until(() => one.hasBeen('offline', 'too_slow'));
  server.onHear = () => true;
  await until(() => one.isLive());
});

test('news from the page: a probe while connected, an attempt at once while not', async (t) => {
  const here = await world(t);
  const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  const one = await follower(here, { backoffMs: 3_600_000, backoffMaxMs: 3_600_000, document });
  one.window.dispatchEvent(new Event('offline'));
  await until(() => here.server.heard.some(({ type }) => type === 'ping'));
  for (const socket of here.server.sockets) socket.close(1001);
  await until(() => one.hasBeen('offline', 'server_restart'));
  document.dispatchEvent(new Event('visibilitychange'));
  one.window.dispatchEvent(new Event('offline'));
  assert.equal(one.live.state.state, 'offline');
  document.visibilityState = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  await until(() => one.isLive());
});

test('a server that is restarted is found again on the same port', async (t) => {
  const here = await world(t);
  const one = await follower(here);
  const port = Number(new URL(here.server.url).port);
  await here.server.stop();
  await until(() => one.hasBeen('offline'));
  const sending = one.live.send(here.log.id, 'written while it was away');
  await until(() => one.states.filter(({ state }) => state === 'offline').length > 2);
  await here.server.listen(port);
  assert.equal((await sending.done).seq, 1);
  await until(() => one.isLive());
});

test('protocol errors fail what was in flight instead of repeating it', async (t) => {
  const here = await world(t);
  here.server.onHear = ({ type }, socket) => {
    if (type === 'message.send') socket.close(1009);
    return type !== 'message.send';
  };
  const one = await follower(here);
  const sending = one.live.send(here.log.id, 'bad');
  await assert.rejects(
    sending.done,
    (error) => error instanceof ApiError && error.code === 'protocol_error',
  );
  await until(() => one.hasBeen('offline', 'protocol_error') && one.isLive());
});
