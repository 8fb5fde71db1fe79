/**
 * Features as flags of OpenFeature's, answered in process:
 *
 * ```js
 * await OpenFeature.setProviderAndWait(new LeaseholdProvider(() => Engine.follow({ … })))
 * const context = { targetingKey: 'om-muscat-sparkle' }
 * const open = await OpenFeature.getClient().getBooleanValue('pdf_invoices', false, context)
 * ```
 */

import { OpenFeatureEventEmitter, ProviderFatalError } from '@openfeature/server-sdk'
import type {
  EvaluationContext,
  EvaluationContextValue,
  FlagValue,
  Hook,
  JsonValue,
  Provider,
  ResolutionDetails,
} from '@openfeature/server-sdk'
import { Engine } from './engine'
import { ArgumentError } from './errors'
import type { FlagOptions, FlagsOptions } from './flags'
import { freezing, isFatal, providerOptions, resolution } from './resolution'
import { Session } from './session'
import type { EngineSource } from './session'

export type { EngineSource, FlagOptions, FlagsOptions }

/** What a {@link LeaseholdProvider} may be told. */
export interface LeaseholdProviderOptions {
  /** Which tenant a context is about. Without it: its `tenant_org_id` where that is there, else its `targetingKey`. */
  tenantOf?: (context: EvaluationContext) => EvaluationContextValue | undefined
  /** Names of values, and metadata, by the keys of flags: what OpenFeature knows of flags, and features do not say. */
  flags?: FlagsOptions
}

/** A provider for OpenFeature's server SDK. One that was given a function made its engine, and closes it. */
export class LeaseholdProvider implements Provider {
  readonly metadata = { name: 'leasehold' } as const
  readonly runsOn = 'server'
  readonly events = new OpenFeatureEventEmitter()
  readonly hooks: Hook[] = [freezing]
  readonly #source: EngineSource
  readonly #tenantOf: (context: EvaluationContext) => EvaluationContextValue | undefined
  readonly #flags: ReadonlyMap<string, FlagOptions>
  #opening: Promise<Session> | undefined
  #session: Session | undefined

  constructor(source: EngineSource, options: LeaseholdProviderOptions = {}) {
    if (!(source instanceof Engine || source instanceof Promise || typeof source === 'function')) {
      throw new ArgumentError('a provider takes an `Engine`, the promise of one, or a function that makes one')
    }
    if (source instanceof Promise) {
      // Whoever initializes hears of it; until then it is no unhandled rejection.
      source.catch(() => {})
    }
    this.#source = source
    const { tenantOf, flags } = providerOptions(options)
    this.#tenantOf = tenantOf
    this.#flags = flags
  }

  /** Called by the SDK. What no second try would mend is fatal to it. */
  async initialize(): Promise<void> {
    this.#opening ??= Session.open(this.#source, this.events)
    const opening = this.#opening
    try {
      const session = await opening
      if (this.#opening === opening) {
        this.#session = session
      }
    } catch (error) {
      if (this.#opening === opening) {
        this.#opening = undefined
      }
      if (isFatal(error)) {
        throw new ProviderFatalError(error.message, { cause: error })
      }
      throw error
    }
  }

  /** Called by the SDK. An engine that was handed in stays open: it belongs to whoever made it. */
  async onClose(): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    this.#session = undefined
    const session = await opening?.catch(() => undefined)
    await session?.close()
  }

  resolveBooleanEvaluation(
    flagKey: string,
    defaultValue: boolean,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<boolean>> {
    return this.#resolve(flagKey, defaultValue, context, 'boolean')
  }

  resolveStringEvaluation(
    flagKey: string,
    defaultValue: string,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<string>> {
    return this.#resolve(flagKey, defaultValue, context, 'string')
  }

  resolveNumberEvaluation(
    flagKey: string,
    defaultValue: number,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<number>> {
    return this.#resolve(flagKey, defaultValue, context, 'number')
  }

  resolveObjectEvaluation<T extends JsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<T>> {
    return this.#resolve(flagKey, defaultValue, context, 'object')
  }

  #resolve<T extends FlagValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
    type: 'boolean' | 'string' | 'number' | 'object',
  ): Promise<ResolutionDetails<T>> {
    const answer = resolution(
      flagKey,
      defaultValue,
      type,
      this.#flags,
      () => this.#tenantOf(context),
      () => this.#session,
    )
    return Promise.resolve(answer as ResolutionDetails<T>)
  }
}
