/** Carries bytes and timers for the engine's follower. What they mean, the follower decides. */

import type { Changes, FaultSeen, Health, Trust } from '../answers'
import { answered, asked, trustText } from '../arguments'
import { Engine } from '../engine'
import { SnapshotError, TimedOutError, told } from '../errors'
import { native } from '../native'
import type { NativeAction, NativeEvent, NativeFollower } from '../native'
import { Snapshot } from '../snapshot'
import { Folder } from './folder'
import { HttpSource } from './http'
import type { Hearing, HttpOptions } from './http'
import type { Source } from './source'

/** What an engine follows, and how. */
export interface FollowOptions extends Partial<HttpOptions> {
  /** In place of `url`: a directory that a publisher writes. */
  directory?: string
  /** In place of `url`: a source of your own. */
  source?: Source
  /** Whom to believe: issuer, environment, stream and root keys, as an object or JSON text. From your configuration. */
  trust: Trust | string
  /** The stream, where `trust` names none or another one: a region, such as `GCC-OM`. */
  stream?: string
  /** The id of this engine: with it, HQ knows what it has in force, and it may try staged definitions. */
  engineId?: string
  /** A folder of its own for what is in force, so that the next start needs nobody. */
  keep?: string
  /** A pack that came with the program, for a first start without HQ. */
  pack?: Uint8Array
  /** Between two questions for the head where nobody notifies, in milliseconds: 30,000. */
  pollMs?: number
  /** After the first failed question, in milliseconds: 1,000. Doubles with every further one. */
  backoffMinMs?: number
  /** After many of them, in milliseconds: 300,000. */
  backoffMaxMs?: number
  /** Until HQ is told again what is in force, in milliseconds: 60,000. */
  reportMs?: number
}

/** @internal */
export class Following {
  readonly #follower: NativeFollower
  readonly #source: Source
  readonly #folder: Folder | undefined
  readonly #stream: string
  #engine: Engine | undefined
  #snapshot: Snapshot | undefined
  #timer: NodeJS.Timeout | undefined
  /** What happens is handled one after another. */
  #work: Promise<void> = Promise.resolve()
  #notified = false
  #stopped = false
  #seen = new Map<string, number>()
  readonly #swapped = new Set<() => void>()

