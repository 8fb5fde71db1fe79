/** How a feature becomes what OpenFeature calls a resolution, whichever of its SDKs asks. Nothing here is public. */

import { options } from './arguments'
import {
  ArgumentError,
  ClosedError,
  DefinitionsError,
  LeaseholdError,
  OptionsError,
  SnapshotError,
  messageOf,
} from './errors'
import type { FeatureKey } from './keys'
import { native } from './native'
import type { Session } from './session'

/** What SDKs call `ResolutionDetails`. */
export interface Resolution {
  value: unknown
  variant?: string
  reason: string
  flagMetadata?: object
  errorCode?: string
  errorMessage?: string
}

/** Asks a tenant's engine for a flag. Errors are answers as well: none is thrown, which would cost a trace of the stack. */
export function resolution(
  flagKey: string,
  defaultValue: unknown,
  type: 'boolean' | 'string' | 'number' | 'object',
  tenantOf: () => unknown,
  sessionOf: (tenant: string) => Session | undefined,
): Resolution {
  let session: Session | undefined
  try {
    const tenant = tenantOf()
    if (tenant === undefined || tenant === null || tenant === '') {
      const message = 'name the tenant: as `targetingKey` or `tenant_org_id` in the context'
      return failed(defaultValue, 'TARGETING_KEY_MISSING', message)
    }
    if (typeof tenant !== 'string') {
      return failed(defaultValue, 'INVALID_CONTEXT', `the id of a tenant is a text, not of type ${typeof tenant}`)
    }
    session = sessionOf(tenant)
    if (session === undefined) {
      return failed(defaultValue, 'PROVIDER_NOT_READY', 'the provider has no engine: wait until it is ready')
    }
    const { value, variant, reason, metadata } = session.engine.tenant(tenant).evaluate(flagKey as FeatureKey)
    session.saw(metadata.freshness === 'stale')
    if (typeof value !== type) {
      const message = `\`${flagKey}\` is of type ${typeof value}, and was asked for as ${type}`
      return { ...failed(defaultValue, 'TYPE_MISMATCH', message), flagMetadata: metadata }
    }
    return { value, variant, reason, flagMetadata: metadata }
  } catch (error) {
    if (error instanceof ClosedError) {
      session?.failed(error)
    }
    const code = error instanceof LeaseholdError ? native.openFeatureError(error.code) : 'GENERAL'
    return failed(defaultValue, code, messageOf(error))
  }
}

/** Whether no second try would mend it, which SDKs call fatal. */
export function isFatal(error: unknown): error is LeaseholdError {
  const isTrust = error instanceof SnapshotError && error.item === 'trust'
  return isTrust || error instanceof ArgumentError || error instanceof OptionsError || error instanceof DefinitionsError
}

/** How the app says which tenant a context is about, or else how HQ does. */
export function tenantOfOptions<C extends ContextLike<V>, V>(given: {
  tenantOf?: (context: C) => V | undefined
}): (context: C) => V | undefined {
  const asked = options('options', given, { tenantOf: true }).tenantOf ?? tenantOf
  if (typeof asked !== 'function') {
    throw new ArgumentError('`tenantOf` is a function, which says which tenant a context is about')
  }
  return asked
}

/** A context of an SDK, of values of its own. */
interface ContextLike<V> {
  readonly targetingKey?: V
  readonly [name: string]: V | undefined
}

/** The tenant that HQ takes for a context as well, when it is asked by OFREP. */
function tenantOf<V>(context: ContextLike<V>): V | undefined {
  return context['tenant_org_id'] ?? context.targetingKey
}

function failed(value: unknown, errorCode: string, errorMessage: string): Resolution {
  return { value, reason: 'ERROR', errorCode, errorMessage }
}
