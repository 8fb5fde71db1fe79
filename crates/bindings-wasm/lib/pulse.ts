/** When answers may be other ones. Nothing here is public. */

import { kindOf } from './arguments'
import type { BaseEngine } from './base'
import { ArgumentError } from './errors'

/** Between two looks at the clock, which may be changed, or stand still while a computer sleeps. */
const LOOK_MS = 15_000
/** So many tenants are looked at. Of more, answers may be other ones at every look. */
const MOST_TENANTS = 100

/** @internal */
export class Pulse {
  #version = 0
  readonly #engine: BaseEngine
  readonly #listeners = new Set<{ listener: () => void }>()
  readonly #seen = () => this.#look()
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Whether it is known how long answers hold. */
  #isKnown = false
  /** In which time they do. */
  #from = -Infinity
  #until = Infinity

  constructor(engine: BaseEngine) {
    this.#engine = engine
  }

  /** Whoever compares versions without listening sees what began or ended as well. */
  get version(): number {
    if (!this.#engine.closed) {
      this.#renew(Date.now())
    }
    return this.#version
  }

  subscribe(listener: () => void): () => void {
    if (typeof listener !== 'function') {
      throw new ArgumentError(`\`listener\` is a function, not ${kindOf(listener)}`)
    }
    if (this.#engine.closed) {
      return () => undefined
    }
    // Who subscribes twice is called twice, and leaves twice.
    const mine = { listener }
    if (this.#listeners.size === 0) {
      // While nobody listens, nothing is looked at. What began or ended since the version was read makes another one.
      const now = Date.now()
      this.#renew(now)
      this.#wait(now)
      this.#page?.addEventListener('visibilitychange', this.#seen)
    }
    this.#listeners.add(mine)
    return () => {
      if (this.#listeners.delete(mine) && this.#listeners.size === 0) {
        this.#rest()
      }
    }
  }

  /** Answers may be other ones. */
  beat(): void {
    this.#version += 1
    this.#isKnown = false
    if (this.#listeners.size > 0) {
      const now = Date.now()
      this.#learn(now)
      this.#wait(now)
    }
    this.#tell()
  }

  end(): void {
    this.#listeners.clear()
    this.#rest()
  }

  get #page(): Document | undefined {
    return typeof document === 'undefined' ? undefined : document
  }

  #tell(): void {
    for (const mine of [...this.#listeners]) {
      try {
        // Whoever has left meanwhile is not called any more.
        if (this.#listeners.has(mine)) {
          mine.listener()
        }
      } catch (error) {
        // It is theirs, and others want to hear too.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  #rest(): void {
    clearTimeout(this.#timer)
    this.#page?.removeEventListener('visibilitychange', this.#seen)
  }

  #look(): void {
    const now = Date.now()
    if (this.#holds(now)) {
      this.#wait(now)
    } else {
      this.beat()
    }
  }

  /** Begins another version where answers hold no more. */
  #renew(now: number): void {
    if (!this.#isKnown) {
      this.#learn(now)
    } else if (!this.#holds(now)) {
      this.#version += 1
      this.#learn(now)
      if (this.#listeners.size > 0) {
        this.#wait(now)
        // Not in the middle of whatever asks.
        queueMicrotask(() => this.#tell())
      }
    }
  }

  /** Finds out how long answers hold. */
  #learn(now: number): void {
    this.#isKnown = true
    this.#from = -Infinity
    this.#until = Infinity
    const { latest } = this.#engine
    const expires = latest.about.expires_at
    if (expires !== null) {
      // What is stale was not before, which a clock that is put back comes to again.
      const at = Date.parse(expires)
      this.#cut(at <= now ? at : null, at <= now ? null : at)
    }
    const ids = latest.tenantIds()
    for (const id of ids.slice(0, MOST_TENANTS)) {
      const { from, until } = this.#engine.tenant(id).answerTable(now)
      this.#cut(from, until)
    }
    if (ids.length > MOST_TENANTS) {
      this.#cut(null, now + LOOK_MS)
    }
  }

  #cut(from: number | null, until: number | null): void {
    this.#from = Math.max(this.#from, from ?? -Infinity)
    this.#until = Math.min(this.#until, until ?? Infinity)
  }

  #holds(now: number): boolean {
    return now >= this.#from && now < this.#until
  }

  #wait(now: number): void {
    clearTimeout(this.#timer)
    // A timer may be over a little early.
    const ms = Math.min(Math.max(this.#until - now, 0) + 1, LOOK_MS)
    this.#timer = setTimeout(this.#seen, ms)
    // In Node, it must not keep the process.
    ;(this.#timer as { unref?: () => void }).unref?.()
  }
}
