/** Guards: what handlers ask for, asked before they run. */

import { Inject, Injectable } from '@nestjs/common'
import type { CanActivate, ExecutionContext, InjectionToken } from '@nestjs/common'
import { ContextIdFactory, ModuleRef } from '@nestjs/core'
import { kindOf } from '../arguments'
import type { Tenant } from '../engine'
import { LEASEHOLD_USAGE, features, limits, transitions } from './decorators'
import type { From, LimitRequirement, Move, MoveProvider, TransitionOptions, UsageProvider } from './decorators'
import { Desk } from './entitlements'
import { Telemetry } from './telemetry'
import { TenantContext, handledOf } from './tenant'
import type { Handled } from './tenant'

/**
 * What the guards have in common: whose request it is, and a span around what they do.
 * @internal
 */
@Injectable()
export class Gate {
  readonly desk: Desk
  readonly #context: TenantContext
  readonly #telemetry: Telemetry
  readonly #modules: ModuleRef

  /** @internal */
  constructor(
    @Inject(Desk) desk: Desk,
    @Inject(TenantContext) context: TenantContext,
    @Inject(Telemetry) telemetry: Telemetry,
    @Inject(ModuleRef) modules: ModuleRef,
  ) {
    this.desk = desk
    this.#context = context
    this.#telemetry = telemetry
    this.#modules = modules
  }

  async pass<R>(
    guard: CanActivate,
    context: ExecutionContext,
    requirements: readonly R[],
    ask: (requirement: R, tenant: Tenant, handled: Handled) => Promise<void>,
  ): Promise<boolean> {
    if (requirements.length === 0) {
      return true
    }
    return this.#telemetry.within(`leasehold ${guard.constructor.name}`, {}, async () => {
      const tenant = await this.#tenant(context)
      const handled = handledOf(context)
      for (const requirement of requirements) {
        await ask(requirement, tenant, handled)
      }
      return true
    })
  }

  async #tenant(context: ExecutionContext): Promise<Tenant> {
    try {
      const tenant = await this.#context.of(context)
      this.#telemetry.tag(tenant.id)
      return tenant
    } catch (error) {
      this.desk.noTenant(error)
      throw error
    }
  }

  /** A provider of the app, whatever its scope: one that is scoped to requests is given this one. */
  async provider<P>(token: InjectionToken, context: ExecutionContext): Promise<P> {
    const request = requestOf(context)
    const id = ContextIdFactory.getByRequest(request)
    this.#modules.registerRequestByContextId(request, id)
    return this.#modules.resolve<P>(token as string, id, { strict: false })
  }
}

/** What is injected as `REQUEST`: of a message, what Nest makes of one. */
function requestOf(context: ExecutionContext): object {
  if (context.getType() !== 'rpc') {
    return context.getArgByIndex<object>(0)
  }
  const data = context.switchToRpc().getData<unknown>()
  const transport = context.switchToRpc().getContext<{ getPattern?: () => unknown }>()
  const pattern = transport.getPattern?.()
  return {
    pattern,
    data,
    context: transport,
    getPattern: () => pattern,
    getData: () => data,
    getContext: () => transport,
  }
}

/** Lets through where the features of `@FeatureFlag` are on. */
@Injectable()
export class FeatureFlagGuard implements CanActivate {
  readonly #gate: Gate

  /** @internal */
  constructor(@Inject(Gate) gate: Gate) {
    this.#gate = gate
  }

  canActivate(context: ExecutionContext): Promise<boolean> {
    return this.#gate.pass(this, context, features.at(context), async (requirement, tenant, handled) => {
      for (const feature of requirement.features) {
        handled.features[feature] = this.#gate.desk.requireFeature(
          tenant,
          feature,
          requirement.action,
          context.getType(),
        )
      }
    })
  }
}

/** Lets through where there is room in the limits of `@RequireLimit`. */
@Injectable()
export class LimitGuard implements CanActivate {
  readonly #gate: Gate

  /** @internal */
  constructor(@Inject(Gate) gate: Gate) {
    this.#gate = gate
  }

  canActivate(context: ExecutionContext): Promise<boolean> {
    return this.#gate.pass(this, context, limits.at(context), async (requirement, tenant, handled) => {
      const { feature } = requirement
      const used = await this.#used(requirement, tenant, context)
      const requested = await found(requirement.requested ?? 1, context)
      handled.limits[feature] = this.#gate.desk.requireLimit(tenant, feature, used, requested, context.getType())
    })
  }

  async #used({ feature, used, usage }: LimitRequirement, tenant: Tenant, context: ExecutionContext): Promise<number> {
    const amount =
      used === undefined
        ? await (
            await this.#gate.provider<UsageProvider>(usage ?? LEASEHOLD_USAGE, context)
          ).used(feature, tenant, context)
        : await found(used, context)
    if (!Number.isSafeInteger(amount) || amount < 0) {
      // Not what the client asks for, but what this app says of itself.
      const said = typeof amount === 'number' ? String(amount) : kindOf(amount)
      throw new TypeError(`the usage of \`${feature}\` is ${said}: say an integer from 0 to 2^53 − 1`)
    }
    return amount
  }
}

/** Lets through where the move of `@RequireTransition` is allowed. */
@Injectable()
export class TransitionGuard implements CanActivate {
  readonly #gate: Gate

  /** @internal */
  constructor(@Inject(Gate) gate: Gate) {
    this.#gate = gate
  }

  canActivate(context: ExecutionContext): Promise<boolean> {
    return this.#gate.pass(this, context, transitions.at(context), async ({ workflow, options }, tenant, handled) => {
      const move = await this.#move(workflow, options, tenant, context)
      handled.transitions[workflow] = this.#gate.desk.requireTransition(tenant, workflow, move, context.getType())
    })
  }

  async #move(workflow: string, options: TransitionOptions, tenant: Tenant, context: ExecutionContext): Promise<Move> {
    if (options.move !== undefined) {
      return (await this.#gate.provider<MoveProvider>(options.move, context)).moveOf(workflow, tenant, context)
    }
    const inputs = await found(options.context, context)
    const category = await found(options.category, context)
    return {
      from: await found(options.from, context),
      to: await found(options.to, context),
      ...(inputs === undefined ? {} : { context: inputs }),
      ...(category === undefined ? {} : { category }),
    }
  }
}

async function found<T>(from: From<T>, context: ExecutionContext): Promise<T> {
  return typeof from === 'function' ? (from as (context: ExecutionContext) => T | Promise<T>)(context) : from
}
