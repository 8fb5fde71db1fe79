/** Which tenant a request or message is for, and what was decided about it. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { Inject, Injectable, createParamDecorator } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { Allowed, Decision, LimitAnswer } from '../answers'
import { Engine } from '../engine'
import type { Tenant } from '../engine'
import { QuestionError } from '../errors'
import type { FeatureKey, WorkflowKey } from '../keys'
import { OPTIONS } from './options'
import type { LeaseholdModuleOptions, TenantExtractor } from './options'
import { refusal, tenantRequired, unknownTenant } from './problems'

/** The header by which a tenant is named. */
export const TENANT_HEADER = 'x-tenant-id'

/** What guards found out about a request or message. */
export interface Outcomes {
  /** Whom it is for, once that is known. */
  readonly tenant: Tenant | undefined
  /** Decisions of `FeatureFlagGuard`, by feature. */
  readonly features: Readonly<Record<string, Decision>>
  /** Answers to `LimitGuard`, by feature: what to warn of, and what to bill. */
  readonly limits: Readonly<Record<string, LimitAnswer>>
  /** Transitions that `TransitionGuard` let through, by workflow. */
  readonly transitions: Readonly<Record<string, Allowed>>
}

/** @internal */
export class Handled implements Outcomes {
  /** Asked of the extractor until it names somebody, and then never again, whoever wants to know. */
  id: Promise<string | undefined> | undefined
  tenant: Tenant | undefined
  /** Why there is no tenant, where somebody has looked. */
  missing: unknown
  readonly features = Object.create(null) as Record<string, Decision>
  readonly limits = Object.create(null) as Record<string, LimitAnswer>
  readonly transitions = Object.create(null) as Record<string, Allowed>
}

const handled = new WeakMap<object, Handled>()

/** @internal */
export function handledOf(context: ExecutionContext): Handled {
  const subject = subjectOf(context.getType(), context.getArgs())
  let found = handled.get(subject)
  if (found === undefined) {
    found = new Handled()
    handled.set(subject, found)
  }
  return found
}

/** What is made for one request or message alone: nothing that others have too, as the socket of a gateway is. */
function subjectOf(type: string, parts: unknown[]): object {
  const own: Record<string, unknown[]> = {
    http: [parts[0]],
    // The payload of a message may be anything, and its context is made for it alone.
    rpc: [parts[1], parts[0]],
    ws: [parts[1]],
    // The parent of a field may be kept from one request to the next.
    graphql: [parts[2]],
  }
  return own[type]?.find(isObject) ?? parts
}

/** What guards found out, by the execution context, the HTTP request, or the context of the message. */
export function outcomesOf(of: ExecutionContext | object): Outcomes {
  return 'getArgs' in of && 'getHandler' in of ? handledOf(of) : (handled.get(of) ?? new Handled())
}

/** @internal */
export const NOBODY_LOOKED =
  'no tenant is known here: ask while a request or message is handled, or within `TenantEntitlements.run`; a hybrid ' +
  'application connects its microservices with `inheritAppConfig: true`'

/** The tenant of the request or message, as a parameter of a handler: a `Tenant`. */
export const CurrentTenant: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext): Tenant => {
    const { tenant, missing } = handledOf(context)
    if (tenant === undefined) {
      throw missing ?? new Error(NOBODY_LOOKED)
    }
    return tenant
  },
)

/** What `LimitGuard` was answered about a limit, as a parameter of a handler: a `LimitAnswer`. */
export const LimitOutcome: (feature: FeatureKey<'limit'>) => ParameterDecorator = createParamDecorator(
  (feature: string, context: ExecutionContext): LimitAnswer | undefined => handledOf(context).limits[feature],
)

/** The transition that `TransitionGuard` let through, as a parameter of a handler: an `Allowed`. */
export const TransitionOutcome: (workflow: WorkflowKey) => ParameterDecorator = createParamDecorator(
  (workflow: string, context: ExecutionContext): Allowed | undefined => handledOf(context).transitions[workflow],
)

/**
 * The tenant that a request or message names itself. Of HTTP: the header `x-tenant-id`. Of messages: the same in the
 * headers or metadata of the transport, or else `tenantId` or `tenant_id` of the payload.
 *
 * It believes whoever sends it: behind a gateway that sets the header that is right, and elsewhere it is not.
 */
