import { readFile } from 'node:fs/promises'
import type { Trust } from 'leasehold'
import type { LeaseholdModuleOptions } from 'leasehold/nestjs'

/** Which HQ to follow, and whom to believe: from variables of the environment. */
export async function fromEnvironment(env: NodeJS.ProcessEnv = process.env): Promise<LeaseholdModuleOptions> {
  const trust = JSON.parse(await readFile(needed(env, 'LEASEHOLD_TRUST'), 'utf8')) as Trust
  const { LEASEHOLD_STREAM: stream, LEASEHOLD_ENGINE: engineId = 'laundry-1', LEASEHOLD_KEEP: keep = 'kept' } = env
  return {
    follow: {
      url: needed(env, 'LEASEHOLD_URL'),
      token: needed(env, 'LEASEHOLD_TOKEN'),
      trust: stream === undefined ? trust : { ...trust, stream },
      engineId,
      keep,
    },
  }
}

function needed(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name]
  if (value === undefined || value === '') {
    throw new Error(`set ${name}: README.md says what it is`)
  }
  return value
}
