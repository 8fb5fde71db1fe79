/** How a feature becomes what OpenFeature calls a resolution, whichever of its SDKs asks. Nothing here is public. */

import { given, isList, json, kindOf, object, options } from './arguments'
import {
  ArgumentError,
  ClosedError,
  DefinitionsError,
  LeaseholdError,
  OptionsError,
  SnapshotError,
  messageOf,
} from './errors'
import type { FlagOptions, FlagsOptions } from './flags'
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

type Type = 'boolean' | 'string' | 'number' | 'object'

/** Asks a tenant's engine for a flag. Errors are answers as well: none is thrown, which would cost a trace of the stack. */
export function resolution(
  flagKey: string,
  defaultValue: unknown,
  type: Type,
  flags: ReadonlyMap<string, FlagOptions>,
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
    const said = flags.get(flagKey)
    const flagMetadata = said === undefined ? metadata : { ...said.metadata, ...metadata }
    // A value feature that is off has no value.
    const isNone = metadata.kind === 'value' && variant === 'off'
    const found = as(type, value)
    if (isNone ? !fits(value, type) : found === undefined) {
      const message = `\`${flagKey}\` is of type ${typeof value}, and was asked for as ${type}`
      return { ...failed(defaultValue, 'TYPE_MISMATCH', message), flagMetadata }
    }
    if (isNone) {
      return { value: defaultValue, variant, reason, flagMetadata }
    }
    const names = variant === 'on' ? said?.variants : undefined
    return { value: found, variant: nameOf(found, names) ?? nameOf(value, names) ?? variant, reason, flagMetadata }
  } catch (error) {
    if (error instanceof ClosedError) {
      session?.failed(error)
    }
    const code = error instanceof LeaseholdError ? native.openFeatureError(error.code) : 'GENERAL'
    return failed(defaultValue, code, messageOf(error))
  }
}

/** A value as the type that was asked for, if it can be had as that. Decimals are texts, and OpenFeature's are numbers. */
function as(type: Type, value: unknown): unknown {
  if (typeof value === type) {
    return value
  }
  return type === 'number' && typeof value === 'string' && isDecimal(value) ? Number(value) : undefined
}

/** Whether what is off may be had as a type when it is on, so far as what is empty in its place can tell. */
function fits(empty: unknown, type: Type): boolean {
  return empty === null || typeof empty === type || (type === 'number' && empty === '')
}

/** Whether a text is a decimal that a double keeps, every digit of it: up to 15 significant ones, and not too far down. */
function isDecimal(value: string): boolean {
  const isOne = value.length <= 300 && /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(value)
  return isOne && value.replace(/^-?[0.]*|\./g, '').length <= 15
}

/** The name of a value, if it has one. */
function nameOf(value: unknown, variants: FlagOptions['variants'] = {}): string | undefined {
  return Object.keys(variants).find((name) => isSame(variants[name], value))
}

/** Whether two values are the same JSON: objects have no order. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return a === b
  }
  const [ours, theirs] = [new Map(Object.entries(a)), new Map(Object.entries(b))]
  const isAll = [...ours].every(([name, value]) => theirs.has(name) && isSame(value, theirs.get(name)))
  return isList(a) === isList(b) && ours.size === theirs.size && isAll
}

/** Details are nobody's to change: the SDK hands to hooks, at the end, what it answers with. Older ones do not. */
export const freezing = {
  finally: (_: unknown, details?: object): void => {
    if (details !== undefined && 'flagKey' in details) {
      Object.freeze(details)
    }
  },
}

/** Whether no second try would mend it, which SDKs call fatal. */
export function isFatal(error: unknown): error is LeaseholdError {
  const isTrust = error instanceof SnapshotError && error.item === 'trust'
  return isTrust || error instanceof ArgumentError || error instanceof OptionsError || error instanceof DefinitionsError
}

/** How the app says which tenant a context is about, or else how HQ does; and what it says of flags. */
export function providerOptions<C extends ContextLike<V>, V>(passed: {
  tenantOf?: (context: C) => V | undefined
  flags?: FlagsOptions
}): { tenantOf: (context: C) => V | undefined; flags: ReadonlyMap<string, FlagOptions> } {
  const { tenantOf: asked = tenantOf, flags = {} } = options('options', passed, { tenantOf: true, flags: true })
  if (typeof asked !== 'function') {
    throw new ArgumentError('`tenantOf` is a function, which says which tenant a context is about')
  }
  const entries = given('flags', () => Object.entries(object('flags', flags)))
  return { tenantOf: asked, flags: new Map(entries.map(([key, said]) => [key, flagOptions(key, said)])) }
}

function flagOptions(key: string, flag: FlagOptions): FlagOptions {
  const name = `flags.${key}`
  // As they are now: whoever made them may change them.
  const { variants = {}, metadata = {} } = given(name, () => ({
    ...options(name, flag, { variants: true, metadata: true }),
  }))
  const values = JSON.parse(json(`${name}.variants`, object(`${name}.variants`, variants))) as Record<string, unknown>
  if (!given(`${name}.variants`, () => isSame(values, variants))) {
    throw new ArgumentError(`\`${name}.variants\` holds something that is no JSON`)
  }
  for (const [variant, value] of Object.entries(values)) {
    const other = nameOf(value, values)
    if (other !== variant) {
      throw new ArgumentError(`\`${name}.variants\` has two names for one value: \`${other}\` and \`${variant}\``)
    }
  }
  const said = given(`${name}.metadata`, () => ({ ...object(`${name}.metadata`, metadata) }))
  for (const [member, value] of Object.entries(said)) {
    if (OWN_METADATA.includes(member)) {
      throw new ArgumentError(`\`${name}.metadata.${member}\` is said by the engine: choose another name`)
    }
    if (!['string', 'boolean'].includes(typeof value) && !Number.isFinite(value)) {
      const told = kindOf(value)
      throw new ArgumentError(
        `\`${name}.metadata.${member}\` is a text, a finite number, or true or false, not ${told}`,
      )
    }
  }
  return { variants: values, metadata: said }
}

/** What the engine says of every answer. */
const OWN_METADATA = ['kind', 'reason', 'source', 'block', 'revision', 'freshness', 'definitions']

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
