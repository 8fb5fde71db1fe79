/** Carries bytes and timers for the engine's follower. What they mean, the follower decides. */

import type { Changes, FaultSeen, Health } from '../answers'
import { answered, asked, bytes, given, milliseconds, object, shown } from '../arguments'
import type { BaseEngine } from '../base'
import { ArgumentError, ClosedError, SnapshotError, TimedOutError, messageOf, told } from '../errors'
import { native } from '../native'
import type { NativeAction, NativeEvent, NativeFollower } from '../native'
import { Snapshot } from '../snapshot'
import { warn, withOptions } from './platform'
import type { FollowOptions } from './platform'
import type { Content, Hearing, Keep, Kept, Source } from './source'

/** Longest wait of a timer: a longer one is over at once. */
const LONGEST_WAIT = 2 ** 31 - 1
/** For an answer of a source that has no patience of its own, in milliseconds. */
const LONGEST_ANSWER = 180_000
/** After a mistake in the engine, until it asks again, in milliseconds. */
const AFTER_A_MISTAKE = 30_000

/** @internal */
export class Following<E extends BaseEngine> {
  readonly #Engine: new (snapshot: Snapshot) => E
  readonly #follower: NativeFollower
  readonly #source: Source | undefined
  readonly #keep: Keep | undefined
  readonly #given: Kept | undefined
  readonly #pack: Uint8Array | undefined
  readonly #startsAlone: boolean
  readonly #stream: string
  /** Why the source does not call back, where it could not be listened to. */
  #deaf: Hearing | undefined
  #engine: E | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** What happens is handled one after another. */
  #work: Promise<void> = Promise.resolve()
  #notified = false
  #stopped = false
  /** Ends whatever a source is asked for. */
  #stop = (): void => undefined
  readonly #ended: Promise<never>
  /** How often each fault was seen when faults were looked at last. */
  #seen = new Map<string, number>()
  /** Who waits, and for which revision. */
  readonly #awaited = new Map<() => void, number>()

