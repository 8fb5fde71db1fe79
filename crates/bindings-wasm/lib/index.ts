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

import * as glue from '../wasm/core.js'
import { begin } from './init'
import type { InitOptions } from './init'

export * from './exports'
export type { TokenSource } from './follow/platform'
export type { InitOptions }
export { InitError } from './init_error'

/**
 * Loads the engine. Whoever calls it again waits for the same one.
 * @throws {InitError} Why there is none.
 */
export async function init(options: InitOptions = {}): Promise<void> {
  return begin('core', glue, () => new URL('./core_bg.wasm', import.meta.url), options)
}
