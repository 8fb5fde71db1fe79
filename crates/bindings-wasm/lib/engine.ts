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
  /** The one tenant that what answers is about, at this count of swaps. */
  #own = { swaps: -1, id: '' }

  /**
   * A handle on one tenant, which follows swaps. Without an id, the tenant that the slice is about.
   * @throws {QuestionError} `unknown_tenant`, `not_in_slice`.
   */
  override tenant(id?: string): Tenant {
    return super.tenant(id === undefined ? this.#ownId() : id)
  }

  #ownId(): string {
    const answering = this.open()
    if (this.#own.swaps !== this.swaps) {
      const [id, another] = answering.tenantIds()
      if (id === undefined || another !== undefined) {
        throw new ArgumentError('this snapshot is not about one tenant: name one')
      }
      this.#own = { swaps: this.swaps, id }
    }
    return this.#own.id
  }

  /**
   * Calls back whenever answers may be other ones, until what is given back is called: after every update, and when
   * something begins or ends (a trial at noon), also where the page was out of sight then or the clock was changed.
   */
  subscribe(listener: () => void): () => void {
    return this.#pulse.subscribe(listener)
  }

  /** Grows with all that {@link subscribe} calls back for: what was answered at one version holds until the next. */
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