export const tenantFromHeader: TenantExtractor = (context) => {
  if (context.getType() === 'rpc') {
    return fromMessage(context.switchToRpc().getData(), context.switchToRpc().getContext())
  }
  const request: unknown = context.switchToHttp().getRequest()
  return isObject(request) ? textOf(entry(member(request, 'headers'))) : undefined
}

function fromMessage(data: unknown, transport: unknown): string | undefined {
  const message = called(transport, 'getMessage')
  const headers = [
    called(transport, 'getMetadata'), // TCP and Redis, since NestJS 12
    called(transport, 'getHeaders'), // NATS
    member(message, 'headers'), // Kafka
    member(member(message, 'properties'), 'headers'), // RabbitMQ
    member(member(called(transport, 'getPacket'), 'properties'), 'userProperties'), // MQTT 5
    transport, // gRPC, whose context is the metadata itself
  ]
  const named = [...headers.map(entry), member(data, 'tenantId'), member(data, 'tenant_id')]
  return named.map(textOf).find((id) => id !== undefined)
}

function entry(headers: unknown): unknown {
  return typeof member(headers, 'get') === 'function'
    ? called(headers, 'get', TENANT_HEADER)
    : member(headers, TENANT_HEADER)
}

function textOf(value: unknown): string | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value
  const text = Buffer.isBuffer(first) ? first.toString('utf8') : first
  return typeof text === 'string' && text !== '' ? text : undefined
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function member(of: unknown, name: string): unknown {
  return isObject(of) ? (of as Record<string, unknown>)[name] : undefined
}

function called(of: unknown, name: string, ...args: unknown[]): unknown {
  const method = member(of, name)
  return typeof method === 'function' ? (method as (...args: unknown[]) => unknown).apply(of, args) : undefined
}

/** @internal What surrounds a piece of work for a tenant. */
export interface Surroundings {
  /** `http`, `rpc`, or another type of execution context; `job` outside of them. */
  type: string
  tenant: Tenant | undefined
  /** Why there is none. */
  missing: unknown
}

/** @internal Finds tenants, and keeps them while they are worked for. */
@Injectable()
export class TenantContext {
  readonly #engine: Engine
  readonly #extract: TenantExtractor
  readonly #storage = new AsyncLocalStorage<Surroundings>()

  constructor(@Inject(Engine) engine: Engine, @Inject(OPTIONS) options: LeaseholdModuleOptions) {
    this.#engine = engine
    this.#extract = options.tenant ?? tenantFromHeader
  }

  get surroundings(): Surroundings | undefined {
    return this.#storage.getStore()
  }

  run<R>(surroundings: Surroundings, work: () => R): R {
    return this.#storage.run(surroundings, work)
  }

  /** The tenant of a request or message, or else a refusal. */
  async of(context: ExecutionContext): Promise<Tenant> {
    const found = handledOf(context)
    if (found.tenant === undefined) {
      try {
        found.id ??= Promise.resolve(context).then(this.#extract)
        const id = await found.id
        // What names nobody yet may name somebody once a later guard has looked.
        found.id = id === undefined ? undefined : found.id
        found.tenant = this.named(id, context.getType())
      } catch (error) {
        found.missing = error
        throw error
      }
    }
    return found.tenant
  }

  /** The tenant of an id, or else a refusal in the words of this type of context. */
  named(id: string | null | undefined, type: string): Tenant {
    if (id === undefined || id === null || id === '') {
      throw refusal(tenantRequired(), type)
    }
    try {
      return this.#engine.tenant(id)
    } catch (error) {
      throw error instanceof QuestionError ? refusal(unknownTenant(error), type, error) : error
    }
  }

  /**
   * What surrounds the handling of a request or message. That it has no tenant matters to nobody who does not ask for
   * one.
   */
  async around(context: ExecutionContext): Promise<Surroundings> {
    const type = context.getType()
    try {
      return { type, tenant: await this.of(context), missing: undefined }
    } catch (missing) {
      return { type, tenant: undefined, missing }
    }
  }
}
