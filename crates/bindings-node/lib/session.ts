/** What providers for OpenFeature share, whichever SDK they are for: an engine, and what is told of it. */

import type { Changes } from './answers'
import { Engine } from './engine'
import { ArgumentError, ClosedError } from './errors'

/** An engine, the promise of one, or what makes one. */
export type EngineSource = Engine | Promise<Engine> | (() => Engine | Promise<Engine>)

/** Who hears of it: each SDK has an emitter of its own. The events are named as in the specification of OpenFeature. */
export interface Events {
  emit(
    event: 'PROVIDER_READY' | 'PROVIDER_ERROR' | 'PROVIDER_STALE' | 'PROVIDER_CONFIGURATION_CHANGED',
    told: { message?: string; flagsChanged?: string[]; metadata?: { revision: number } },
  ): void
}

/**
 * Listens to an engine, until what is given back is called: tells of flags that are others, or of nothing where only the
 * snapshot is another one. Where it names no flags, any may be others.
 */
export type Listen = (engine: Engine, tell: (changed?: { flagsChanged?: string[] }) => void) => () => void

/** The longest that a timer waits, in milliseconds. */
const LONGEST_WAIT = 2 ** 31 - 1

/** An engine for as long as a provider uses it, and what is told of it. */
export class Session {
  readonly engine: Engine
  readonly #events: Events
  readonly #made: boolean
  readonly #unsubscribe: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #stale = false
  #ended = false

  private constructor(engine: Engine, events: Events, made: boolean, listen: Listen) {
    this.engine = engine
    this.#events = events
    this.#made = made
    this.#unsubscribe = listen(engine, (changed) => this.#heard(changed))
    this.sayAgain()
  }

  static async open(source: EngineSource, events: Events, listen: Listen = toChanges): Promise<Session> {
    const made = typeof source === 'function'
    const engine = await (made ? source() : source)
    if (!(engine instanceof Engine)) {
      throw new ArgumentError(`the provider was to have an \`Engine\`, and got something of type ${typeof engine}`)
    }
    engine.open()
    return new Session(engine, events, made, listen)
  }

  async close(): Promise<void> {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#unsubscribe()
    if (this.#made) {
      await this.engine.close()
    }
  }

  /** The SDK says by itself that the provider is ready, whatever it was before. What is stale is said behind it. */
  sayAgain(): void {
    this.#stale = false
    setTimeout(() => this.#look(), 0)
  }

  /** Takes note of how fresh an answer was. */
  saw(stale: boolean): void {
    if (stale !== this.#stale) {
      this.#look()
    }
  }

  /** Tells of it once: an engine that was closed does not open again. */
  failed(error: ClosedError): void {
    if (!this.#ended) {
      this.#ended = true
      clearTimeout(this.#timer)
      this.#events.emit('PROVIDER_ERROR', { message: error.message })
    }
  }

  #heard(changed: { flagsChanged?: string[] } | undefined): void {
    if (changed !== undefined) {
      const { revision } = this.engine.open()
      this.#events.emit('PROVIDER_CONFIGURATION_CHANGED', { ...changed, metadata: { revision } })
    }
    this.#look()
  }

  /** Tells of freshness where it is another one than before, and looks again when that may be. */
  #look(): void {
    clearTimeout(this.#timer)
    if (this.#ended) {
      return
    }
    if (this.engine.closed) {
      this.failed(new ClosedError())
      return
    }
    const snapshot = this.engine.open()
    const stale = snapshot.freshness() === 'stale'
    if (stale !== this.#stale) {
      this.#stale = stale
      const metadata = { revision: snapshot.revision }
      if (stale) {
        this.#events.emit('PROVIDER_STALE', { message: 'the head of the snapshot has expired', metadata })
      } else {
        this.#events.emit('PROVIDER_READY', { message: 'the snapshot is fresh again', metadata })
      }
    }
    const ends = snapshot.about.expires_at
    if (!stale && ends !== null) {
      const wait = Math.min(Math.max(Date.parse(ends) - Date.now(), 1), LONGEST_WAIT)
      this.#timer = idle(setTimeout(() => this.#look(), wait))
    }
  }
}

/** Hears of new snapshots that give any tenant other answers. */
function toChanges(engine: Engine, tell: (changed: { flagsChanged?: string[] }) => void): () => void {
  return engine.on('change', ({ added, removed, groups }: Changes) => {
    const flags = new Set(groups.flatMap(({ features }) => features))
    // Where tenants came or went, all flags of theirs are others.
    tell(added.length + removed.length === 0 ? { flagsChanged: [...flags].sort() } : {})
  })
}

/** A timer that keeps no process alive, where there is such a thing. */
function idle(timer: ReturnType<typeof setTimeout>): ReturnType<typeof setTimeout> {
  ;(timer as { unref?: () => void }).unref?.()
  return timer
}
