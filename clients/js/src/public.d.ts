/**
 * What TypeScript users see under the package's name: the classes, and every type by its name.
 */

export * from './index.js';
export type * from './client.js';
export type * from './wire.js';
