/** The module: an engine for the app, and all that asks it. */

import { Inject, Logger, Module } from '@nestjs/common'
import type { DynamicModule, OnApplicationShutdown, OnModuleInit, Provider } from '@nestjs/common'
import { APP_FILTER, APP_INTERCEPTOR, DiscoveryModule } from '@nestjs/core'
import { kindOf, options as known, shown } from '../arguments'
import { Engine } from '../engine'
import { ArgumentError } from '../errors'
import { BootCheck, UnknownKeysError } from './boot'
import { Desk, TenantEntitlements } from './entitlements'
import { FeatureFlagGuard, Gate, LimitGuard, TransitionGuard } from './guards'
import { LeaseholdHealthIndicator } from './health'
import { LeaseholdInterceptor } from './interceptor'
import { ConfigurableModuleClass, OPTIONS } from './options'
import type { LeaseholdModuleOptions } from './options'
import { ProblemFilter } from './problems'
import { Telemetry } from './telemetry'
import { TenantContext } from './tenant'

/** Engines that end with the app. What a test puts in the place of the app's engine is not among them. */
const ours = new WeakSet<Engine>()

const KNOWN: Record<keyof LeaseholdModuleOptions, true> = {
  engine: true,
  follow: true,
  closeEngine: true,
  tenant: true,
  onUnknownKeys: true,
  log: true,
  telemetry: true,
}

/** What a factory gives is checked by no compiler: an extractor under another name would be one that nobody asks. */
function checked(given: LeaseholdModuleOptions): LeaseholdModuleOptions {
  const { tenant, onUnknownKeys, log, telemetry } = known('options', given, KNOWN)
  if (tenant !== undefined && typeof tenant !== 'function') {
    throw new ArgumentError(`\`tenant\` is a function that says which tenant it is for, not ${kindOf(tenant)}`)
  }
  if (onUnknownKeys !== undefined && onUnknownKeys !== 'fail' && onUnknownKeys !== 'warn') {
    throw new ArgumentError(`\`onUnknownKeys\` is fail or warn, not ${shown(onUnknownKeys)}`)
  }
  known('log', log ?? {}, { granted: true, refused: true })
  known('telemetry', telemetry ?? {}, { tenantInMetrics: true })
  return given
}

async function engineOf(options: LeaseholdModuleOptions): Promise<Engine> {
  const { engine: given, follow, closeEngine } = checked(options)
  if ((given === undefined) === (follow === undefined)) {
    throw new ArgumentError('say where the engine comes from: either `follow` or `engine`')
  }
  const engine =
    follow !== undefined ? await Engine.follow(follow) : await (typeof given === 'function' ? given() : given)
  if (!(engine instanceof Engine)) {
    throw new ArgumentError('`engine` is an `Engine`, or a function that gives one')
  }
  if (closeEngine ?? (follow !== undefined || typeof given === 'function')) {
    ours.add(engine)
  }
  return engine
}

/** What others inject. Guards are made where they are used, of these. */
const shared: Provider[] = [
  { provide: Engine, useFactory: engineOf, inject: [OPTIONS] },
  Telemetry,
  TenantContext,
  Desk,
  Gate,
  TenantEntitlements,
  FeatureFlagGuard,
  LimitGuard,
  TransitionGuard,
  LeaseholdInterceptor,
  LeaseholdHealthIndicator,
]

/**
 * Entitlements for a NestJS app, in HTTP and microservices. Global: it is imported once.
 *
 * ```ts
 * LeaseholdModule.forRoot({ follow: { url, token, trust, engineId: 'orders-1', keep: './kept' } })
 * ```
 */
@Module({
  imports: [DiscoveryModule],
  providers: [
    ...shared,
    BootCheck,
    { provide: APP_INTERCEPTOR, useExisting: LeaseholdInterceptor },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
  exports: shared,
})
export class LeaseholdModule extends ConfigurableModuleClass implements OnModuleInit, OnApplicationShutdown {
  static override forRoot(options: LeaseholdModuleOptions & { isGlobal?: boolean }): DynamicModule {
    if (options.engine instanceof Promise) {
      // Whoever creates the app hears of it; until then it is no unhandled rejection.
      options.engine.catch(() => {})
    }
    return super.forRoot(options)
  }

  readonly #engine: Engine
  readonly #check: BootCheck
  readonly #options: LeaseholdModuleOptions

  /** @internal */
  constructor(
    @Inject(Engine) engine: Engine,
    @Inject(BootCheck) check: BootCheck,
    @Inject(OPTIONS) options: LeaseholdModuleOptions,
  ) {
    super()
    this.#engine = engine
    this.#check = check
    this.#options = options
  }

  async onModuleInit(): Promise<void> {
    try {
      this.#look()
    } catch (error) {
      // An app that does not start is not shut down either, and an engine that follows would keep the process alive.
      await this.#close()
      throw error
    }
  }

  /** Tells what is wrong with what handlers ask for. No publication mends a call that cannot be meant. */
  #look(): void {
    const logger = new Logger('Leasehold')
    this.#check.unguarded().forEach((place) => logger.warn(place))
    const { senseless, missing } = this.#check.check()
    const mistakes = [...senseless, ...missing]
    if (mistakes.length === 0) {
      return
    }
    const without = "publish what is missing, or set `onUnknownKeys: 'warn'` to start without it"
    const mends = senseless.length === 0 ? `correct them, ${without}` : 'correct them'
    const error = new UnknownKeysError(mistakes, this.#engine.snapshot().revision, mends)
    if (senseless.length > 0 || this.#options.onUnknownKeys !== 'warn') {
      throw error
    }
    logger.warn(error.message)
  }

  /** By then requests are no longer served. */
  async onApplicationShutdown(): Promise<void> {
    await this.#close()
  }

  async #close(): Promise<void> {
    if (ours.has(this.#engine)) {
      await this.#engine.close()
    }
  }
}
