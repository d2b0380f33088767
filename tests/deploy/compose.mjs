// What the linter of deploy/compose.yaml does not look at.
//
//     node compose.mjs FILE
//
// Every file that it mounts must be there, and every secret, network, volume and service that a
// service names must be declared. Prints the file as JSON, aliases resolved.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const yaml = createRequire(new URL('../node/', import.meta.url))('yaml');
const file = process.argv[2];
const compose = yaml.parse(await readFile(file, 'utf8'));

for (const [name, service] of Object.entries(compose.services)) {
  for (const kind of ['secrets', 'networks']) {
    for (const each of service[kind] ?? []) {
      assert.ok(each in compose[kind], `${name} names ${each}, which is none of the ${kind}`);
    }
  }
  for (const volume of service.volumes ?? []) {
    const [source] = volume.split(':');
    const isThere = source.startsWith('.')
      ? existsSync(join(dirname(file), source))
      : source in compose.volumes;
    assert.ok(isThere, `${name} mounts ${source}, which is not there`);
  }
  const { dockerfile, context } = service.build ?? {};
  assert.ok(!dockerfile || existsSync(join(dirname(file), context, dockerfile)), dockerfile);
  for (const other of Object.keys(service.depends_on ?? {})) {
    const known = Array.isArray(service.depends_on) ? service.depends_on[other] : other;
    assert.ok(known in compose.services, `${name} depends on ${known}`);
  }
}
console.log(JSON.stringify(compose));
