/** What the tenant may do for whom a request or message is handled. */

import { Inject, Injectable } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { Action, Allowed, Decision, Entitlements, LimitAnswer } from '../answers'
import { Engine } from '../engine'
import type { Tenant } from '../engine'
import type { Context } from '../machine'
import { LeaseholdError } from '../errors'
import type { FeatureKey, WorkflowKey } from '../keys'
import type { Move } from './decorators'
import { featureOff, limitReached, problemOf, questionRefused, refusal } from './problems'
import type { Problem } from './problems'
import { Telemetry } from './telemetry'
import { NOBODY_LOOKED, TenantContext } from './tenant'

/**
 * Asks for tenants, tells whoever watches, and refuses.
 * @internal
 */
@Injectable()
export class Desk {
  readonly #engine: Engine
  readonly #telemetry: Telemetry

  /** @internal */
  constructor(@Inject(Engine) engine: Engine, @Inject(Telemetry) telemetry: Telemetry) {
    this.#engine = engine
    this.#telemetry = telemetry
  }

  isEnabled(tenant: Tenant, feature: string, action: Action): boolean {
    // Whoever is told of a refusal wants to know why.
    return this.#asked('feature', feature, tenant, () => tenant.isEnabled(feature, undefined, action))
      ? this.#granted(tenant, feature)
      : this.decide(tenant, feature, action).enabled
  }

  #granted(tenant: Tenant, key: string): true {
    const { revision } = this.#engine.snapshot()
    this.#telemetry.record({ kind: 'feature', key, outcome: 'allow', reason: 'granted', tenant: tenant.id, revision })
    return true
  }

  decide(tenant: Tenant, key: string, action: Action): Decision {
    const decision = this.#asked('feature', key, tenant, () => tenant.decide(key, undefined, action))
    const { enabled, reason, revision } = decision
    this.#telemetry.record({
      kind: 'feature',
      key,
      outcome: enabled ? 'allow' : 'deny',
      reason,
      tenant: tenant.id,
      revision,
    })
    return decision
  }

  limit(tenant: Tenant, key: string, used: number, requested: number): LimitAnswer {
    const answer = this.#asked('limit', key, tenant, () => tenant.checkLimit(key, used, requested))
    const { outcome, reason, revision } = answer
    this.#telemetry.record({ kind: 'limit', key, outcome, reason, tenant: tenant.id, revision })
    return answer
  }

  transition(tenant: Tenant, key: string, { from, to, context, category }: Move): Allowed {
    const allowed = this.#asked('transition', key, tenant, () =>
      tenant.checkTransition(key, from, to, context, category),
    )
    const { revision } = this.#engine.snapshot()
    this.#telemetry.record({
      kind: 'transition',
      key,
      outcome: 'allow',
      reason: 'granted',
      tenant: tenant.id,
      revision,
    })
    return allowed
  }

  requireFeature(tenant: Tenant, feature: string, action: Action, type: string): Decision {
    const decision = this.#orRefused({ feature }, type, () => this.decide(tenant, feature, action))
    if (!decision.enabled) {
      throw refusal(featureOff(feature, decision), type)
    }
    return decision
  }

  requireLimit(tenant: Tenant, feature: string, used: number, requested: number, type: string): LimitAnswer {
    const answer = this.#orRefused({ feature }, type, () => this.limit(tenant, feature, used, requested))
    if (answer.outcome === 'deny') {
      throw refusal(limitReached(feature, used, requested, answer), type)
    }
    return answer
  }

  requireTransition(tenant: Tenant, workflow: string, move: Move, type: string): Allowed {
    // A client may have sent anything in their place.
    const { from, to } = move as { from: unknown; to: unknown }
    const about = { workflow, ...(isShort(from) ? { from } : {}), ...(isShort(to) ? { to } : {}) }
    return this.#orRefused(about, type, () => this.transition(tenant, workflow, move))
  }

  /** That nobody says which tenant it is for, or one that there is not, is a decision too. */
  noTenant(error: unknown): void {
    const code = problemOf(error)?.code
    if (code !== undefined) {
      this.#telemetry.record({ kind: 'tenant', outcome: 'deny', reason: code })
    }
  }

  #orRefused<R>(about: Partial<Problem>, type: string, ask: () => R): R {
    try {
      return ask()
    } catch (error) {
      const problem = questionRefused(error, about)
      throw problem === undefined ? error : refusal(problem, type, error)
    }
  }

  /** A question that cannot be answered is refused: it counts, by its code. */
  #asked<R>(kind: 'feature' | 'limit' | 'transition', key: string, tenant: Tenant, ask: () => R): R {
    try {
      return ask()
    } catch (error) {
      if (error instanceof LeaseholdError) {
        this.#telemetry.record({ kind, key, outcome: 'deny', reason: error.code, tenant: tenant.id })
      }
      throw error
    }
  }
}

