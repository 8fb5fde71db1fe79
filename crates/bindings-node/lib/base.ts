/** Engines and tenants: questions and answers, all of them synchronous. What only some hosts have is in `engine.ts`. */

import type {
  Action,
  Allowed,
  Changes,
  Decision,
  Difference,
  Entitlements,
  Evaluation,
  Evaluations,
  Explanation,
  FaultSeen,
  Health,
  LimitAnswer,
  TransitionAnswer,
  Trust,
  WhatIf,
} from './answers'
import {
  amount,
  answered,
  asked,
  at,
  given,
  isA,
  isRead,
  kindOf,
  milliseconds,
  object,
  shown,
  text,
  written,
  yesOrNo,
} from './arguments'
import type { Instant } from './arguments'
import { ArgumentError, ClosedError, QuestionError, TimedOutError } from './errors'
import { Following } from './follow/following'
import type { FollowOptions } from './follow/platform'
import type { Hearing } from './follow/source'
import type { AnswerTable, Change } from './inputs'
import type { FeatureKey, WorkflowKey } from './keys'
import { Machine } from './machine'
import type { Context } from './machine'
import { native } from './native'
import type { NativeEngine, NativeTenant } from './native'
import { Snapshot } from './snapshot'
import type { SourceFile, Stamp } from './snapshot'

/** Handles that an engine shares among those who ask for the same tenant. */
const SHARED_TENANTS = 10_000
/** Tables of answers that an engine keeps for tenants that are alike; so many kinds of them hardly anybody sells. */
const SHARED_ANSWERS = 1_000
/** Native answers after which it is worth fetching a tenant's whole table. */
const ASKED_OFTEN = 3
/** The first instant of the year 0000, and the one after the last of the year 9999: nobody can ask beyond them. */
const [BEGINNING, END] = [-62_167_219_200_000, 253_402_300_800_000]
/** What a question answers, or what else is to hold where it has no answer. A mistake in the call is thrown still. */
function orElse(otherwise: boolean, ask: () => boolean): boolean {
  yesOrNo('otherwise', otherwise)
  try {
    return ask()
  } catch (error) {
    if (error instanceof QuestionError || error instanceof ClosedError) {
      return otherwise
    }
    throw error
  }
}

/** What no instant lies in. */
const NEVER = { swaps: -1, from: 0, until: 0, answers: new Map<string, boolean>() }

/** One tenant, wherever it stands in the newest snapshot. Hold one where a tenant is asked about often. */
export class Tenant {
  readonly id: string
  readonly #engine: BaseEngine
  readonly #inner: NativeTenant
  /** The answers to all switches, while they hold: at this count of swaps, between these instants. */
  #table: { swaps: number; from: number; until: number; answers: ReadonlyMap<string, boolean> } = NEVER
  #crossed = 0

  /** @internal */
  constructor(engine: BaseEngine, inner: NativeTenant, id: string) {
    if (!isA(native.NativeTenant, inner)) {
      throw new ArgumentError('a tenant is not made by hand: take one from an engine, with `tenant(…)`')
    }
    this.#engine = engine
    this.#inner = inner
    this.id = id
  }

  /**
   * Whether a switch is on.
   * @throws {QuestionError} `unknown_tenant`, `unknown_feature`, `wrong_kind`.
   */
  isEnabled(feature: FeatureKey<'switch'>, now?: Instant, action?: Action): boolean {
    const instant = now === undefined ? Date.now() : at(now)
    const table = this.#table
    if (action !== 'read' && table.swaps === this.#engine.swaps && instant >= table.from && instant < table.until) {
      const on = table.answers.get(feature)
      if (on !== undefined && (action === undefined || action === 'use')) {
        return on
      }
    }
    return this.#cross(feature, instant, isRead(action))
  }

  #cross(feature: string, now: number, read: boolean): boolean {
    this.#engine.open()
    const on = asked(() => this.#inner.isEnabled(text('feature', feature), read, now))
    if (!read && ++this.#crossed >= ASKED_OFTEN) {
      this.#crossed = 0
      const table = answered<AnswerTable>(() => this.#inner.answerTable(false, now))
      this.#table = {
        swaps: this.#engine.swaps,
        from: table.from ?? BEGINNING,
        until: table.until ?? END,
        answers: this.#engine.shared(table.answers),
      }
    }
    return on
  }

  /** Whether a switch is on, or what else is to hold where that cannot be said. A mistake in the call is thrown still. */
  isEnabledOr(feature: FeatureKey<'switch'>, otherwise: boolean, now?: Instant): boolean {
    return orElse(otherwise, () => this.isEnabled(feature, now))
  }

