/** Engines in browsers. */

import { BaseEngine } from './base'
import type { Tenant } from './base'
import { ArgumentError } from './errors'
import { Pulse } from './pulse'
import type { Snapshot } from './snapshot'

export { Tenant } from './base'
export type { EngineEvents } from './base'

/** Answers questions from the newest slice, and says when answers may be other ones. */
export class Engine extends BaseEngine {
  readonly #pulse = new Pulse(this)

  /**
   * A handle on one tenant, which follows swaps. Without an id, the tenant that the slice is about.
   * @throws {QuestionError} `unknown_tenant`, `not_in_slice`.
   */
  override tenant(id?: string): Tenant {
    return super.tenant(id ?? this.#own())
  }

  #own(): string {
    const [own, another] = this.open().tenantIds()
    if (own === undefined || another !== undefined) {
      throw new ArgumentError('this snapshot is not about one tenant: name one')
    }
    return own
  }

  /**
   * Calls back whenever answers may be other ones, until what is given back is called: after every update, when something
   * begins or ends (a trial at noon), when the page comes back to sight, and when the clock was changed.
   */
  subscribe(listener: () => void): () => void {
    return this.#pulse.subscribe(listener)
  }

  /** Grows whenever {@link subscribe} calls back: what was answered at one version holds until the next. */
  get version(): number {
    return this.#pulse.version
  }

  /** @internal */
  override replace(snapshot: Snapshot): Snapshot {
    const last = super.replace(snapshot)
    this.#pulse.beat()
    return last
  }

  /** Ends it: whatever is asked from now on is `closed`. */
  override async close(): Promise<void> {
    this.#pulse.end()
    return super.close()
  }
}
