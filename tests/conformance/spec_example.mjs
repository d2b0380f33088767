// Runs the JavaScript example of the specification, word for word, against a running server.
//
//     node spec_example.mjs http://HOST:PORT
//
// The code comes out of docs/specification.md at run time. It needs `sessionId`, `ownerToken`,
// `participantToken` and `participantUserId`: made here by the calls a client makes. Then it must
// hold: the answer is the documented one, both sockets open, and a message sent on either socket
// arrives at both. The example names localhost:8080. Where the server under test listens
// elsewhere, that authority alone is replaced, and a line says so.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const WAIT_MS = 10_000;
const SPECIFICATION = new URL('../../docs/specification.md', import.meta.url);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const base = process.argv[2].replace(/\/$/, '');
const authority = new URL(base).host;
// Node has a WebSocket of its own from version 22 on.
const WebSocket =
  globalThis.WebSocket ?? createRequire(new URL('../node/', import.meta.url))('ws').WebSocket;

async function post(path, body, token) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(base + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, 201, `POST ${path}: ${text}`);
  return JSON.parse(text);
}

function register(name) {
  const email = `${name}-${randomUUID()}@example.com`;
  return post('/api/register', { name, email, password: 'a long enough pass phrase' });
}

// The one ```javascript block of the specification.
async function example() {
  const blocks = [...(await readFile(SPECIFICATION, 'utf8')).matchAll(/```javascript\n(.*?)```/gs)];
  assert.equal(blocks.length, 1, 'the specification has one JavaScript example');
  const code = blocks[0][1];
  if (authority === 'localhost:8080') {
    console.log('the example runs word for word');
    return code;
  }
  assert.equal(code.split('localhost:8080').length, 4, 'the example names localhost:8080 thrice');
  console.log(`the example runs with ${authority} in place of localhost:8080, else word for word`);
  return code.replaceAll('localhost:8080', authority);
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${WAIT_MS} ms`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function opened(socket, whose) {
  return within(
    new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', (e) => reject(new Error(`${whose}: ${e.message ?? e.type}`)));
    }),
    `${whose} opens`,
  );
}

function nextMessage(socket, whose) {
  const arrived = new Promise((resolve) => {
    socket.addEventListener('message', (event) => resolve(JSON.parse(event.data)), { once: true });
  });
  return within(arrived, `${whose} gets the message`);
}

function assertParticipant(body, sessionId, userId) {
  assert.deepEqual(Object.keys(body).sort(), ['created_at', 'id', 'session_id', 'user_id']);
  assert.match(body.id, UUID);
  assert.equal(body.session_id, sessionId);
  assert.equal(body.user_id, userId);
  assert.ok(!Number.isNaN(Date.parse(body.created_at)), body.created_at);
}

async function main() {
  const owner = await register('owner');
  const participant = await register('participant');
  const session = await post('/api/chat/sessions', { title: 'Example' }, owner.token);

  const names = ['sessionId', 'ownerToken', 'participantToken', 'participantUserId', 'WebSocket'];
  const values = [session.id, owner.token, participant.token, participant.user.id, WebSocket];
  const AsyncFunction = (async () => {}).constructor;
  // Only the names the example declares are handed out of it; nothing stands between its lines.
  const run = new AsyncFunction(
    ...names,
    `${await example()}\nreturn { response, ownerSocket, participantSocket };`,
  );
  const { response, ownerSocket, participantSocket } = await run(...values);
  const sockets = [
    [ownerSocket, "the owner's socket"],
    [participantSocket, "the participant's socket"],
  ];
  // Before anything else is awaited: a socket may open while the body is read.
  const bothOpen = Promise.all(sockets.map(([socket, whose]) => opened(socket, whose)));

  assert.equal(response.status, 201);
  assertParticipant(await response.json(), session.id, participant.user.id);
  await bothOpen;

  for (const [sender, content, senderId] of [
    [ownerSocket, 'from the owner', owner.user.id],
    [participantSocket, 'from the participant', participant.user.id],
  ]) {
    const arrivals = sockets.map(([socket, whose]) => nextMessage(socket, whose));
    sender.send(JSON.stringify({ content }));
    for (const message of await Promise.all(arrivals)) {
      assert.equal(message.content, content);
      assert.equal(message.session_id, session.id);
      assert.equal(message.sender_id, senderId);
    }
  }
  for (const [socket] of sockets) socket.close();
  console.log('spec example: 201, both sockets open, a message of each arrived at both');
}

await main();