  constructor(options: FollowOptions) {
    const { trust, engineId, pollMs, backoffMinMs, backoffMaxMs, reportMs } = options
    const given = { pollMs, backoffMinMs, backoffMaxMs, reportMs }
    const settings = Object.fromEntries(Object.entries(given).filter(([, ms]) => ms !== undefined))
    this.#follower = asked(
      () => new native.NativeFollower(trustText(trust, options.stream), engineId, undefined, settings),
    )
    this.#stream = this.#follower.stream()
    this.#folder = options.keep === undefined ? undefined : new Folder(options.keep)
    this.#source = sourceOf(options, this.#stream)
  }

  /** Begins with what was kept, with a pack, and with what the source has; fails where that comes to nothing. */
  async begin(pack: Uint8Array | undefined): Promise<Engine> {
    try {
      await this.restore()
      await this.#open(pack)
      if (this.#engine === undefined) {
        // Of a large fleet it is one answer in place of thousands.
        await this.#open(await this.#source.pack?.(this.#stream))
      }
      await this.#run({ type: 'started' })
      if (this.#engine === undefined) {
        throw this.nothing()
      }
    } catch (error) {
      await this.close()
      throw error
    }
    this.#source.listen?.(() => this.#notify())
    return this.#engine
  }

  /** Begins with what was kept, and with nothing else. */
  async restore(): Promise<Engine | undefined> {
    if (this.#folder !== undefined) {
      const { head, seen, contents } = await this.#folder.kept(this.#stream)
      await this.#carry(await this.#follower.restore(head, seen, contents, Date.now()))
      if (this.#engine !== undefined) {
        // What could not be used may be of use to whoever mends the configuration.
        await this.#folder.sweep(new Set(this.#follower.contents()))
      }
    }
    return this.#engine
  }

  /** Why there is nothing to answer from. What is wrong with something says more than that something is not there. */
  nothing(): SnapshotError {
    const faults = [...this.health(Date.now()).faults]
    const telling = (fault: FaultSeen) => `${fault.code === 'unreachable' ? 0 : 1}${fault.at}`
    faults.sort((a, b) => (telling(a) < telling(b) ? 1 : -1))
    const [fault] = faults
    return fault === undefined
      ? new SnapshotError('unreachable', 'head: no source has a snapshot', 'download', 'head')
      : new SnapshotError(fault.code, `${fault.item}: ${fault.message}`, fault.stage, fault.item)
  }

  async #open(pack: Uint8Array | undefined): Promise<void> {
    if (pack !== undefined) {
      // One that is older than what was kept, or of no use, changes nothing: the source is asked either way.
      const actions = await this.#follower.open(pack, Date.now()).catch(() => [])
      await this.#carry(actions)
    }
  }

  /** Whether the source tells of news, where it is one that can. */
  get hearing(): Hearing | undefined {
    return this.#source instanceof HttpSource ? this.#source.hearing : undefined
  }

  health(now: number): Health {
    return answered(() => this.#follower.health(now))
  }

  async waitFor(revision: number, timeoutMs: number): Promise<number> {
    const inForce = () => this.#snapshot?.revision ?? 0
    if (inForce() >= revision) {
      return inForce()
    }
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.#swapped.delete(look)
      }
      const look = () => {
        if (inForce() >= revision || this.#stopped) {
          end()
          if (this.#stopped) {
            reject(new TimedOutError(`revision ${revision} will not come: the engine is closed`))
          } else {
            resolve(inForce())
          }
        }
      }
      const timer = setTimeout(() => {
        end()
        const message = `revision ${revision} did not come in time: revision ${inForce()} is in force, and \`health\` says why`
        reject(new TimedOutError(message))
      }, timeoutMs)
      this.#swapped.add(look)
    })
  }

  async close(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#source.close?.()
    this.#swapped.forEach((look) => look())
    // Nothing is written any more once this is over.
    await this.#work
  }

  #notify(): void {
    // Of many notifications while one is looked into, one is enough.
    if (!this.#notified) {
      this.#notified = true
      this.#happen({ type: 'notified' })
    }
  }

  #happen(event: NativeEvent): void {
    this.#work = this.#work.then(async () => {
      if (event.type === 'notified') {
        this.#notified = false
      }
      if (!this.#stopped) {
        await this.#run(event)
      }
    })
  }

  async #run(event: NativeEvent): Promise<void> {
    await this.#carry(await this.#handle(event))
    this.#tellFaults()
  }

  async #handle(event: NativeEvent): Promise<NativeAction[]> {
    try {
      return await this.#follower.handle(event, Date.now(), Math.floor(Math.random() * 2 ** 53))
    } catch (thrown) {
      // A mistake in the engine, which costs this one event: the next timer asks again.
      const error = told(thrown)
      process.emitWarning(error.message, { code: error.code })
      this.#wait(30_000, 0)
      return []
    }
  }

  /** Does what is to be done, and tells what came of it, until nothing is left. */
  async #carry(actions: NativeAction[]): Promise<void> {
    const todo = [...actions]
    for (let action = todo.shift(); action !== undefined && !this.#stopped; action = todo.shift()) {
      const event = await this.#do(action)
      if (event !== undefined) {
        todo.push(...(await this.#handle(event)))
      }
    }
  }

  async #do(action: NativeAction): Promise<NativeEvent | undefined> {
    const { type, hash = '', length = 0, number = 0, document = new Uint8Array() } = action
    switch (type) {
      case 'fetch_head':
        return this.#source.head(this.#stream, action.hash ?? undefined).then(
          (head) => (head === undefined ? { type: 'not_modified' } : { type: 'head', document: head }),
          (error: unknown) => ({ type: 'head_failed', why: reason(error) }),
        )
      case 'fetch_chunk':
        // After one that did not come, the others of its head are asked for another time.
        if (!this.#follower.waitsFor(hash)) {
          return undefined
        }
        return this.#source.content({ hash, length }).then(
          (content) =>
            content === undefined
              ? { type: 'chunk_missing', hash }
              : { type: 'chunk', hash, encoding: content.encoding, document: content.bytes },
          (error: unknown) => ({ type: 'chunk_failed', hash, why: reason(error) }),
        )
      case 'wait':
        this.#wait(action.ms ?? 0, number)
        return undefined
      case 'swap':
        await this.#swap()
        return undefined
      case 'persist':
        if (this.#folder === undefined) {
          return { type: 'not_kept', number }
        }
        return this.#folder
          .persist(this.#stream, { head: document, contents: action.chunks ?? [], obsolete: action.obsolete ?? [] })
          .then(
            () => ({ type: 'persisted', number }),
            (error: unknown) => ({ type: 'not_persisted', number, why: reason(error) }),
          )
      case 'persist_seen':
        return this.#folder?.persistSeen(this.#stream, document).then(
          () => undefined,
          (error: unknown) => ({ type: 'seen_not_persisted', why: reason(error) }),
        )
      case 'report':
        this.#source.report?.(JSON.parse(action.report ?? '{}') as object)
        return undefined
      default:
        return undefined
    }
  }

  #wait(ms: number, timer: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) {
      this.#timer = setTimeout(() => this.#happen({ type: 'timer', number: timer }), ms)
    }
  }

  async #swap(): Promise<void> {
    const inner = this.#follower.snapshot()
    if (inner === null) {
      return
    }
    const next = new Snapshot(inner)
    this.#snapshot = next
    if (this.#engine === undefined) {
      this.#engine = new Engine(next)
      return
    }
    if (this.#engine.closed) {
      return
    }
    const last = this.#engine.replace(next)
    this.#swapped.forEach((look) => look())
    if (this.#engine.isHeard('change')) {
      this.#engine.tellChanges(JSON.parse(await next.inner.changesLater(last.inner, Date.now())) as Changes)
    }
  }

  #tellFaults(): void {
    if (this.#engine?.isHeard('fault') !== true) {
      return
    }
    const seen = new Map<string, number>()
    for (const fault of this.health(Date.now()).faults) {
      seen.set(fault.code, fault.count)
      if (fault.count > (this.#seen.get(fault.code) ?? 0)) {
        this.#engine.tell('fault', fault)
      }
    }
    this.#seen = seen
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function sourceOf(options: FollowOptions, stream: string): Source {
  const { url, token, directory, source } = options
  if (source !== undefined) {
    return source
  }
  if (directory !== undefined) {
    return new Folder(directory)
  }
  return new HttpSource({ ...options, url: url ?? '', token: token ?? '' }, stream, options.engineId)
}