  /** A yes or a no about a feature of any kind, with its reason. */
  decide(feature: FeatureKey, now?: Instant, action?: Action): Decision {
    return this.#document((inner) => inner.decide(text('feature', feature), isRead(action), at(now)))
  }

  /** The value of a value feature; null when it is off. */
  value<V = unknown>(feature: FeatureKey<'value'>, now?: Instant): V | null {
    return this.#document((inner) => inner.value(text('feature', feature), at(now)))
  }

  /** What a limit says to a request of so many more, when so many are in use already: integers from 0 to 2^53 − 1. */
  checkLimit(feature: FeatureKey<'limit'>, used: number, requested: number, now?: Instant): LimitAnswer {
    return this.#document((inner) =>
      inner.checkLimit(text('feature', feature), amount('used', used), amount('requested', requested), at(now)),
    )
  }

  /** Everything that the tenant may have. */
  entitlements(now?: Instant): Entitlements {
    return this.#document((inner) => inner.entitlements(at(now)))
  }

  /** The answers to all switches, and how long they hold. */
  answerTable(now?: Instant, action?: Action): AnswerTable {
    return this.#document((inner) => inner.answerTable(isRead(action), at(now)))
  }

  /** Why an answer is what it is: every contribution, applied or beaten and by what. */
  explain(feature: FeatureKey, now?: Instant, action?: Action): Explanation {
    return this.#document((inner) => inner.explain(text('feature', feature), isRead(action), at(now)))
  }

  /** What would change on another plan, with other add-ons, without an override. */
  whatIf(change: Change, usage: Readonly<Record<string, number>> = {}, now?: Instant): WhatIf {
    given('usage', () => Object.values(object('usage', usage)).forEach((used) => amount('usage', used)))
    return this.#document((inner) => inner.whatIf(written('change', change), written('usage', usage), at(now)))
  }

  /** What the tenant would have more, less or otherwise if it were the other one. */
  diff(other: Tenant | string, now?: Instant): Difference {
    const isTenant = other !== null && typeof other === 'object' && #inner in other
    return this.#engine.snapshot().diffTenants(this.id, text('other', isTenant ? other.id : other), now)
  }

  /** A feature as a flag of OpenFeature's. */
  evaluate(feature: FeatureKey, now?: Instant): Evaluation {
    return this.#document((inner) => inner.evaluate(text('feature', feature), at(now)))
  }

  /** All features as flags of OpenFeature's, and how long they hold. */
  evaluateAll(now?: Instant): Evaluations {
    return this.#document((inner) => inner.evaluateAll(at(now)))
  }

  /** The tenant's machine of a workflow, for a service category or without one. */
  machine(workflow: WorkflowKey, category?: string): Machine {
    this.#engine.open()
    const named = category === undefined ? undefined : text('category', category)
    return new Machine(asked(() => this.#inner.machine(text('workflow', workflow), named)))
  }

  /** What an item of a workflow may do at a stage. */
  transitions(workflow: WorkflowKey, stage: string, context?: Context, category?: string): TransitionAnswer[] {
    return this.#once(workflow, category, (machine) => machine.transitions(stage, context))
  }

  /** Whether an item of a workflow may move; see {@link Machine.check}. */
  checkTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed {
    return this.#once(workflow, category, (machine) => machine.check(from, to, context))
  }

  /** Asks a machine one question. Nobody else has it, and not every host looks after memory of the native part's. */
  #once<R>(workflow: WorkflowKey, category: string | undefined, ask: (machine: Machine) => R): R {
    const machine = this.machine(workflow, category)
    try {
      return ask(machine)
    } finally {
      machine.free()
    }
  }

  #document<R>(ask: (inner: NativeTenant) => string): R {
    this.#engine.open()
    return answered(() => ask(this.#inner))
  }
}

/** What an engine tells of. */
export interface EngineEvents {
  /**
   * Other answers about features are in force: whose, and to which. What changes workflows alone is not told: a machine is
   * taken when it is needed.
   */
  change: (changes: Changes) => void
  /** Something was refused or failed while following; what was in force still is. */
  fault: (fault: FaultSeen) => void
}

/** What makes an engine of a snapshot. */
type Made<E> = new (snapshot: Snapshot) => E

/** Whom an event is told. */
interface Listener {
  readonly call: EngineEvents[keyof EngineEvents]
}

/** What every engine is: see {@link Engine}, which your host has. */
export class BaseEngine {
  /**
   * How often the snapshot was replaced; −1 when closed. What was seen at one count holds as long as the count stays.
   * @internal
   */
  swaps = 0
  readonly #inner: NativeEngine
  #snapshot: Snapshot
  /** Whether somebody may hold what answers now. */
  #shown = true
  readonly #tenants = new Map<string, Tenant>()
  readonly #answers = new Map<string, ReadonlyMap<string, boolean>>()
  /** One entry for each time that somebody asked to be called. */
  readonly #listeners: Record<keyof EngineEvents, Set<Listener>> = { change: new Set(), fault: new Set() }
  #following: Following<BaseEngine> | undefined
  #ending: Promise<void> | undefined

  /** An engine that answers from this snapshot. */
  constructor(snapshot: Snapshot) {
    const inside = Snapshot.inside('snapshot', snapshot)
    this.#inner = asked(() => new native.NativeEngine(inside))
    this.#snapshot = snapshot
  }

  /**
   * An engine that answers from a pack. Nothing confirms that it is the newest: decisions say `fallback`.
   * @throws {SnapshotError} Whatever is wrong with the pack.
   */
  static fromPack<E extends BaseEngine>(this: Made<E>, pack: Uint8Array, trust: Trust | string, stream?: string): E {
    return new this(Snapshot.fromPack(pack, trust, stream))
  }

  /**
   * An engine that answers from definitions as people write them: one document, or files.
   * @throws {DefinitionsError} All mistakes in them.
   */
  static fromDefinitions<E extends BaseEngine>(
    this: Made<E>,
    definitions: object | readonly SourceFile[],
    stamp: Stamp = {},
  ): E {
    return new this(Snapshot.fromDefinitions(definitions, stamp))
  }

  /**
   * An engine that follows HQ or another source: it is up to date until it is closed. Once there was a snapshot, it answers
   * whatever becomes of the source.
   * @throws {SnapshotError} There is nothing to answer from: nothing kept, nothing given, and no source that has anything.
   * @throws {OptionsError} Options that cannot work.
   */
  static async follow<E extends BaseEngine>(this: Made<E>, options: FollowOptions): Promise<E> {
    const following = new Following(this, options)
    const engine = await following.begin()
    engine.#following = following
    return engine
  }

  /**
   * Calls back whenever it happens, until what is given back is called. An error of a listener is an uncaught exception, as
   * that of any event handler.
   */
  on<E extends keyof EngineEvents>(event: E, listener: EngineEvents[E]): () => void {
    if (typeof listener !== 'function') {
      throw new ArgumentError(`\`listener\` is a function, not ${kindOf(listener)}`)
    }
    const listeners = this.#listening(event)
    const entry = { call: listener }
    listeners.add(entry)
    return () => void listeners.delete(entry)
  }

  /** Calls a listener no more, however often it was added. */
  off<E extends keyof EngineEvents>(event: E, listener: EngineEvents[E]): void {
    const listeners = this.#listening(event)
    listeners.forEach((entry) => entry.call === listener && listeners.delete(entry))
  }

  #listening(event: keyof EngineEvents): Set<Listener> {
    if (!Object.hasOwn(this.#listeners, event)) {
      throw new ArgumentError(`there is no event \`${String(event)}\`: there are change and fault`)
    }
    return this.#listeners[event]
  }

  /** @internal */
  isHeard(event: keyof EngineEvents): boolean {
    return this.#listeners[event].size > 0
  }

  /** @internal */
  tell<E extends keyof EngineEvents>(event: E, told: Parameters<EngineEvents[E]>[0]): void {
    // Whoever is added meanwhile hears of the next one.
    const listeners = this.#listeners[event]
    for (const entry of [...listeners]) {
      if (this.closed) {
        // Whoever hears of it would ask about it.
        return
      }
      if (!listeners.has(entry)) {
        continue
      }
      try {
        entry.call(told as never)
      } catch (error) {
        // It is theirs, and must not keep the engine from following.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** How an engine that follows is doing; nothing of one that does not. */
  health(now?: Instant): Health | undefined {
    this.open()
    return this.#following?.health(at(now))
  }

  /** Whether an engine that follows hears of news, or has to ask; nothing where its source does not say. */
  get hearing(): Hearing | undefined {
    return this.#following?.hearing
  }

  /**
   * Waits until a revision is in force: HQ says with every write which one has it. Gives the revision that is in force.
   * @throws {TimedOutError} It did not come in time.
   */
  async waitFor(revision: number, timeoutMs = 10_000): Promise<number> {
    this.open()
    if (!Number.isSafeInteger(revision)) {
      throw new ArgumentError(`\`revision\` is an integer, not ${shown(revision)}`)
    }
    milliseconds('timeoutMs', timeoutMs)
    if (this.#following === undefined) {
      if (this.#snapshot.revision < revision) {
        throw new TimedOutError(`revision ${revision} will not come: this engine does not follow`)
      }
      return this.#snapshot.revision
    }
    return this.#following.waitFor(revision, timeoutMs)
  }

  /** Puts in the next snapshot, and tells whose answers are other ones. What an engine follows is its own to put in. */
  swap(snapshot: Snapshot): void {
    if (this.#following !== undefined) {
      throw new ArgumentError('an engine that follows takes its snapshots from there: make one of your own to swap')
    }
    this.open()
    const last = this.replace(snapshot)
    if (this.isHeard('change')) {
      this.tellChanges(snapshot.changes(last))
    }
  }

  /**
   * Puts in the next snapshot, and gives the last.
   * @internal
   */
  replace(snapshot: Snapshot): Snapshot {
    const inside = Snapshot.inside('snapshot', snapshot)
    asked(() => this.#inner.swap(inside))
    const last = this.#snapshot
    this.#snapshot = snapshot
    this.#shown = false
    this.swaps += this.closed ? 0 : 1
    // Tenants that are gone are not known any more; whoever holds a handle may go on to.
    this.#tenants.clear()
    this.#answers.clear()
    return last
  }

  /**
   * What answers, of an engine that is closed too.
   * @internal
   */
  get latest(): Snapshot {
    return this.#snapshot
  }

  /**
   * Whether somebody else may hold what answers.
   * @internal
   */
  get isShown(): boolean {
    return this.#shown
  }

  /** @internal */
  tellChanges(changes: Changes): void {
    const { added, removed, groups } = changes
    if (added.length + removed.length + groups.length > 0) {
      this.tell('change', changes)
    }
  }

  /** The current snapshot. */
  snapshot(): Snapshot {
    this.#shown = true
    return this.open()
  }

  /**
   * A handle on one tenant, which follows swaps. Who asks for the same one gets the same handle.
   * @throws {QuestionError} `unknown_tenant`.
   */
  tenant(id: string): Tenant {
    // A closed engine holds none.
    return this.#tenants.get(id) ?? this.#look(id)
  }

  /**
   * Answers of a tenant in what answers now. Tenants that are alike have one table between them.
   * @internal
   */
  shared(answers: Readonly<Record<string, boolean>>): ReadonlyMap<string, boolean> {
    const written = JSON.stringify(answers)
    let table = this.#answers.get(written)
    if (table === undefined) {
      table = new Map(Object.entries(answers))
      if (this.#answers.size < SHARED_ANSWERS) {
        this.#answers.set(written, table)
      }
    }
    return table
  }

  #look(id: string): Tenant {
    this.open()
    const tenant = new Tenant(
      this,
      asked(() => this.#inner.tenant(text('tenant', id))),
      id,
    )
    if (this.#tenants.size >= SHARED_TENANTS) {
      // The one that was asked for first: whoever holds it may go on to.
      for (const first of this.#tenants.keys()) {
        this.#tenants.delete(first)
        break
      }
    }
    this.#tenants.set(id, tenant)
    return tenant
  }

  /** See {@link Tenant.isEnabled}. */
  isEnabled(tenant: string, feature: FeatureKey<'switch'>, now?: Instant, action?: Action): boolean {
    return (this.#tenants.get(tenant) ?? this.#look(tenant)).isEnabled(feature, now, action)
  }

  /** See {@link Tenant.isEnabledOr}. */
  isEnabledOr(tenant: string, feature: FeatureKey<'switch'>, otherwise: boolean, now?: Instant): boolean {
    return orElse(otherwise, () => this.tenant(tenant).isEnabled(feature, now))
  }

  /**
   * What answers, where it is not closed.
   * @internal
   */
  open(): Snapshot {
    if (this.swaps < 0) {
      throw new ClosedError()
    }
    return this.#snapshot
  }

  get closed(): boolean {
    return this.swaps < 0
  }

  /** Ends it: whatever is asked from now on is `closed`, and nothing keeps the process alive. */
  async close(): Promise<void> {
    this.swaps = -1
    this.#tenants.clear()
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    await this.#following?.close()
    // Whoever holds a tenant of it is told that it is closed, before anything is asked.
    this.#following?.free()
    this.#inner.free?.()
  }
}
