// A talk through the balancer of three nodes, some of which are killed under it.
//
//     node three_nodes.mjs http://HOST:PORT PARENT KILLS NODE_PORT...
//
// Two people on three devices each, with the JavaScript client, write all the time, and one of
// them reads over REST. KILLS times the node on the next port, a child of the process PARENT, gets
// SIGKILL. Clients may notice that their connection broke, and nothing else: no send fails, no read
// fails, every device is told each event once and in order, and what it was told is the log. Where
// more than one is killed, two in a row are at last, and both come back.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api, Live } from '../../clients/js/src/index.js';

const { WebSocket } = createRequire(new URL('../node/', import.meta.url))('ws');
const WAIT_MS = 60_000;
const DEVICES = 3;
// Sends of a device that are not answered yet.
const WINDOW = 4;
// Acknowledged sends between two kills.
const SENDS_BETWEEN = 150;
// So far apart that the second node ends while the first is being started again.
const APART_MS = 1_050;

const [url, parent, kills, ...ports] = process.argv.slice(2);

async function until(holds, what) {
  const deadline = Date.now() + WAIT_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not within ${WAIT_MS} ms: ${what}`);
    await sleep(20);
  }
}

// The child of PARENT that was told this port; undefined while there is none.
async function nodeOn(port) {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const read = (name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    const isChild = (await read('status')).includes(`\nPPid:\t${parent}\n`);
    if (isChild && (await read('cmdline')).includes(`127.0.0.1:${port}`)) return Number(pid);
  }
  return undefined;
}

const isReady = async (port) =>
  fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.ok, () => false);

async function person(name) {
  const api = new Api({ url });
  const email = `${name}-${randomUUID()}@example.com`;
  await api.register({ name, email, password: `pass-${randomUUID()}` });
  return { api, email };
}

function device(api, session) {
  const live = new Live(api, { backoffMs: 50, transports: ['ws'], environment: { WebSocket } });
  const here = { live, seqs: [], connections: 0, failed: [] };
  live.on('event', ({ seq }) => here.seqs.push(seq));
  live.on('state', ({ state, reason }) => {
    if (state === 'connecting') here.connections += 1;
    if (state === 'stopped' && reason !== 'closed') here.failed.push(`stopped: ${reason}`);
  });
  live.on('error', (error) => here.failed.push(`error: ${JSON.stringify(error)}`));
  live.on('reset', () => here.failed.push('reset'));
  live.follow(session.id, { after: 0, epoch: session.epoch });
  live.connect();
  return here;
}

let writing = true;
let acknowledged = 0;
let reads = 0;

async function write({ live }, session) {
  while (writing) {
    await live.send(session.id, `a message ${randomUUID()}`).done;
    acknowledged += 1;
  }
}

async function read(api, session) {
  while (writing) {
    await api.messages(session.id, { limit: 5 });
    reads += 1;
    await sleep(10);
  }
}

async function wholeLog(api, session) {
  const events = [];
  for (;;) {
    const page = await api.events(session.id, { after: events.length, limit: 1_000 });
    if (page.events.length === 0) return events;
    events.push(...page.events);
  }
}

const [ada, bob] = [await person('ada'), await person('bob')];
const session = await ada.api.createSession('Through the balancer');
await bob.api.profile();
await ada.api.addParticipant(session.id, { email: bob.email });
const devices = [ada, bob].flatMap(({ api }) =>
  Array.from({ length: DEVICES }, () => device(api, session)),
);
await until(() => devices.every(({ live }) => live.state.state === 'live'), 'all are live');

const writers = devices.flatMap((each) =>
  Array.from({ length: WINDOW }, () => write(each, session)),
);
const work = Promise.all([...writers, read(ada.api, session)]);
// Told at once, not when the work is waited for.
work.catch((error) => {
  console.error(error);
  process.exit(1);
});

for (let kill = 0; kill < Number(kills); kill += 1) {
  const before = acknowledged;
  await until(() => acknowledged >= before + SENDS_BETWEEN, 'sends are acknowledged');
  const port = ports[kill % ports.length];
  const connections = devices.map((each) => each.connections);
  process.kill(await nodeOn(port), 'SIGKILL');
  const cameBack = () => devices.some((each, i) => each.connections > connections[i]);
  await until(cameBack, `somebody was on the node ${port}`);
  await until(() => devices.every(({ live }) => live.state.state === 'live'), 'all came back');
  if (kill + 1 < Number(kills)) await until(() => isReady(port), `the node ${port} is back`);
}
const atLast = acknowledged;
await until(() => acknowledged >= atLast + SENDS_BETWEEN, 'sends are acknowledged at last');
writing = false;
await work;

const log = await wholeLog(ada.api, session);
assert.deepEqual(log.map(({ seq }) => seq), log.map((_, i) => i + 1), 'the log is dense');
const ids = log.filter(({ type }) => type === 'message.created').map(({ data }) => data.client_id);
assert.equal(new Set(ids).size, ids.length, 'no message is stored twice');
assert.equal(ids.length, acknowledged, 'all that was acknowledged is stored, and nothing else');
for (const { seqs, failed, live } of devices) {
  await until(() => seqs.length >= log.length, 'every device is told everything');
  assert.deepEqual(seqs, log.map(({ seq }) => seq), 'each once, in order');
  assert.deepEqual(failed, [], 'nothing but a reconnect was noticed');
  live.close();
}
// Nobody is missed who ends while another is started again.
if (Number(kills) > 1) {
  const both = ports.slice(0, 2);
  for (const port of both) {
    process.kill(await nodeOn(port), 'SIGKILL');
    await sleep(APART_MS);
  }
  for (const port of both) await until(() => isReady(port), `the node ${port} is back`);
}
const again = devices.reduce((sum, { connections }) => sum + connections - 1, 0);
console.log(
  `${kills} nodes killed under ${acknowledged} sends and ${reads} reads: ${again} reconnects, and nothing else`,
);
