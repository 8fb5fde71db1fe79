/**
 * Features as flags of OpenFeature's web SDK: a context names the tenant, and every answer is there at once.
 *
 * ```js
 * const provider = new LeaseholdWebProvider(async (tenant) => {
 *   await init()
 *   return Engine.follow({ url, tenant, token, trust })
 * })
 * await OpenFeature.setProviderAndWait(provider, { targetingKey: 'om-muscat-sparkle' })
 * const open = OpenFeature.getClient().getBooleanValue('pdf_invoices', false)
 * ```
 */

import { OpenFeatureEventEmitter, ProviderFatalError } from '@openfeature/web-sdk'
import type {
  EvaluationContext,
  EvaluationContextValue,
  FlagValue,
  Hook,
  JsonValue,
  Provider,
  ProviderEmittableEvents,
  ResolutionDetails,
} from '@openfeature/web-sdk'
import { isA } from './arguments'
import { Engine } from './engine'
import { ArgumentError } from './errors'
import type { FlagOptions, FlagsOptions } from './flags'
import { freezing, isFatal, providerOptions, resolution } from './resolution'
import { Session } from './session'
import type { Events } from './session'

export type { FlagOptions, FlagsOptions }

/** An engine, the promise of one, or what makes one for a tenant. */
export type TenantEngineSource = Engine | Promise<Engine> | ((tenant: string) => Engine | Promise<Engine>)

/** What a {@link LeaseholdWebProvider} may be told. */
export interface LeaseholdWebProviderOptions {
  /**
   * Which tenant a context is about. Without it: its `tenant_org_id` where that is there, else its `targetingKey`, else the
   * tenant that the slice of an engine that was handed in is about.
   */
  tenantOf?: (context: EvaluationContext) => EvaluationContextValue | undefined
  /** Names of values, and metadata, by the keys of flags: what OpenFeature knows of flags, and features do not say. */
  flags?: FlagsOptions
}

/** An engine that is there once `done` is, for a tenant where a function made it. */
interface Opening {
  readonly tenant: string | undefined
  done: Promise<void>
  session?: Session
}

/**
 * A provider for OpenFeature's web SDK. One that was given a function makes an engine for each tenant that the context names,
 * one at a time, and closes it when the context names another. Domains with contexts of their own have providers of their own.
 */
export class LeaseholdWebProvider implements Provider {
  readonly metadata = { name: 'leasehold' } as const
  readonly runsOn = 'client'
  readonly events = new OpenFeatureEventEmitter()
  readonly hooks: Hook[] = [freezing]
  readonly #source: TenantEngineSource
  readonly #tenantOf: (context: EvaluationContext) => EvaluationContextValue | undefined
  readonly #said: ReadonlyMap<string, FlagOptions>
  #opening: Opening | undefined
  /** The tenant of the context, where it names one. */
  #tenant: string | undefined
  /** Flags as the tenant of the context last saw them. */
  #seen = new Map<string, string>()

  constructor(source: TenantEngineSource, options: LeaseholdWebProviderOptions = {}) {
    if (!(isA(Engine, source) || isA(Promise, source) || typeof source === 'function')) {
      throw new ArgumentError('a provider takes an `Engine`, the promise of one, or a function that makes one')
    }
    if (isA(Promise, source)) {
      // Whoever initializes hears of it; until then it is no unhandled rejection.
      source.catch(() => {})
    }
    this.#source = source
    const { tenantOf, flags } = providerOptions(options)
    this.#tenantOf = tenantOf
    this.#said = flags
  }

  /** Called by the SDK. What no second try would mend is fatal to it. Before anybody logs in, nothing is opened. */
  async initialize(context: EvaluationContext = {}): Promise<void> {
    try {
      await this.#turnTo(context)
    } catch (error) {
      throw isFatal(error) ? new ProviderFatalError(error.message, { cause: error }) : error
    }
  }

  /** Called by the SDK. While another tenant's engine is being made, nothing of the last one's is answered. */
  onContextChange(_old: EvaluationContext, context: EvaluationContext): Promise<void> | void {
    const last = this.#opening
    const turned = this.#turnTo(context)
    if (this.#opening !== last || last?.session === undefined) {
      return turned
    }
    last.session.sayAgain()
  }

  /** Called by the SDK. An engine that was handed in stays open: it belongs to whoever made it. */
  async onClose(): Promise<void> {
    this.#tenant = undefined
    await this.#leave()
  }

  resolveBooleanEvaluation(
    flagKey: string,
    defaultValue: boolean,
    context: EvaluationContext,
  ): ResolutionDetails<boolean> {
    return this.#resolve(flagKey, defaultValue, context, 'boolean')
  }

