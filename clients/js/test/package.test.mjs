/** The package: what `npm pack` gives works for its users, keeps its size and its style. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { goldenFrames, isClients } from './support/golden.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GZIP_BYTES_MAX = 12 * 1024;
const FILE_LINES_MAX = 300;

const run = (command, args, cwd = ROOT) => execFileSync(command, args, { cwd, encoding: 'utf8' });
const bin = (name) => join(ROOT, 'node_modules', '.bin', name);
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

const CONSUMER = `
import { Api, ApiError, Live, type Message, type LiveEvents } from 'assistdeck-client';
import { Live as MinLive } from 'assistdeck-client/min';
const api = new Api({ url: 'http://localhost:8080' });
const live = new Live(api, { transports: ['ws', 'sse'] });
const off: () => void = live.on('message.created', ({ seq, data }) => {
  const message: Message = data;
  console.log(seq.toFixed(), message.content);
});
live.on('state', ({ state }) => { if (state === 'live') off(); });
live.on('event', (event) => {
  if (event.type === 'participant.removed') event.data.user_id.trim();
});
// @ts-expect-error an unknown event
live.on('nonsense', () => {});
// @ts-expect-error a message has no such field
api.sendMessage('s', { contents: 'x' });
const page = await api.messages('s', { limit: 5 });
page.prev?.().then(({ items }) => items[0].seq.toFixed());
const sending = live.send('s', 'hello');
sending.done.catch((error: ApiError) => error.retryAfter?.toFixed());
// @ts-expect-error only the client changes it
sending.status = 'sent';
const name: keyof LiveEvents = 'caught_up';
new MinLive(api).on(name, () => {});
`;

test('what npm packs installs, runs, and gives its types', (t) => {
  const place = mkdtempSync(join(tmpdir(), 'assistdeck-client-'));
  t.after(() => rmSync(place, { recursive: true }));
  run('npm', ['run', 'types']);
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', place]),
  );
  const paths = files.map(({ path }) => path);
  for (const path of [
    'LICENSE',
    'README.md',
    'src/index.js',
    'types/public.d.ts',
    'types/wire.d.ts',
    'dist/assistdeck-client.js',
  ])
    assert.ok(paths.includes(path), path);
  assert.equal(
    paths.some((path) => path.startsWith('test')),
    false,
  );

  const home = join(place, 'node_modules', 'assistdeck-client');
  mkdirSync(home, { recursive: true });
  run('tar', ['-xzf', join(place, filename), '--strip-components=1', '-C', home]);
  writeFileSync(join(place, 'package.json'), '{"type":"module"}');
  for (const entry of ['assistdeck-client', 'assistdeck-client/min']) {
    const script = `console.log(Object.keys(await import('${entry}')).sort().join())`;
    assert.equal(
      run('node', ['--input-type=module', '-e', script], place).trim(),
      'Api,ApiError,Live',
    );
  }
  writeFileSync(join(place, 'consumer.ts'), CONSUMER);
  writeFileSync(join(place, 'golden.ts'), goldenProgram());
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    run(
      bin('tsc'),
      [
        '--noEmit',
        '--strict',
        '--target',
        'es2022',
        '--lib',
        'es2022,dom',
        '--types',
        '',
        '--module',
        module,
        '--moduleResolution',
        resolution,
        'consumer.ts',
        'golden.ts',
      ],
      place,
    );
  }
});

/** Every golden frame must fit the types, with no field too many. */
function goldenProgram() {
  const lines = goldenFrames().map(([file, frame]) => {
    const type = isClients(file, frame) ? 'ClientFrame' : 'ServerFrame';
    return `export const f${lines_++}: ${type} = ${JSON.stringify(frame)};`;
  });
  const types = "import type { ClientFrame, ServerFrame } from 'assistdeck-client';";
  return [types, ...lines, ''].join('\n');
}
let lines_ = 0;

test('the built file is what the sources give, and small', () => {
  const built = run(bin('esbuild'), [
    'src/index.js',
    '--bundle',
    '--minify',
    '--format=esm',
    '--target=es2022',
  ]);
  const [banner, ...rest] = read('dist/assistdeck-client.js').split('\n');
  assert.match(banner, /^\/\/ Made from/);
  assert.ok(rest.join('\n') === built, 'run `npm run build`');
  const size = gzipSync(read('dist/assistdeck-client.js'), { level: 9 }).length;
  assert.ok(size < GZIP_BYTES_MAX, `${size} bytes`);
});

test('nothing is needed at run time, and the lock names no registry', () => {
  assert.equal(JSON.parse(read('package.json')).dependencies, undefined);
  assert.equal(read('package-lock.json').includes('"resolved"'), false);
  for (const file of readdirSync(join(ROOT, 'src')).filter((name) => name.endsWith('.js'))) {
    for (const [, from] of read(`src/${file}`).matchAll(/^import .* from '([^']+)';/gm)) {
      assert.match(from, /^\.\/[a-z]+\.js$/, file);
    }
  }
});

test('files are short, lines too, and each begins with its story', () => {
  const files = ['src', 'test', 'test/support'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => /\.(m?js|d\.ts)$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
  for (const file of files) {
    const lines = read(file).split('\n');
    assert.ok(lines.length <= FILE_LINES_MAX, `${file}: ${lines.length} lines`);
    assert.match(lines[0], /^\/\*\*/, file);
    lines.forEach((line, index) => assert.ok(line.length <= 100, `${file}:${index + 1}`));
  }
});
