// Generated from lib/full.ts by scripts/declarations.mjs: do not edit.
/** Leasehold for browsers, the build `full`: with guards that calculate (Rhai), definitions, comparisons and pictures. */
import type { InitOptions } from './init.js';
export * from './exports.js';
export type { TokenSource } from './follow/platform.js';
export type { InitOptions };
export { InitError } from './init_error.js';
/**
 * Loads the engine. Whoever calls it again waits for the same one.
 * @throws {InitError} Why there is none.
 */
export declare function init(options?: InitOptions): Promise<void>;
