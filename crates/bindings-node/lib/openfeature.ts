/**
 * Features as flags of OpenFeature's, answered in process:
 *
 * ```js
 * await OpenFeature.setProviderAndWait(new LeaseholdProvider(() => Engine.follow({ … })))
 * const context = { targetingKey: 'om-muscat-sparkle' }
 * const open = await OpenFeature.getClient().getBooleanValue('pdf_invoices', false, context)
 * ```
 */

import {
  ErrorCode,
  OpenFeatureEventEmitter,
  ProviderFatalError,
  StandardResolutionReasons,
} from '@openfeature/server-sdk'
import type {
  EvaluationContext,
  EvaluationContextValue,
  FlagMetadata,
  FlagValue,
  JsonValue,
  Provider,
  ResolutionDetails,
} from '@openfeature/server-sdk'
import { Engine } from './engine'
import { ArgumentError, ClosedError, DefinitionsError, LeaseholdError, OptionsError } from './errors'
import type { FeatureKey } from './keys'
import { native } from './native'
import { Session } from './session'
import type { EngineSource } from './session'

export type { EngineSource }

/** What a {@link LeaseholdProvider} may be told. */
export interface LeaseholdProviderOptions {
  /** Which tenant a context is about. Without it: its `tenant_org_id` where that is there, else its `targetingKey`. */
  tenantOf?: (context: EvaluationContext) => EvaluationContextValue | undefined
}

/** A provider for OpenFeature's server SDK. One that was given a function made its engine, and closes it. */
export class LeaseholdProvider implements Provider {
  readonly metadata = { name: 'leasehold' } as const
  readonly runsOn = 'server'
  readonly events = new OpenFeatureEventEmitter()
  readonly #source: EngineSource
  readonly #tenantOf: (context: EvaluationContext) => EvaluationContextValue | undefined
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
    this.#tenantOf = options.tenantOf ?? tenantOf
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
      if (error instanceof ArgumentError || error instanceof OptionsError || error instanceof DefinitionsError) {
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

  /** Errors are answers as well: none is thrown, which would cost a trace of the stack. */
  #resolve<T extends FlagValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
    type: string,
  ): Promise<ResolutionDetails<T>> {
    return Promise.resolve(this.#answer(flagKey, defaultValue, context, type))
  }

  #answer<T extends FlagValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
    type: string,
  ): ResolutionDetails<T> {
    const session = this.#session
    if (session === undefined) {
      return failed(defaultValue, ErrorCode.PROVIDER_NOT_READY, 'the provider has no engine: wait until it is ready')
    }
    try {
      const tenant = this.#tenantOf(context)
      if (tenant === undefined || tenant === null || tenant === '') {
        const message = 'name the tenant: as `targetingKey` or `tenant_org_id` in the context'
        return failed(defaultValue, ErrorCode.TARGETING_KEY_MISSING, message)
      }
      if (typeof tenant !== 'string') {
        const message = `the id of a tenant is a text, not of type ${typeof tenant}`
        return failed(defaultValue, ErrorCode.INVALID_CONTEXT, message)
      }
      const { value, variant, reason, metadata } = session.engine.tenant(tenant).evaluate(flagKey as FeatureKey)
      session.saw(metadata.freshness === 'stale')
      const flagMetadata = metadata as object as FlagMetadata
      if (typeof value !== type) {
        const message = `\`${flagKey}\` is of type ${typeof value}, and was asked for as ${type}`
        return { ...failed(defaultValue, ErrorCode.TYPE_MISMATCH, message), flagMetadata }
      }
      return { value: value as T, variant, reason, flagMetadata }
    } catch (error) {
      if (error instanceof ClosedError) {
        session.failed(error)
      }
      const code = error instanceof LeaseholdError ? native.openFeatureError(error.code) : ErrorCode.GENERAL
      return failed(defaultValue, code as ErrorCode, error instanceof Error ? error.message : String(error))
    }
  }
}

/** The tenant that HQ takes for a context as well, when it is asked by OFREP. */
function tenantOf(context: EvaluationContext): EvaluationContextValue | undefined {
  return context['tenant_org_id'] ?? context.targetingKey
}

function failed<T extends FlagValue>(value: T, errorCode: ErrorCode, errorMessage: string): ResolutionDetails<T> {
  return { value, reason: StandardResolutionReasons.ERROR, errorCode, errorMessage }
}