  constructor(Engine: new (snapshot: Snapshot) => E, options: FollowOptions) {
    this.#Engine = Engine
    const said = given('options', () => ({ ...object('options', options) }))
    const settings: Record<string, number> = {}
    for (const name of ['pollMs', 'backoffMinMs', 'backoffMaxMs', 'reportMs'] as const) {
      if (said[name] !== undefined) {
        settings[name] = milliseconds(name, said[name])
      }
    }
    const { trust, engineId, tenant, usual, keep, given: kept, pack, startsAlone, source } = withOptions(said)
    this.#follower = asked(() => new native.NativeFollower(trust, engineId, tenant, { ...usual, ...settings }))
    this.#stream = asked(() => this.#follower.stream())
    this.#keep = keep
    this.#given = kept
    this.#pack = pack
    this.#startsAlone = startsAlone
    this.#source = source(this.#stream)
    this.#ended = new Promise((_, reject) => {
      this.#stop = () => reject(new ClosedError())
    })
    // Where nothing is under way, nobody waits for it.
    this.#ended.catch(() => undefined)
  }

  /**
   * Begins with what was kept, with a pack, and with what the source has; fails where that comes to nothing. Where it starts
   * alone and there is something already, the source is not waited for.
   */
  async begin(): Promise<E> {
    let isAsked = false
    try {
      await this.#alone(async () => {
        await this.#restore()
        if (this.#engine !== undefined) {
          // What could not be used may be of use to whoever mends the configuration. Room is no reason not to start.
          const sweep = async () => this.#keep?.sweep(new Set(this.#follower.contents()))
          await sweep().catch(() => undefined)
        }
        await this.#open(this.#pack)
        if (this.#engine === undefined) {
          // Of a large fleet it is one answer in place of thousands.
          await this.#open(await this.#ask(async () => this.#source?.pack?.(this.#stream)).catch(() => undefined))
        }
        if (this.#source !== undefined && (this.#engine === undefined || !this.#startsAlone)) {
          await this.#run({ type: 'started' })
          isAsked = true
        }
      })
      if (this.#engine === undefined) {
        throw this.nothing()
      }
    } catch (error) {
      await this.close()
      this.free()
      throw told(error)
    }
    if (this.#source !== undefined && !isAsked) {
      this.#happen({ type: 'started' })
      // Not before that is over: whoever hears is told of what is being asked for, and it would be asked for twice.
      this.#alone(async () => this.#listen()).catch((thrown: unknown) => this.#mistake(thrown))
    } else {
      this.#listen()
    }
    return this.#engine
  }

  #listen(): void {
    if (!this.#stopped) {
      const listen = async () => this.#source?.listen?.(() => this.#notify())
      // It is asked all the same, as one that cannot be listened to.
      listen().catch((error: unknown) => {
        this.#deaf = { told: false, why: messageOf(error) }
      })
    }
  }

  /** Begins with what was kept, and with nothing else. */
  async restore(): Promise<E | undefined> {
    await this.#alone(async () => this.#restore())
    return this.#engine
  }

  async #restore(): Promise<void> {
    const kept = this.#keep === undefined ? this.#given : await this.#keep.kept(this.#stream)
    if (kept !== undefined) {
      const { head, seen, contents, notKept } = kept
      await this.#carry(await this.#follower.restore(head, seen, contents, Date.now()))
      if (notKept !== undefined) {
        await this.#carry(await this.#handle({ type: 'seen_not_persisted', why: notKept }))
      }
    }
  }

  async #open(pack: Uint8Array | undefined): Promise<void> {
    if (pack !== undefined) {
      // One that is older than what was kept, or of no use, changes nothing: the source is asked either way.
      const opened = async () => this.#follower.open(pack, Date.now())
      await this.#carry(await opened().catch(() => []))
    }
  }

  /** Why there is nothing to answer from. What is wrong with something says more than that something is not there. */
  nothing(otherwise = 'no source has a snapshot'): SnapshotError {
    const { faults } = this.health(Date.now())
    const telling = faults.filter(({ code }) => code !== 'unreachable')
    const newest = (telling.length === 0 ? faults : telling).reduce<FaultSeen | undefined>(
      (newest, fault) => (newest === undefined || fault.at > newest.at ? fault : newest),
      undefined,
    )
    const { code, item, message, stage } = newest ?? {
      code: 'unreachable',
      item: 'head',
      message: otherwise,
      stage: 'download',
    }
    return new SnapshotError(code, `${item}: ${message}`, stage, item)
  }

  /** Whether the source tells of news, where it is one that can. */
  get hearing(): Hearing | undefined {
    return this.#deaf ?? this.#source?.hearing
  }

  health(now: number): Health {
    const health = answered<Health>(() => this.#follower.health(now))
    // What came along is not kept by that.
    return this.#keep === undefined ? { ...health, persisted: false } : health
  }

  async waitFor(revision: number, timeoutMs: number): Promise<number> {
    const inForce = () => this.#engine?.latest.revision ?? 0
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.#awaited.delete(look)
        this.#tellAwaited()
      }
      const look = () => {
        if (this.#stopped) {
          end()
          reject(new ClosedError())
        } else if (inForce() >= revision) {
          end()
          resolve(inForce())
        }
      }
      const timer = setTimeout(() => {
        end()
        const message = `revision ${revision} did not come in time: revision ${inForce()} is in force, and \`health\` says why`
        reject(new TimedOutError(message))
      }, timeoutMs)
      this.#awaited.set(look, revision)
      look()
      if (this.#awaited.has(look)) {
        this.#tellAwaited()
      }
    })
  }

  #tellAwaited(): void {
    if (!this.#stopped) {
      this.#source?.awaits?.(this.#awaited.size === 0 ? undefined : Math.min(...this.#awaited.values()))
    }
  }

  /** Has those look who wait. */
  #look(): void {
    for (const look of [...this.#awaited.keys()]) {
      look()
    }
  }

  /** Ends it; once this is over, nothing is asked or written any more. */
  async close(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#stop()
    const close = async () => this.#source?.close?.()
    // It is theirs, and there is nothing left to be told.
    close().catch(() => undefined)
    this.#look()
    await this.#work
  }

  /** Gives up its memory, where that has to be said: nothing is asked of it any more. */
  free(): void {
    this.#follower.free?.()
  }

  #notify(): void {
    // Of many notifications while one is looked into, one is enough.
    if (!this.#notified) {
      this.#notified = true
      this.#happen({ type: 'notified' })
    }
  }

  #happen(event: NativeEvent): void {
    const handled = this.#alone(async () => {
      if (event.type === 'notified') {
        this.#notified = false
      }
      if (!this.#stopped) {
        await this.#run(event)
      }
    })
    handled.catch((thrown: unknown) => this.#mistake(thrown))
  }

  /** Does something after whatever is under way. */
  async #alone(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work)
    // Whatever becomes of it, others go on.
    this.#work = done.catch(() => undefined)
    return done
  }

  async #run(event: NativeEvent): Promise<void> {
    await this.#carry(await this.#handle(event))
    this.#tellFaults()
  }

  async #handle(event: NativeEvent): Promise<NativeAction[]> {
    return this.#follower.handle(event, Date.now(), Math.floor(Math.random() * 2 ** 53))
  }

  /** A mistake in the engine costs what was under way: it is asked for again. */
  #mistake(thrown: unknown): void {
    const { message, code } = told(thrown)
    warn(message, code)
    clearTimeout(this.#timer)
    if (!this.#stopped) {
      this.#timer = setTimeout(() => {
        this.#happen({ type: 'connection_lost' })
        this.#notify()
      }, AFTER_A_MISTAKE)
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

  /** Asks the source, until it answers, its time is over, or this is closed. */
  async #ask<R>(ask: () => Promise<R>): Promise<R> {
    let timer
    const late = new Promise<never>((_, reject) => {
      const message = `the source does not answer within ${LONGEST_ANSWER} ms`
      timer = setTimeout(() => reject(new Error(message)), LONGEST_ANSWER)
    })
    try {
      return await Promise.race([ask(), late, this.#ended])
    } finally {
      clearTimeout(timer)
    }
  }

  async #do(action: NativeAction): Promise<NativeEvent | undefined> {
    const { type, hash = '', length = 0, number = 0, document = new Uint8Array() } = action
    switch (type) {
      case 'fetch_head':
        return this.#ask(async () => this.#source?.head(this.#stream, action.hash ?? undefined))
          .then((head) => {
            if (head === undefined) {
              return { type: 'not_modified' }
            }
            const isEnvelope = typeof head === 'object' && 'envelope' in head
            return isEnvelope
              ? { type: 'not_modified', document: bytes('envelope', head.envelope) }
              : { type: 'head', document: bytes('head', head) }
          })
          .catch((error: unknown) => ({ type: 'head_failed', why: messageOf(error) }))
      case 'fetch_chunk':
        // After one that did not come, the others of its head are asked for another time.
        if (!this.#follower.waitsFor(hash)) {
          return undefined
        }
        return this.#ask(async () => this.#source?.content({ hash, length }))
          .then((content) =>
            content === undefined ? { type: 'chunk_missing', hash } : { type: 'chunk', hash, ...carried(content) },
          )
          .catch((error: unknown) => ({ type: 'chunk_failed', hash, why: messageOf(error) }))
      case 'wait':
        this.#wait(action.ms ?? 0, number)
        return undefined
      case 'swap':
        await this.#swap()
        return undefined
      case 'persist':
        if (this.#keep === undefined) {
          return { type: 'not_kept', number }
        }
        return this.#keep
          .persist(this.#stream, { head: document, contents: action.chunks ?? [], obsolete: action.obsolete ?? [] })
          .then(
            () => ({ type: 'persisted', number }),
            (error: unknown) => ({ type: 'not_persisted', number, why: messageOf(error) }),
          )
      case 'persist_seen':
        return this.#keep?.persistSeen(this.#stream, document).then(
          () => undefined,
          (error: unknown) => ({ type: 'seen_not_persisted', why: messageOf(error) }),
        )
      case 'report': {
        const report = async () => this.#source?.report?.(JSON.parse(action.report ?? '{}') as object)
        // Nobody waits for it: the next report says it again.
        report().catch(() => undefined)
        return undefined
      }
      default:
        return undefined
    }
  }

  #wait(ms: number, timer: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) {
      this.#timer = setTimeout(() => this.#happen({ type: 'timer', number: timer }), Math.min(ms, LONGEST_WAIT))
    }
  }

  async #swap(): Promise<void> {
    const inner = asked(() => this.#follower.snapshot())
    if (inner === null || inner === undefined) {
      return
    }
    const next = new Snapshot(inner)
    if (this.#engine === undefined) {
      this.#engine = new this.#Engine(next)
      return
    }
    const last = this.#engine.latest
    const isShared = this.#engine.isShown
    this.#engine.replace(next)
    this.#look()
    if (this.#engine.isHeard('change')) {
      const changes = next.inner.changesLater?.(last.inner, Date.now()) ?? next.inner.changes(last.inner, Date.now())
      this.#engine.tellChanges(JSON.parse(await changes) as Changes)
    }
    if (!isShared) {
      // Nobody else has it, and not every host looks after memory of the native part's.
      last.inner.free?.()
    }
  }

  #tellFaults(): void {
    const seen = new Map<string, number>()
    for (const fault of this.health(Date.now()).faults) {
      seen.set(fault.code, fault.count)
      if (fault.count > (this.#seen.get(fault.code) ?? 0)) {
        this.#engine?.tell('fault', fault)
      }
    }
    this.#seen = seen
  }
}

/** A content of a source, which may be of anybody. */
function carried({ encoding, bytes: given }: Content): { encoding: string; document: Uint8Array } {
  if (encoding !== 'raw' && encoding !== 'zstd') {
    throw new ArgumentError(`\`encoding\` is raw or zstd, not ${shown(encoding)}`)
  }
  return { encoding, document: bytes('bytes', given) }
}
