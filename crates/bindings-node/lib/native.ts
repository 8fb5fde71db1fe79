/** The native part in Node: an addon for this platform. Nothing here is public. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { InternalError } from './errors'
import { platform } from './platform'
import type { Native } from './surface'

export type * from './surface'

function load(): Native {
  const name = platform()
  // Built here, or beside the package for this platform.
  const built = join(__dirname, `leasehold.${name}.node`)
  const wanted = existsSync(built) ? built : `leasehold-${name}`
  try {
    return require(wanted) as Native
  } catch (cause) {
    const message =
      `the native part of leasehold for ${name} cannot be loaded: install the package \`leasehold-${name}\` ` +
      '(package managers do, unless optional dependencies are left out), and let bundlers leave `leasehold` as it is'
    throw new InternalError(message, { cause })
  }
}

/** @internal */
export const native: Native = load()
