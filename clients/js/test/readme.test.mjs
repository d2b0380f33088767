/** The README's quick start does what it says, copied and pasted. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { world } from './support/world.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

test('the quick start runs', { timeout: 20_000 }, async (t) => {
  const { server } = await world(t);
  const url = process.env.ASSISTDECK_URL ?? server.url;
  const [, program] = /```js\n([^]*?)```/.exec(readFileSync(`${ROOT}README.md`, 'utf8'));
  const script = program.replace('http://localhost:8080', url);
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT });
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal(errors, '');
  assert.deepEqual(output.trim().split('\n'), [
    'connecting ',
    'catching-up ',
    'live ',
    '1 Hello!',
    'stopped closed',
  ]);
});
