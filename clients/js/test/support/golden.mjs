/** The server's golden frames, where the repository has them. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { CLIENT_FRAMES, SERVER_FRAMES } from '../../src/frames.js';

export const EXAMPLES = new URL('../../../../crates/protocol/examples/', import.meta.url);

/** All golden frames, as `[file, frame]`; what has no `type` is no frame of v1. */
export function goldenFrames() {
  if (!existsSync(EXAMPLES)) return [];
  return readdirSync(EXAMPLES, { recursive: true })
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => [file, JSON.parse(readFileSync(new URL(file, EXAMPLES), 'utf8'))])
    .filter(([, frame]) => typeof frame.type === 'string');
}

/** A client's `typing` and `read` do not say who. */
export function isClients(file, frame) {
  if (frame.type in CLIENT_FRAMES && frame.type in SERVER_FRAMES) return !('user_id' in frame);
  return frame.type in CLIENT_FRAMES;
}