/**
 * What the tenant may do for whom a request or message is handled. One for the whole app: it looks up who that is when
 * it is asked, so what injects it need not be scoped to requests. Known from the moment on that interceptors run;
 * guards and filters of your own ask {@link TenantEntitlements.of}.
 */
@Injectable()
export class TenantEntitlements {
  readonly #desk: Desk
  readonly #context: TenantContext

  /** @internal */
  constructor(@Inject(Desk) desk: Desk, @Inject(TenantContext) context: TenantContext) {
    this.#desk = desk
    this.#context = context
  }

  /**
   * The tenant itself, for all other questions. They are neither logged nor counted.
   * @throws {EntitlementException} `tenant_required`, `unknown_tenant`; as an `RpcException` while a message is
   * handled.
   */
  get tenant(): Tenant {
    const { surroundings } = this.#context
    if (surroundings === undefined) {
      throw new Error(NOBODY_LOOKED)
    }
    if (surroundings.tenant === undefined) {
      this.#desk.noTenant(surroundings.missing)
      throw surroundings.missing
    }
    return surroundings.tenant
  }

  /** Its id; nothing where it is not known for whom this is. */
  get tenantId(): string | undefined {
    return this.#context.surroundings?.tenant?.id
  }

  /** The tenant of a request or message, before it is handled: for guards, interceptors and filters. */
  of(context: ExecutionContext): Promise<Tenant> {
    return this.#context.of(context)
  }

  /** Runs something for a tenant: jobs, commands, whatever no request or message stands behind. */
  run<R>(tenantId: string, work: () => R): R {
    return this.#context.run({ type: 'job', tenant: this.#context.named(tenantId, 'job'), missing: undefined }, work)
  }

  /** Whether a switch is on. */
  isEnabled(feature: FeatureKey<'switch'>, action: Action = 'use'): boolean {
    return this.#desk.isEnabled(this.tenant, feature, action)
  }

  /** A yes or a no about a feature of any kind, with its reason. */
  decide(feature: FeatureKey, action: Action = 'use'): Decision {
    return this.#desk.decide(this.tenant, feature, action)
  }

  /** The value of a value feature; null when it is off. */
  value<V = unknown>(feature: FeatureKey<'value'>): V | null {
    return this.tenant.value<V>(feature)
  }

  /** What a limit says to a request of so many more, when so many are in use already. */
  checkLimit(feature: FeatureKey<'limit'>, used: number, requested: number): LimitAnswer {
    return this.#desk.limit(this.tenant, feature, used, requested)
  }

  /**
   * Whether an item of a workflow may move.
   * @throws {TransitionError} All that stands against it.
   * @throws {QuestionError} It cannot move there at all.
   */
  checkTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed {
    return this.#desk.transition(this.tenant, workflow, moveOf(from, to, context, category))
  }

  /** Everything that the tenant may have. */
  entitlements(): Entitlements {
    return this.tenant.entitlements()
  }

  /**
   * Goes on only where a feature is on.
   * @throws {EntitlementException} `feature_off`; as an `RpcException` while a message is handled.
   */
  requireFeature(feature: FeatureKey, action: Action = 'use'): Decision {
    return this.#desk.requireFeature(this.tenant, feature, action, this.#type)
  }

  /**
   * Goes on only where there is room in a limit.
   * @throws {EntitlementException} `limit_reached`, `feature_off`; as an `RpcException` while a message is handled.
   */
  requireLimit(feature: FeatureKey<'limit'>, used: number, requested: number): LimitAnswer {
    return this.#desk.requireLimit(this.tenant, feature, used, requested, this.#type)
  }

  /**
   * Goes on only where an item of a workflow may move.
   * @throws {EntitlementException} `guard_failed`, `illegal_transition`; as an `RpcException` while a message is
   * handled.
   */
  requireTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed {
    return this.#desk.requireTransition(this.tenant, workflow, moveOf(from, to, context, category), this.#type)
  }

  get #type(): string {
    return this.#context.surroundings?.type ?? 'job'
  }
}

/** Ids of stages are shorter. */
const LONGEST_STAGE = 128

/** Whether it may be the id of a stage. */
function isShort(stage: unknown): stage is string {
  return typeof stage === 'string' && stage.length <= LONGEST_STAGE
}

function moveOf(from: string, to: string, context: Context | undefined, category: string | undefined): Move {
  return { from, to, ...(context === undefined ? {} : { context }), ...(category === undefined ? {} : { category }) }
}
