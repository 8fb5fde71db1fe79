/** What is answered to those who may not: RFC 9457 problem documents with stable codes. */

import { STATUS_CODES } from 'node:http'
import { Catch, HttpException, Inject } from '@nestjs/common'
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import { throwError } from 'rxjs'
import type { Decision, LimitAnswer } from '../answers'
import { ArgumentError, LeaseholdError, QuestionError, TransitionError } from '../errors'
import type { Blocker } from '../errors'

/** A problem document. Programs go by `code` and `reason`; `detail` is for people. */
export interface Problem {
  /** `urn:leasehold:problem:` and the code. */
  type: string
  /** The status in words. */
  title: string
  status: number
  /**
   * `tenant_required` (400); `unknown_tenant`, `feature_off`, `limit_reached` (403); `guard_failed` (403 where every
   * way lacks a role, else 409), `illegal_transition` (409), `inactive_template` (403), `unknown_stage` (400);
   * `unknown_feature`, `wrong_kind` and `unknown_workflow` (403) for what the revision in force does not have;
   * `amount_out_of_range` and `invalid_argument` (400) for what a request asks for and cannot mean.
   */
  code: string
  detail: string
  /** Why the feature is off, or the limit reached. */
  reason?: string
  feature?: string
  /** The kind of the strictest block, where the tenant's access is what is too low. */
  block?: string
  /** All that the engine answered about the limit. */
  limit?: LimitAnswer
  workflow?: string
  from?: string
  to?: string
  /** All that stands against a transition. */
  blockers?: readonly Blocker[]
  /** The revision that decided. */
  revision?: number
}

/**
 * A refusal. Filters of your own see an `HttpException` whose response is the {@link Problem}; in microservices the
 * same document travels in an `RpcException`.
 */
export class EntitlementException extends HttpException {
  readonly problem: Problem

  constructor(problem: Problem, options?: { cause?: unknown }) {
    super({ ...problem }, problem.status, options)
    this.name = 'EntitlementException'
    this.message = problem.detail
    this.problem = problem
  }

  get code(): string {
    return this.problem.code
  }
}

/**
 * A refusal as the type of context wants it.
 * @internal
 */
export function refusal(problem: Problem, type: string, cause?: unknown): Error {
  const RpcException = type === 'rpc' ? rpcException() : undefined
  return RpcException === undefined ? new EntitlementException(problem, { cause }) : new RpcException(problem)
}

/** The problem of a refusal, whichever class it has. @internal */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof EntitlementException) {
    return error.problem
  }
  const RpcException = rpcException()
  const said = RpcException !== undefined && error instanceof RpcException ? error.getError() : undefined
  return typeof said === 'object' && said !== null && 'code' in said && 'type' in said ? (said as Problem) : undefined
}

type RpcExceptionClass = new (error: object) => Error & { getError(): unknown }

let loaded: { RpcException?: RpcExceptionClass } | undefined

/** Whoever handles messages has the package, and whoever does not need not install it. */
function rpcException(): RpcExceptionClass | undefined {
  if (loaded === undefined) {
    try {
      loaded = require('@nestjs/microservices') as { RpcException: RpcExceptionClass }
    } catch {
      loaded = {}
    }
  }
  return loaded.RpcException
}

function problem(status: number, code: string, detail: string, more: Partial<Problem> = {}): Problem {
  return {
    type: `urn:leasehold:problem:${code}`,
    title: STATUS_CODES[status] ?? 'Problem',
    status,
    code,
    detail,
    ...more,
  }
}

/** @internal */
export function tenantRequired(): Problem {
  return problem(
    400,
    'tenant_required',
    'nothing says which tenant this is for: send the header `x-tenant-id`, or what else this service goes by',
  )
}

/** @internal */
export function unknownTenant(error: QuestionError): Problem {
  return problem(403, error.code, error.message)
}

const REASONS: Readonly<Record<string, string>> = {
  stale: 'what is known of it is out of date',
  killed: 'it is off for everybody at the moment',
  blocked: 'the access of the tenant is too low',
  revoked: 'it was taken from this tenant',
  not_granted: 'nothing that the tenant has includes it',
  switched_off: 'it is switched off for this tenant',
  prerequisite: 'a feature that it requires is off',
  preference: 'the tenant has switched it off',
}

/** @internal */
export function featureOff(feature: string, decision: Decision): Problem {
  const { reason, block, revision } = decision
  const detail = `\`${feature}\` is off: ${REASONS[reason] ?? reason}`
  return problem(403, 'feature_off', detail, { feature, reason, ...(block === null ? {} : { block }), revision })
}

/** @internal */
export function limitReached(feature: string, used: number, requested: number, limit: LimitAnswer): Problem {
  if (limit.reason !== 'limit_reached') {
    return { ...featureOff(feature, { ...limit, enabled: false }), limit }
  }
  const detail = `\`${feature}\` allows ${limit.limit}: in use are ${used}, asked for is ${requested} more`
  return problem(403, 'limit_reached', detail, { feature, reason: limit.reason, limit, revision: limit.revision })
}

/**
 * What an error says to whoever made the request; nothing where it is none of their business.
 * @internal
 */
export function questionRefused(error: unknown, more: Partial<Problem>): Problem | undefined {
  if (!(error instanceof QuestionError || error instanceof ArgumentError)) {
    return undefined
  }
  const { code, message } = error
  const blockers = error instanceof TransitionError ? { blockers: error.blockers } : {}
  return problem(statusOf(error), code, message, { ...more, ...blockers })
}

function statusOf(error: LeaseholdError): number {
  switch (error.code) {
    case 'guard_failed':
      return error instanceof TransitionError && lacksRoles(error.blockers) ? 403 : 409
    case 'illegal_transition':
      return 409
    case 'invalid_argument':
    case 'amount_out_of_range':
    case 'unknown_stage':
      return 400
    default:
      return 403
  }
}

/** Whether every transition lacks a role: the item could move, with somebody else. */
function lacksRoles(blockers: readonly Blocker[]): boolean {
  const lacking = new Set(blockers.filter(({ code }) => code === 'role_required').map(({ transition }) => transition))
  return blockers.every(({ transition }) => lacking.has(transition))
}

/** Answers refusals as `application/problem+json`. */
@Catch(EntitlementException)
export class ProblemFilter implements ExceptionFilter<EntitlementException> {
  readonly #host: HttpAdapterHost

  /** @internal */
  constructor(@Inject(HttpAdapterHost) host: HttpAdapterHost) {
    this.#host = host
  }

  catch(exception: EntitlementException, host: ArgumentsHost): unknown {
    switch (host.getType()) {
      case 'http': {
        const { httpAdapter } = this.#host
        const response: unknown = host.switchToHttp().getResponse()
        if (httpAdapter.isHeadersSent(response)) {
          return httpAdapter.end(response)
        }
        httpAdapter.setHeader(response, 'Content-Type', 'application/problem+json')
        // As text: adapters make `application/json` of errors that are objects.
        return httpAdapter.reply(response, JSON.stringify(exception.problem), exception.problem.status)
      }
      case 'rpc':
        return throwError(() => exception.problem)
      default:
        // GraphQL has its own way to write errors down.
        return exception
    }
  }
}
