/** The parser of server-sent events. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseParser } from '../src/sse.js';

const STREAM =
  '\uFEFF: a comment\n\nid: 7\nevent: message.created\ndata: {"a":1}\n\n' +
  'data\n\ndata:two\ndata:  lines\r\n\r\nid: 8\rdata: cr\r\rid\nretry: 10\n' +
  'unknown: x\ndata: "ü\u2028"\n\n' +
  'event: empty\n\ndata: unfinished';

const EVENTS = [
  { id: '7', event: 'message.created', data: '{"a":1}' },
  { id: '7', event: 'message', data: '' },
  { id: '7', event: 'message', data: 'two\n lines' },
  { id: '8', event: 'message', data: 'cr' },
  { id: '', event: 'message', data: '"ü\u2028"' },
];

test('a stream in one piece', () => {
  assert.deepEqual(new SseParser().push(STREAM), EVENTS);
});

test('a stream cut anywhere gives the same', () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const parser = new SseParser();
    assert.deepEqual(
      [...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))],
      EVENTS,
    );
  }
  const parser = new SseParser();
  assert.deepEqual(
    [...STREAM].flatMap((piece) => parser.push(piece)),
    EVENTS,
  );
});

test('an event without an end is bounded', () => {
  const parser = new SseParser();
  assert.throws(() => {
    for (let n = 0; n < 10; n++) parser.push(`data: ${'x'.repeat(1024 * 1024)}\n`);
  }, RangeError);
  const second = new SseParser();
  assert.throws(() => {
    for (let n = 0; n < 10; n++) second.push('x'.repeat(1024 * 1024));
  }, RangeError);
});
