/** What surrounds handlers: the tenant for whom they work, and a span and a measurement that say so. */

import { Inject, Injectable } from '@nestjs/common'
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common'
import { Observable } from 'rxjs'
import { Engine } from '../engine'
import { Telemetry } from './telemetry'
import { TenantContext } from './tenant'

/** Makes the tenant known to what handlers call. The module puts it around all of them. */
@Injectable()
export class LeaseholdInterceptor implements NestInterceptor {
  readonly #engine: Engine
  readonly #context: TenantContext
  readonly #telemetry: Telemetry

  /** @internal */
  constructor(
    @Inject(Engine) engine: Engine,
    @Inject(TenantContext) context: TenantContext,
    @Inject(Telemetry) telemetry: Telemetry,
  ) {
    this.#engine = engine
    this.#context = context
    this.#telemetry = telemetry
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const surroundings = await this.#context.around(context)
    const handler = `${context.getClass().name}.${context.getHandler().name}`
    const tenant = surroundings.tenant?.id
    return new Observable((subscriber) => {
      const begun = performance.now()
      const attributes = { 'leasehold.handler': handler, 'leasehold.context': surroundings.type }
      if (tenant !== undefined) {
        this.#telemetry.tag(tenant)
      }
      const span = this.#telemetry.start(handler, {
        ...attributes,
        ...(tenant === undefined
          ? {}
          : { 'leasehold.tenant': tenant, 'leasehold.revision': this.#engine.snapshot().revision }),
      })
      let outcome = 'cancelled'
      // Whatever ends it: an end, an error, or a client that has gone.
      subscriber.add(() => {
        span?.end()
        const seconds = (performance.now() - begun) / 1000
        this.#telemetry.took(seconds, { ...attributes, 'leasehold.handler.outcome': outcome }, tenant)
      })
      const handle = () =>
        next.handle().subscribe({
          next: (value) => subscriber.next(value),
          error: (error: unknown) => {
            outcome = 'failed'
            span?.failed(error)
            subscriber.error(error)
          },
          complete: () => {
            outcome = 'completed'
            subscriber.complete()
          },
        })
      subscriber.add(this.#context.run(surroundings, () => (span === undefined ? handle() : span.run(handle))))
    })
  }
}