  resolveStringEvaluation(
    flagKey: string,
    defaultValue: string,
    context: EvaluationContext,
  ): ResolutionDetails<string> {
    return this.#resolve(flagKey, defaultValue, context, 'string')
  }

  resolveNumberEvaluation(
    flagKey: string,
    defaultValue: number,
    context: EvaluationContext,
  ): ResolutionDetails<number> {
    return this.#resolve(flagKey, defaultValue, context, 'number')
  }

  resolveObjectEvaluation<T extends JsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): ResolutionDetails<T> {
    return this.#resolve(flagKey, defaultValue, context, 'object')
  }

  #resolve<T extends FlagValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
    type: 'boolean' | 'string' | 'number' | 'object',
  ): ResolutionDetails<T> {
    const named = () => this.#named(context)
    const answer = resolution(flagKey, defaultValue, type, this.#said, named, (tenant) => this.#sessionOf(tenant))
    return answer as ResolutionDetails<T>
  }

  #named(context: EvaluationContext): EvaluationContextValue | undefined {
    return this.#tenantOf(context) ?? this.#own()
  }

  /** The one tenant that an engine that was handed in knows. */
  #own(): string | undefined {
    const session = typeof this.#source === 'function' ? undefined : this.#opening?.session
    const [own, another] = session === undefined || session.engine.closed ? [] : session.engine.latest.tenantIds()
    return another === undefined ? own : undefined
  }

  #sessionOf(tenant: string): Session | undefined {
    const isOurs = typeof this.#source !== 'function' || this.#opening?.tenant === tenant
    return isOurs ? this.#opening?.session : undefined
  }

  /** Sees to it that what answers is about the tenant of this context. */
  #turnTo(context: EvaluationContext): Promise<void> {
    const named = this.#tenantOf(context)
    this.#tenant = typeof named === 'string' && named !== '' ? named : undefined
    const [source, tenant] = [this.#source, this.#tenant]
    const opening = this.#opening
    if (typeof source !== 'function') {
      this.#opening ??= this.#open(source, undefined)
    } else if (tenant === undefined) {
      return this.#leave()
    } else if (opening?.tenant !== tenant || opening.session?.engine.closed === true) {
      const left = this.#leave()
      this.#opening = this.#open(() => source(tenant), tenant, left)
    }
    this.#see()
    return this.#opening?.done ?? Promise.resolve()
  }

  #open(
    source: Engine | Promise<Engine> | (() => Engine | Promise<Engine>),
    tenant: string | undefined,
    left?: Promise<void>,
  ): Opening {
    const opening: Opening = { tenant, done: Promise.resolve() }
    // Not once somebody else was named, though it may be open for a while yet.
    const isHeard = () => this.#opening === opening
    const events: Events = {
      emit: (event, told) => {
        if (isHeard()) {
          this.events.emit(event as ProviderEmittableEvents, told)
        }
      },
    }
    const opened = Session.open(source, events, (engine, tell) =>
      engine.subscribe(() => {
        if (isHeard()) {
          const flagsChanged = this.#see()
          tell(flagsChanged.length === 0 ? undefined : { flagsChanged })
        }
      }),
    )
    opening.done = this.#take(opening, opened, left)
    return opening
  }

  async #take(opening: Opening, opened: Promise<Session>, left: Promise<void> | undefined): Promise<void> {
    try {
      const session = await opened
      await left
      if (this.#opening === opening) {
        opening.session = session
        this.#see()
        // What it told while the last one was being closed, the SDK has forgotten.
        session.sayAgain()
        return
      }
      await session.close()
    } catch (error) {
      if (this.#opening === opening) {
        this.#opening = undefined
        throw error
      }
    }
    // Somebody else was named meanwhile: it is done when theirs is there.
    return this.#opening?.done
  }

  /** Ends what is open, or what is being opened once it is. */
  async #leave(): Promise<void> {
    const session = this.#opening?.session
    this.#opening = undefined
    await session?.close()
  }

  /** Looks at the flags of the context's tenant, and says which are others than before. */
  #see(): string[] {
    const last = this.#seen
    this.#seen = new Map(this.#flags())
    const keys = new Set([...last.keys(), ...this.#seen.keys()])
    return [...keys].filter((key) => last.get(key) !== this.#seen.get(key)).sort()
  }

  #flags(): [string, string][] {
    const engine = this.#opening?.session?.engine
    const tenant = this.#tenant ?? this.#own()
    if (engine === undefined || tenant === undefined) {
      return []
    }
    try {
      const { flags } = engine.tenant(tenant).evaluateAll()
      // That plans of others begin or end to say something about a feature is no change to this tenant.
      return flags.map(({ key, value, variant, metadata }) => [key, JSON.stringify([value, variant, metadata.reason])])
    } catch {
      // There is no such tenant, which is said to whoever asks.
      return []
    }
  }
}
