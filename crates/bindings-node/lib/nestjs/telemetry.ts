/** Decisions, told to whoever watches: logs, spans and metrics. */

import { Inject, Injectable, Logger } from '@nestjs/common'
import type { LogLevel } from '@nestjs/common'
import type { Attributes, Counter, Histogram, MeterProvider, Span } from '@opentelemetry/api'
import { messageOf } from '../errors'
import { OPTIONS } from './options'
import type { LeaseholdModuleOptions } from './options'

type Api = typeof import('@opentelemetry/api')

/** A decision, as it is logged and counted. */
export interface Recorded {
  kind: 'feature' | 'limit' | 'transition' | 'tenant'
  /** The feature or workflow. */
  key?: string
  outcome: 'allow' | 'warn' | 'overage' | 'deny'
  reason: string
  /** Absent where the tenant is what is unknown. */
  tenant?: string
  revision?: number
}

interface Instruments {
  provider: MeterProvider
  decisions: Counter
  durations: Histogram
}

const NAME = 'leasehold'

/** @internal */
@Injectable()
export class Telemetry {
  readonly #logger = new Logger('Leasehold')
  readonly #granted: LogLevel | false
  readonly #refused: LogLevel | false
  readonly #tenantInMetrics: boolean
  readonly #api = loadApi()
  #instruments: Instruments | undefined

  constructor(@Inject(OPTIONS) { log = {}, telemetry = {} }: LeaseholdModuleOptions) {
    this.#granted = log.granted ?? 'debug'
    this.#refused = log.refused ?? 'log'
    this.#tenantInMetrics = telemetry.tenantInMetrics ?? true
  }

  /** Logs and counts a decision, and notes it in the current span. */
  record(decided: Recorded): void {
    const { kind, key, outcome, reason, tenant, revision } = decided
    const level = outcome === 'deny' ? this.#refused : this.#granted
    if (level !== false) {
      this.#logger[level](textOf(decided))
    }
    if (this.#api === undefined) {
      return
    }
    const counted: Attributes = {
      'leasehold.kind': kind,
      'leasehold.outcome': outcome,
      'leasehold.reason': reason,
      ...(key === undefined ? {} : { [kind === 'transition' ? 'leasehold.workflow' : 'leasehold.feature']: key }),
    }
    this.#metrics(this.#api).decisions.add(1, this.#measured(counted, tenant))
    this.#api.trace.getActiveSpan()?.addEvent('leasehold.decision', {
      ...counted,
      ...(tenant === undefined ? {} : { 'leasehold.tenant': tenant }),
      ...(revision === undefined ? {} : { 'leasehold.revision': revision }),
    })
  }

  /** Says of the current span for whom it works. */
  tag(tenant: string): void {
    this.#api?.trace.getActiveSpan()?.setAttribute('leasehold.tenant', tenant)
  }

  /** Starts a span; nothing where there is nobody to see it. */
  start(name: string, attributes: Attributes): Watched | undefined {
    return this.#api === undefined
      ? undefined
      : new Watched(this.#api, this.#api.trace.getTracer(NAME).startSpan(name, { attributes }))
  }

  /** Runs something in a span of its own. */
  async within<R>(name: string, attributes: Attributes, work: () => Promise<R>): Promise<R> {
    const span = this.start(name, attributes)
    if (span === undefined) {
      return work()
    }
    try {
      return await span.run(work)
    } catch (error) {
      span.failed(error)
      throw error
    } finally {
      span.end()
    }
  }

  /** Counts how long a handler took. */
  took(seconds: number, attributes: Attributes, tenant: string | undefined): void {
    if (this.#api !== undefined) {
      this.#metrics(this.#api).durations.record(seconds, this.#measured(attributes, tenant))
    }
  }

  #measured(attributes: Attributes, tenant: string | undefined): Attributes {
    return this.#tenantInMetrics && tenant !== undefined ? { ...attributes, 'leasehold.tenant': tenant } : attributes
  }

  /** Instruments stay with the provider that made them, and an SDK may be started after this was. */
  #metrics(api: Api): Instruments {
    const provider = api.metrics.getMeterProvider()
    if (this.#instruments?.provider !== provider) {
      const meter = provider.getMeter(NAME)
      this.#instruments = {
        provider,
        decisions: meter.createCounter('leasehold.decisions', { description: 'Decisions about tenants' }),
        durations: meter.createHistogram('leasehold.handler.duration', {
          description: 'How long handlers of requests and messages took',
          unit: 's',
        }),
      }
    }
    return this.#instruments
  }
}

/** @internal A span, and what runs in it. */
export class Watched {
  readonly #api: Api
  readonly #span: Span

  constructor(api: Api, span: Span) {
    this.#api = api
    this.#span = span
  }

  run<R>(work: () => R): R {
    return this.#api.context.with(this.#api.trace.setSpan(this.#api.context.active(), this.#span), work)
  }

  /** A refusal, as every answer below 500, is no fault of this service. */
  failed(error: unknown): void {
    const status = statusOf(error)
    if (status !== undefined && status < 500) {
      this.#span.setAttribute('error.type', String(status))
      return
    }
    this.#span.recordException(error instanceof Error ? error : messageOf(error))
    this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
  }

  end(): void {
    this.#span.end()
  }
}

/** The HTTP status of an exception of Nest's, or of a problem that travels in an exception of RPC. */
function statusOf(error: unknown): number | undefined {
  // Anything may be thrown, nothing too.
  const { getStatus, getError } = (error ?? {}) as { getStatus?: unknown; getError?: unknown }
  const answer = (of: unknown): unknown => (typeof of === 'function' ? (of.call(error) as unknown) : undefined)
  const said = answer(getStatus) ?? (answer(getError) as { status?: unknown } | null | undefined)?.status
  return typeof said === 'number' ? said : undefined
}

function textOf({ kind, key, outcome, reason, tenant, revision }: Recorded): string {
  const what = key === undefined ? kind : `${kind} \`${key}\``
  const whose = tenant === undefined ? '' : ` for tenant \`${tenant}\``
  return `${what}${whose}: ${outcome}, ${reason}${revision === undefined ? '' : ` (revision ${revision})`}`
}

function loadApi(): Api | undefined {
  try {
    return require('@opentelemetry/api') as Api
  } catch {
    return undefined
  }
}
