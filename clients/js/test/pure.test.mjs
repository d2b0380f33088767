/** The pure parts: cursor, backoff, close codes, outbox, signals, listing, followings. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../src/backoff.js';
import { decide, decideError } from '../src/closing.js';
import { Cursor } from '../src/cursor.js';
import { newClientId } from '../src/environment.js';
import { ApiError, retryAfterOf } from '../src/error.js';
import { Followings, endOf } from '../src/followings.js';
import { decode, kindOf } from '../src/frames.js';
import { linksOf } from '../src/http.js';
import { Listing } from '../src/listing.js';
import { Outbox } from '../src/outbox.js';
import { Signals } from '../src/signals.js';

test('a cursor takes each number once and in order', () => {
  const cursor = new Cursor(3);
  assert.deepEqual(
    [3, 4, 4, 6, 1, 5, 6].map((seq) => cursor.take(seq)),
    ['old', 'next', 'old', 'gap', 'old', 'next', 'next'],
  );
  assert.equal(cursor.seq, 6);
  assert.equal(new Cursor().take(1), 'gap');
  assert.equal(new Cursor(0).take(1), 'next');
});

test('whatever comes in whatever order, a cursor never skips and never repeats', () => {
  for (let round = 0; round < 200; round++) {
    const cursor = new Cursor(0);
    const taken = [];
    for (let step = 0; step < 200; step++) {
      const seq = 1 + Math.floor(Math.random() * 40);
      if (cursor.take(seq) === 'next') taken.push(seq);
    }
    assert.deepEqual(
      taken,
      taken.map((_, index) => index + 1),
    );
  }
});

test('the backoff grows to its end, with full jitter above the floor', () => {
  const most = new Backoff(1_000, 30_000, () => 1);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7].map(() => most.next()),
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000],
  );
  most.reset();
  assert.equal(most.next(500), 1_500);
  const least = new Backoff(1_000, 30_000, () => 0);
  assert.deepEqual([least.next(), least.next(5_000)], [0, 5_000]);
  assert.equal(new Backoff(1, 2, () => 1).ceiling(5_000), 2);
});

test('close codes: section 7c, and what it says of all others', () => {
  const action = (code) => decide(code).action;
  for (let code = 4000; code < 4500; code++) assert.notEqual(action(code), 'stop', String(code));
  for (let code = 4500; code < 5000; code++) assert.equal(action(code), 'stop', String(code));
  assert.equal(action(4401), 'renew');
  assert.equal(action(4409), 'reset');
  for (const code of [1002, 1007, 1009]) assert.equal(action(code), 'mend');
  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4408, 4429]) {
    assert.equal(action(code), 'reconnect');
  }
  assert.ok(decide(4429).floorMs >= 5_000);
  assert.equal(decide(4503).reason, 'removed');
});

test('failed REST calls: the same decisions', () => {
  const of = (status, code, more) => decideError(new ApiError(status, code, '', more));
  assert.equal(of(401, 'unauthorized').action, 'renew');
  assert.equal(of(403, 'origin_not_allowed').action, 'stop');
  assert.equal(of(403, 'bad_answer').action, 'reconnect');
  assert.deepEqual(of(503, 'unavailable', { retryAfter: 7 }), {
    action: 'reconnect',
    reason: 'server_error',
    code: 503,
    floorMs: 7_000,
  });
  assert.equal(of(429, 'rate_limited', { retryAfter: 2 }).floorMs, 2_000);
  assert.equal(of(0, 'unreachable').reason, 'network');
  assert.equal(decideError(new TypeError()).action, 'reconnect');
});

test('`Retry-After` in both its forms', () => {
  assert.equal(retryAfterOf('30', 0), 30);
  assert.equal(retryAfterOf('Thu, 01 Jan 1970 00:00:09 GMT', 4_000), 5);
  assert.equal(retryAfterOf('Thu, 01 Jan 1970 00:00:01 GMT', 4_000), 0);
  assert.equal(retryAfterOf('soon', 0), null);
  assert.equal(retryAfterOf(null, 0), null);
});

test('of a `Link` header nothing but the query is taken', () => {
  const header = '<https://evil.example/x?before=1,2&limit=5>; rel="prev", </y?after=9>; rel=next';
  assert.deepEqual(linksOf(header), { prev: { before: '1,2', limit: '5' }, next: { after: '9' } });
  assert.deepEqual(linksOf(null), {});
});

const items = (...ids) => ids.map((id) => ({ client_id: id, session_id: id[0] }));
const anywhere = () => true;

test('the outbox sends in order and keeps to its limits', () => {
  const outbox = new Outbox(2, 4);
  for (const item of items('a1', 'a2', 'a3', 'a4')) outbox.add(item);
  assert.throws(() => outbox.add({ client_id: 'a5', session_id: 'a' }), RangeError);
  assert.equal(outbox.take(0, anywhere).client_id, 'a1');
  assert.equal(outbox.take(0, anywhere).client_id, 'a2');
  assert.equal(outbox.take(0, anywhere), null);
  assert.equal(outbox.inFlight, 2);
  assert.equal(outbox.settle('a1').client_id, 'a1');
  assert.equal(outbox.settle('a1'), undefined);
  assert.equal(outbox.take(0, anywhere).client_id, 'a3');
});

test('after a break the outbox repeats what was in flight, before what waited', () => {
  const outbox = new Outbox(2, 9);
  for (const item of items('a1', 'a2', 'a3')) outbox.add(item);
  outbox.take(5, anywhere);
  outbox.take(6, anywhere);
  assert.deepEqual(
    outbox.overdue(5).map(({ client_id }) => client_id),
    ['a1'],
  );
  for (const entry of outbox.overdue(Infinity)) outbox.wait(entry);
  assert.equal(outbox.inFlight, 0);
  assert.deepEqual(
    [outbox.take(7, anywhere).client_id, outbox.take(7, anywhere).client_id],
    ['a1', 'a2'],
  );
});

test('in the outbox a session that waits holds nobody else, and none of its own overtakes', () => {
  const outbox = new Outbox(9, 9);
  for (const item of items('a1', 'b1', 'a2', 'c1')) outbox.add(item);
  outbox.wait(outbox.get('a1'), 100);
  const mayGo = (session) => session !== 'c';
  assert.equal(outbox.take(0, mayGo).client_id, 'b1');
  assert.equal(outbox.take(0, mayGo), null);
  assert.equal(outbox.take(100, mayGo).client_id, 'a1');
  assert.equal(outbox.take(100, mayGo).client_id, 'a2');
  outbox.fail(outbox.get('a1'));
  assert.equal(outbox.take(200, anywhere).client_id, 'c1');
  assert.equal(outbox.inFlight, 3);
});

test('typing is told every three seconds and its end where it was told', () => {
  const signals = new Signals();
  const told = [
    [0, true],
    [1_000, true],
    [3_000, true],
    [3_500, false],
    [3_600, false],
    [4_000, true],
    [10_000, false],
  ].map(([now, isTyping]) => signals.typing('s', isTyping, now)?.is_typing);
  assert.deepEqual(told, [true, undefined, true, false, undefined, true, undefined]);
});

test('read marks grow, at most one a second, and again after a break', () => {
  const signals = new Signals();
  const due = (now, mayGo = anywhere) => signals.due(now, mayGo).map(({ seq }) => seq);
  signals.read('s', 3);
  assert.deepEqual(due(0), [3]);
  signals.read('s', 2);
  assert.equal(signals.isBehind, false);
  signals.read('s', 5);
  assert.equal(signals.isBehind, true);
  assert.deepEqual([due(500), due(1_000, () => false), due(1_000), due(9_000)], [[], [], [5], []]);
  signals.repeat(20_000);
  assert.deepEqual(due(20_000), [5]);
  signals.repeat(200_000);
  assert.deepEqual(due(200_000), []);
  signals.forget('s');
  assert.deepEqual(due(300_000), []);
});

test('what changed in a list', () => {
  const listing = new Listing();
  const look = (heads, isComplete = true) =>
    listing
      .compare(
        Object.entries(heads).map(([id, last_seq]) => ({ id, last_seq, last_message: null })),
        isComplete,
        (id) => id === 'followed',
      )
      .map(({ type, session_id, session }) => `${type} ${session_id ?? session.id}`);
  assert.deepEqual(look({ a: 1, b: 1, followed: 1 }), []);
  assert.deepEqual(look({ a: 2, b: 1, followed: 2, c: 1 }), [
    'session.activity a',
    'session.added c',
  ]);
  assert.deepEqual(look({ a: 2 }, false), []);
  assert.deepEqual(look({ a: 2, followed: 2, c: 1 }), ['session.removed b']);
});

test('a removal ends a following only where it is above the head of then', () => {
  const removal = (seq) => ({ type: 'participant.removed', seq, data: { user_id: 'me' } });
  assert.equal(endOf(removal(5), 'me', 5), null);
  assert.equal(endOf(removal(6), 'me', 5), 'removed');
  assert.equal(endOf(removal(6), 'you', 5), null);
  assert.equal(endOf({ type: 'session.deleted', seq: 1, data: {} }, 'me', 5), 'deleted');
});

test('frames of an earlier following are passed over after asking again', () => {
  const followings = new Followings();
  const one = followings.add('s');
  one.place(4, 'e');
  const [follow] = followings.ask(one, 0);
  assert.deepEqual(follow, {
    type: 'follow',
    session_id: 's',
    ref: 'follow-1',
    after: 4,
    epoch: 'e',
  });
  assert.equal(followings.onEvent({ session_id: 's', seq: 5 }, 0), 'ignore');
  assert.equal(followings.onCaughtUp({ session_id: 's', seq: 5 }), 'ignore');
  const following = { session_id: 's', session: { epoch: 'e' }, head: 5 };
  assert.equal(followings.onFollowing({ ...following, after: 2 }, 0), 'ignore');
  assert.equal(followings.onFollowing({ ...following, after: 4 }, 0), 'ok');
  assert.equal(followings.onCaughtUp({ session_id: 's', seq: 5 }), 'gap');
  assert.deepEqual(
    followings.ask(one, 0).map(({ type }) => type),
    ['leave', 'follow'],
  );
  assert.equal(followings.byRef('follow-1'), undefined);
  assert.equal(followings.byRef('follow-2'), one);
  assert.equal(
    followings.onFollowing({ ...following, session: { epoch: 'f' }, after: 4 }, 0),
    'lost',
  );
  assert.deepEqual(followings.ask(one, 0).at(-1), {
    type: 'follow',
    session_id: 's',
    ref: 'follow-3',
  });
  assert.equal(
    followings.onFollowing({ ...following, session: { epoch: 'f' }, after: 9 }, 0),
    'reset',
  );
  assert.equal(one.cursor.seq, 9);
});

test('frames are decoded or refused', () => {
  assert.equal(decode('{"type":"typing"}').type, 'typing');
  for (const bad of ['', 'null', '[]', '{"type":1}', '{', new Uint8Array(1)]) {
    assert.equal(decode(bad), null);
  }
  assert.equal(kindOf({ type: 'toString' }), 'unknown');
  assert.match(newClientId(), /^[0-9a-f]{32}$/);
});
