// Judges /asyncapi.json of a running server: the parser of the AsyncAPI initiative must find no
// fault in it; every golden frame must fit to its message's schema, with no field that the schema
// does not know; and what is broken must not fit.
//
//     node tests/conformance/asyncapi.mjs http://127.0.0.1:8080

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../node/', import.meta.url));
const { Parser } = require('@asyncapi/parser');
const Ajv = require('ajv/dist/2019').default;
const addFormats = require('ajv-formats').default;

const EXAMPLES = new URL('../../crates/protocol/examples/', import.meta.url);
/** Messages that no golden frame is of, as they have no `type`. */
const UNFRAMED = ['plain.send', 'plain.message', 'plain.error', 'feed.page'];
/** Schemas that are parts of others: what they don't know, another part does. */
const PARTS = ['EventHead', 'Change'];

const [url] = process.argv.slice(2);
const response = await fetch(`${url}/asyncapi.json`);
assert.equal(response.status, 200);
assert.equal(response.headers.get('content-type'), 'application/json');
const text = await response.text();
// As it was sent: the parser's own copy is resolved and annotated.
const sent = JSON.parse(text);

const document = await parse(text);
const broken = structuredClone(sent);
broken.operations.follow.action = 'ask';
broken.channels.v1.messages.hello.$ref += 'x';
await assert.rejects(parse(JSON.stringify(broken)), /finds fault/, 'the parser judges');

const open = validator(sent.components);
const closed = validator({
  messages: close(sent.components.messages),
  schemas: Object.fromEntries(
    Object.entries(sent.components.schemas)
      .map(([name, schema]) => [name, PARTS.includes(name) ? schema : close(schema)]),
  ),
});

const golden = await goldenFrames();
const keys = Object.keys(sent.components.messages);
assert.deepEqual(
  keys.filter((key) => !UNFRAMED.includes(key)).sort(),
  [...golden.keys()].sort(),
  'a message for each golden frame',
);
for (const key of keys) {
  const [{ payload }] = sent.components.messages[key].examples;
  if (golden.has(key)) assert.deepEqual(payload, golden.get(key), `${key}: its example`);
  fits(open, key, payload);
  fits(closed, key, payload);
  // A schema that takes everything would prove nothing.
  refuses(key, [payload]);
  refuses(key, {});
  if (golden.has(key)) refuses(key, { ...payload, type: 'another' });
  for (const field of Object.keys(payload)) {
    refuses(key, { ...payload, [field]: [[]] });
  }
  for (const field of requiredOf(sent.components.messages[key].payload)) {
    const { [field]: _, ...rest } = payload;
    refuses(key, rest);
  }
}

// Every message is told somewhere, and nothing is told that is none.
const used = document.allOperations().all().flatMap((one) => one.messages().all());
assert.deepEqual([...new Set(used.map((message) => message.id()))].sort(), [...keys].sort());
console.log(`${golden.size} golden frames fit to ${keys.length} messages; no fault`);

async function parse(source) {
  const { document, diagnostics } = await new Parser().parse(source);
  // Advice about contact data, tags and the newest version of the format is no fault.
  const faults = diagnostics.filter(({ severity }) => severity <= 1);
  const told = faults.map(({ code, message, path }) => `${code} ${path.join('.')}: ${message}`);
  assert.ok(document && faults.length === 0, `the parser finds fault:\n${told.join('\n')}`);
  return document;
}

async function goldenFrames() {
  const frames = new Map();
  for (const [folder, prefix] of [['', ''], ['client/', 'client.']]) {
    const files = await readdir(new URL(folder, EXAMPLES));
    for (const file of files.filter((name) => name.endsWith('.json'))) {
      const frame = JSON.parse(await readFile(new URL(folder + file, EXAMPLES), 'utf8'));
      frames.set(prefix + file.slice(0, -'.json'.length), frame);
    }
  }
  return frames;
}

/** Judges payloads by the messages of these components. */
function validator(components) {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addFormat('int64', true);
  ajv.addSchema({ $id: 'asyncapi', components: rebased(components) });
  return {
    ajv,
    takes: (key, payload) =>
      ajv.validate({ $ref: `asyncapi#/components/messages/${key}/payload` }, payload),
  };
}

/** With references into the document that the validator knows. */
function rebased(schema) {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"asyncapi#/'));
}

/** A copy in which no object takes a field that it does not describe. */
function close(schema, isPart = false) {
  if (Array.isArray(schema)) return schema.map((one) => close(one, isPart));
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(
    Object.entries(schema).map(([name, value]) => {
      // Examples are no schemas.
      if (name === 'examples') return [name, value];
      return [name, close(value, name === 'allOf')];
    }),
  );
  const isObject = schema.type === 'object' || (schema.allOf && !schema.type);
  return isObject && !isPart ? { ...copy, unevaluatedProperties: false } : copy;
}

function requiredOf(schema) {
  if (schema.$ref) return requiredOf(resolved(schema.$ref));
  return [...(schema.required ?? []), ...(schema.allOf ?? []).flatMap(requiredOf)];
}

function resolved(reference) {
  return reference.slice(2).split('/').reduce((place, part) => place[part], sent);
}

function fits(judge, key, payload) {
  assert.ok(judge.takes(key, payload), `${key}: ${judge.ajv.errorsText()}`);
}

function refuses(key, payload) {
  assert.ok(!open.takes(key, payload), `${key} takes ${JSON.stringify(payload)}`);
}
