/** Leasehold for browsers, the build `full`: with guards that calculate (Rhai), definitions, comparisons and pictures. */

import * as glue from '../wasm/full.js'
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
  return begin('full', glue, () => new URL('./full_bg.wasm', import.meta.url), options)
}
