/**
 * The world outside, as the client sees it: socket, timers, clock, chance, page. In one place
 * so that tests can bring their own.
 */

/**
 * @param {Partial<import('./client.js').Environment>} [given]
 * @returns {import('./client.js').Environment}
 */
export function environment(given = {}) {
  const { WebSocket, document } = globalThis;
  return {
    WebSocket,
    setTimeout: (run, ms) => globalThis.setTimeout(run, ms),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    window: typeof globalThis.addEventListener === 'function' ? globalThis : undefined,
    document,
    ...given,
  };
}

/**
 * A `client_id`: 128 bits of chance. Not `randomUUID`, which pages without https lack.
 */
export function newClientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
