/** When answers may be other ones. Nothing here is public. */

import type { BaseEngine } from './base'

/** Between two looks at the clock, which may be changed, or stand still while a computer sleeps. */
const LOOK_MS = 15_000

/** @internal */
export class Pulse {
  version = 0
  readonly #engine: BaseEngine
  readonly #listeners = new Set<() => void>()
  readonly #seen = () => this.#look()
  #timer: ReturnType<typeof setTimeout> | undefined
  /** In which time answers hold. */
  #from = -Infinity
  #until = Infinity

  constructor(engine: BaseEngine) {
    this.#engine = engine
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) {
      // While nobody listens, nothing is looked at.
      this.#arm()
      this.#page?.addEventListener('visibilitychange', this.#seen)
    }
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) {
        this.#rest()
      }
    }
  }

  /** Answers may be other ones. */
  beat(): void {
    this.version += 1
    if (this.#listeners.size > 0) {
      this.#arm()
    }
    for (const listener of [...this.#listeners]) {
      try {
        listener()
      } catch (error) {
        // It is theirs, and others want to hear too.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  end(): void {
    this.#listeners.clear()
    this.#rest()
  }

  get #page(): Document | undefined {
    return typeof document === 'undefined' ? undefined : document
  }

  #rest(): void {
    clearTimeout(this.#timer)
    this.#page?.removeEventListener('visibilitychange', this.#seen)
  }

  #look(): void {
    const now = Date.now()
    if (now < this.#from || now >= this.#until) {
      this.beat()
    } else {
      this.#wait(now)
    }
  }

  #arm(): void {
    const now = Date.now()
    this.#from = -Infinity
    this.#until = Infinity
    if (!this.#engine.closed) {
      const { latest } = this.#engine
      const ends = latest.about.expires_at
      this.#holds(undefined, ends !== null && Date.parse(ends) > now ? ends : undefined)
      for (const id of latest.tenantIds().slice(0, 100)) {
        const { from, until } = this.#engine.tenant(id).evaluateAll(now)
        this.#holds(from ?? undefined, until ?? undefined)
      }
    }
    this.#wait(now)
  }

  #holds(from: string | undefined, until: string | undefined): void {
    this.#from = Math.max(this.#from, from === undefined ? -Infinity : Date.parse(from))
    this.#until = Math.min(this.#until, until === undefined ? Infinity : Date.parse(until))
  }

  #wait(now: number): void {
    clearTimeout(this.#timer)
    const timer: { unref?: () => void } = (this.#timer = setTimeout(
      () => this.#look(),
      // A timer may be over a little early.
      Math.min(Math.max(this.#until - now, 0) + 1, LOOK_MS),
    )) as never
    timer.unref?.()
  }
}
