// Generated from lib/index.ts by scripts/declarations.mjs: do not edit.
/**
 * Leasehold for browsers: what your page shows, decided in the page from a signed slice of one tenant.
 *
 * ```js
 * import { Engine, init } from 'leasehold-web'
 * await init()
 * const engine = await Engine.follow({ url: 'https://hq.example', tenant, token, trust })
 * if (engine.tenant().isEnabled('pdf_invoices')) { … }
 * ```
 *
 * This is the build `core`; `leasehold-web/full` has the same surface and all of the engine.
 */
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
