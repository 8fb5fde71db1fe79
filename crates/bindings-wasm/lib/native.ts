/** The part that runs as WebAssembly, once it is there. Nothing here is public. */

import { InitError } from './init_error'
import type { Native } from './surface'

export type * from './surface'

/** What the build `core` leaves out, by class; what belongs to none is a function. */
const FULL_ONLY = {
  NativeSnapshot: ['warnings', 'diff', 'diffTenants', 'compareVersions', 'upgrade', 'replay'],
  NativeTenant: ['whatIf'],
  NativeMachine: ['coveringPaths', 'picture', 'pictureAgainst'],
  NativeFollower: ['open'],
} as const
const FULL_ONLY_STATIC = { NativeSnapshot: ['compile'] } as const
const FULL_ONLY_FUNCTIONS = [
  'canonicalForm',
  'checkCanonical',
  'hashOfDefinitions',
  'isStaged',
  'keyId',
  'merge',
  'openChunk',
  'placeOf',
  'verifyCertificate',
  'verifyHead',
] as const

/** @internal */
export let native: Native = new Proxy({} as Native, {
  get() {
    throw new InitError('not_initialized', 'nothing can be asked yet: `await init()` first')
  },
})

/**
 * Puts in the part that runs as WebAssembly.
 * @internal
 */
export function provide(exports: object): void {
  const part = exports as Record<string, unknown>
  const whole: Record<string, unknown> = { ...part }
  for (const [name, methods] of Object.entries(FULL_ONLY)) {
    fill((part[name] as { prototype: Record<string, unknown> }).prototype, methods)
  }
  for (const [name, methods] of Object.entries(FULL_ONLY_STATIC)) {
    fill(part[name] as Record<string, unknown>, methods)
  }
  fill(whole, FULL_ONLY_FUNCTIONS)
  native = whole as object as Native
}

/** Says of what is not there that the other build has it. */
function fill(object: Record<string, unknown>, names: readonly string[]): void {
  for (const name of names) {
    object[name] ??= () => {
      throw new InitError('not_in_build', `\`${name}\` is in the build \`full\`: import \`leasehold-web/full\``)
    }
  }
}
