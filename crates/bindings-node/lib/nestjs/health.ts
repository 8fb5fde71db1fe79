/** How the engine is doing, for health checks. */

import { Inject, Injectable } from '@nestjs/common'
import type { FaultSeen, Freshness, Health } from '../answers'
import { Engine } from '../engine'

/** What a check found, as `@nestjs/terminus` wants it. */
export type LeaseholdHealth<Key extends string = string> = Record<Key, LeaseholdHealthState>

export interface LeaseholdHealthState {
  status: 'up' | 'down'
  /** The revision in force; absent when closed, as all below. */
  revision?: number
  freshness?: Freshness
  /** What was refused or failed since the last success; absent of an engine that does not follow, as all below. */
  faults?: readonly FaultSeen[]
  failures?: number
  persisted?: boolean
  last_contact_at?: Health['last_contact_at']
  /** What is wrong. */
  message?: string
}

/** When it is down. */
export interface LeaseholdHealthOptions {
  /**
   * Freshness at which it is down. None: an engine answers whatever becomes of HQ, and an app that is taken out of
   * service because HQ is down is down with it.
   */
  downWhen?: readonly Freshness[]
}

/**
 * Health of the engine. What `check` gives is a result of `@nestjs/terminus`, 11 and newer, of which it needs nothing:
 *
 * ```ts
 * return this.health.check([() => this.leasehold.check('leasehold')])
 * ```
 */
@Injectable()
export class LeaseholdHealthIndicator {
  readonly #engine: Engine

  /** @internal */
  constructor(@Inject(Engine) engine: Engine) {
    this.#engine = engine
  }

  check<const Key extends string = 'leasehold'>(
    key: Key = 'leasehold' as Key,
    { downWhen = [] }: LeaseholdHealthOptions = {},
  ): LeaseholdHealth<Key> {
    return { [key]: this.#state(downWhen) } as LeaseholdHealth<Key>
  }

  #state(downWhen: readonly Freshness[]): LeaseholdHealthState {
    if (this.#engine.closed) {
      return { status: 'down', message: 'the engine is closed' }
    }
    const snapshot = this.#engine.snapshot()
    const freshness = snapshot.freshness()
    const down = downWhen.includes(freshness)
    const health = this.#engine.health()
    return {
      status: down ? 'down' : 'up',
      revision: snapshot.revision,
      freshness,
      ...(health === undefined
        ? {}
        : {
            faults: health.faults,
            failures: health.failures,
            persisted: health.persisted,
            last_contact_at: health.last_contact_at,
          }),
      ...(down ? { message: `the snapshot is ${freshness}` } : {}),
    }
  }
}
