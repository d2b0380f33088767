/**
 * What the tests of the real-time part share: a server, a client with short waits, and ways
 * to wait for what happens instead of sleeping.
 */

import { WebSocket } from 'ws';
import { Api, Live } from '../../src/index.js';
import { FakeServer } from './fake-server.mjs';

export const QUICK = {
  backoffMs: 20,
  backoffMaxMs: 100,
  tickMs: 20,
  probeWaitMs: 100,
  handshakeTimeoutMs: 500,
  answerTimeoutMs: 300,
  socketRetryMs: 100,
  pollMs: 50,
};

/** Waits until `check` gives something true. */
export async function until(check, what = String(check)) {
  const end = Date.now() + 5_000;
  for (;;) {
    const value = check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`It never came true: ${what}`);
    await new Promise((next) => {
      setTimeout(next, 3);
    });
  }
}

/** A client and all that it told. */
export class TestClient {
  seqs = [];
  states = [];
  told = [];

  constructor(server, token, { api = {}, window, document, ...options } = {}) {
    this.window = window ?? new EventTarget();
    this.api = new Api({ url: server.url, token, ...api });
    this.live = new Live(this.api, {
      ...QUICK,
      ...options,
      environment: { WebSocket, window: this.window, document, ...options.environment },
    });
    this.live.on('event', (event) => this.seqs.push(event.seq));
    this.live.on('state', (state) => this.states.push(state));
    for (const name of [
      'hello',
      'following',
      'caught_up',
      'reset',
      'unfollowed',
      'sending',
      'presence',
      'typing',
      'read',
      'session.added',
      'session.removed',
      'session.activity',
      'error',
      'unknown',
    ]) {
      this.live.on(name, (value) => this.told.push([name, structuredClone(plain(value))]));
    }
  }

  names() {
    return this.told.map(([name]) => name);
  }

  of(name) {
    return this.told.filter(([each]) => each === name).map(([, value]) => value);
  }

  isLive() {
    return this.live.state.state === 'live';
  }

  hasBeen(state, reason) {
    return this.states.some((each) => each.state === state && (!reason || each.reason === reason));
  }
}

/** Without what can't be cloned. */
function plain(value) {
  const { done, resolve, reject, error, ...rest } = value;
  return error ? { ...rest, code: error.code } : rest;
}

/** A server with Ada, Bob and a session of theirs; everything ends with the test. */
export async function world(t) {
  const server = await FakeServer.start();
  const ada = server.store.addUser('Ada');
  const bob = server.store.addUser('Bob');
  const log = server.store.addSession(ada.user.id, 'Talk');
  const clients = [];
  const client = (who = ada, options = {}) => {
    const made = new TestClient(server, who.token, options);
    clients.push(made);
    return made;
  };
  t.after(async () => {
    for (const { live } of clients) live.close();
    await server.stop();
  });
  const say = (who, content, extra) =>
    server.store.send(log, who.user.id, { content, ...extra })[0];
  return { server, store: server.store, ada, bob, log, client, say };
}

/** One that follows from the beginning and is live. */
export async function follower({ client, log }, options = {}, who = undefined) {
  const one = client(who, options);
  one.live.follow(log.id, { after: 0, epoch: 'epoch-1' });
  one.live.connect();
  await until(() => one.isLive());
  return one;
}

/** 1, 2, …, n. */
export const upTo = (n, from = 1) =>
  Array.from({ length: n - from + 1 }, (_, index) => from + index);
