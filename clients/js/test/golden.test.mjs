/**
 * The server's golden frames against the client: every `type` there is known here, is handled,
 * and has the form that the types promise.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { CLIENT_FRAMES, SERVER_FRAMES, kindOf } from '../src/frames.js';
import { Api, Live } from '../src/index.js';
import { EXAMPLES, goldenFrames, isClients } from './support/golden.mjs';
import { until } from './support/world.mjs';

const frames = goldenFrames();
const servers = frames.filter(([file, frame]) => !isClients(file, frame));
const clients = frames.filter(([file, frame]) => isClients(file, frame));

/** A socket whose server is the test. */
class ScriptedSocket {
  static last;
  readyState = 1;
  protocol = 'assistdeck.v1';
  sent = [];
  constructor() {
    ScriptedSocket.last = this;
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {}
  hear(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

/** A live connection that follows `sessionId` up to `seq`, and the names of what it tells. */
async function listener(t, sessionId, seq) {
  const calls = [];
  const api = new Api({
    url: 'http://host',
    token: 't',
    fetch: async (url) => {
      calls.push(new URL(url).pathname);
      return Response.json({ ticket: 'x', token: 'fresh' });
    },
  });
  const live = new Live(api, { environment: { WebSocket: ScriptedSocket } });
  t.after(() => live.close());
  const told = [];
  const emit = live.emit.bind(live);
  live.emit = (name, value) => {
    told.push(name);
    emit(name, value);
  };
  ScriptedSocket.last = undefined;
  live.connect();
  const socket = await until(() => ScriptedSocket.last);
  return { live, socket, told, calls, api, sessionId, seq };
}

function goLive({ live, socket, sessionId, seq }) {
  socket.hear({ type: 'hello', user_id: 'me', heartbeat_ms: 25_000, limits: {} });
  if (!sessionId) return;
  live.follow(sessionId, { after: seq });
  socket.hear({
    type: 'following',
    session_id: sessionId,
    session: { epoch: 'e' },
    after: seq,
    head: seq,
  });
  socket.hear({ type: 'caught_up', session_id: sessionId, seq });
}

test('there are golden frames', { skip: !existsSync(EXAMPLES) && 'not in the repository' }, (t) => {
  if (frames.length === 0) t.diagnostic('crates/protocol/examples has no frames yet');
  for (const [file, { type }] of frames) {
    assert.ok(
      type in SERVER_FRAMES || type in CLIENT_FRAMES,
      `${file}: ${type} is unknown to the client`,
    );
  }
});

if (frames.length > 0) {
  test('every type that the client knows has its golden frame', () => {
    const golden = new Set(servers.map(([, { type }]) => type));
    assert.deepEqual(
      Object.keys(SERVER_FRAMES).filter((type) => !golden.has(type)),
      [],
    );
    const sent = new Set(clients.map(([, { type }]) => type));
    assert.deepEqual(
      Object.keys(CLIENT_FRAMES).filter((type) => !sent.has(type)),
      [],
    );
  });
}

for (const [file, frame] of servers) {
  test(`the server's ${file} is handled`, async (t) => {
    const kind = kindOf(frame);
    const seq = kind === 'event' ? frame.seq - 1 : 0;
    const { type } = frame;
    const session = type === 'following' || type === 'caught_up' ? null : frame.session_id;
    const one = await listener(t, session, seq);
    if (type !== 'hello') goLive(one);
    one.told.length = 0;
    if (type === 'hello') one.socket.hear(frame);
    else if (type === 'following' || type === 'caught_up') {
      one.live.follow(frame.session_id, { after: frame.after ?? frame.seq });
      one.socket.hear(
        type === 'following'
          ? frame
          : {
              type: 'following',
              session_id: frame.session_id,
              session: { epoch: 'e' },
              after: frame.seq,
              head: frame.seq,
            },
      );
      if (type === 'caught_up') one.socket.hear(frame);
    } else if (type === 'message.sent') {
      one.live.follow(frame.message.session_id);
      const sending = one.live.send(frame.message.session_id, {
        content: 'x',
        client_id: frame.client_id,
      });
      one.socket.hear(frame);
      assert.deepEqual(await sending.done, frame.message);
    } else if (type === 'token_expiring') {
      one.socket.hear(frame);
      await until(() =>
        one.socket.sent.some((sent) => sent.type === 'auth' && sent.token === 'fresh'),
      );
      return;
    } else if (type === 'error' && frame.client_id !== undefined) {
      const sessionId = 'some session';
      goLive({ ...one, sessionId, seq: 0 });
      one.live.send(sessionId, { content: 'x', client_id: frame.client_id });
      one.socket.hear(frame);
    } else one.socket.hear(frame);
    const expected =
      type === 'message.sent' || (type === 'error' && frame.client_id !== undefined)
        ? 'sending'
        : type === 'error' && frame.code === 'position_unknown'
          ? null
          : type;
    if (expected) assert.ok(one.told.includes(expected), `told only ${one.told}`);
    assert.equal(one.told.includes('unknown'), false);
  });
}

for (const [file, frame] of clients) {
  test(`the client can say what ${file} says`, async (t) => {
    const sessionId = frame.session_id ?? 'any';
    const one = await listener(t, frame.type === 'follow' ? null : sessionId, 7);
    goLive(one);
    const { live, api } = one;
    const say = {
      'message.send': () => live.send(sessionId, frame),
      follow: () => live.follow(sessionId, frame),
      leave: () => live.leave(sessionId),
      typing: () => {
        live.typing(sessionId, true);
        live.typing(sessionId, frame.is_typing);
      },
      read: () => live.read(sessionId, frame.seq),
      auth: () => {
        api.token = frame.token;
      },
    };
    say[frame.type]();
    const said = one.socket.sent.findLast(({ type }) => type === frame.type);
    const { ref, ...rest } = frame;
    assert.deepEqual({ ...said, ref: undefined }, { ...rest, ref: undefined });
  });
}
