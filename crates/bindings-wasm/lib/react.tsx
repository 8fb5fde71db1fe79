'use client'

/**
 * React: what a tenant may have, as hooks. Nothing below the provider is shown before there are answers, and everything is
 * shown anew when answers may be other ones.
 *
 * ```jsx
 * <LeaseholdProvider engine={engine} fallback={<Skeleton />}>
 *   <Entitled feature="pdf_invoices" fallback={<Upgrade />}>
 *     <PrintButton />
 *   </Entitled>
 * </LeaseholdProvider>
 * ```
 *
 * What is shown is decided here; what is allowed, your server decides.
 */

import { createContext, memo, Suspense, useContext, useEffect, useMemo, useSyncExternalStore } from 'react'
import type { FunctionComponent, ReactNode } from 'react'
import type { Action, Decision, LimitAnswer, TransitionAnswer } from './answers'
import type { Engine, Tenant } from './engine'
import type { FeatureKey, WorkflowKey } from './keys'
import type { Context } from './machine'
import { isUnknown } from './unknown'

/** What answers: an `Engine` of this package, or on a server one of `leasehold`. */
export interface AnsweringEngine {
  tenant(id?: string): { readonly id: string }
  snapshot(): { readonly revision: number }
  subscribe?(listener: () => void): () => void
  readonly version?: number
}

/** What a {@link LeaseholdProvider} takes. */
export interface LeaseholdProviderProps {
  /**
   * Who answers, or the promise of it: the same one in every rendering, so it is made outside of components or kept in a state.
   * While there is none, `fallback` is shown.
   */
  engine: AnsweringEngine | Promise<AnsweringEngine> | null | undefined
  /** Whom it is about. Without it, the tenant that the slice is about; an engine of `leasehold` has to be told. */
  tenant?: string | undefined
  /** What is shown until there is an engine: nothing. */
  fallback?: ReactNode
  /** What is shown when there will be none. Without it, the error goes on to the error boundary around. */
  failed?: (error: unknown) => ReactNode
  /**
   * Hears of questions about what is not there: a feature that HQ removed, or a key with a typo. They are answered as if it
   * were off, so that no page breaks. Without it, `console.error` says each once. What it throws is thrown by the hook: tests
   * pass `(error) => { throw error }`.
   */
  onUnknown?: (error: Error) => void
  /**
   * The instant at which the server rendered the page, for the server and the page alike, in milliseconds since 1970: the first
   * rendering in the page then says what the server's said, even where something began or ended between them.
   */
  renderedAt?: number | undefined
  children?: ReactNode
}

/** Answers that are asked for at one instant of one version: none contradicts another, and each is asked for once. */
interface Moment {
  readonly version: number | undefined
  readonly now: number
}

/** The longest that a timer waits, in milliseconds. */
const LONGEST_WAIT = 2 ** 31 - 1
/** Answers that are kept, so that an equal one is the same object. */
const KEPT = 1_000
/** One tenant's answers, for as long as a provider shows them. */
class Store {
  readonly tenant: Tenant
  readonly engine: Engine
  readonly #first: Moment
  #moment: Moment
  readonly #listeners = new Set<() => void>()
  readonly #kept = new Map<string, { text: string; answer: unknown }>()
  readonly #told = new Set<string>()

  constructor(engine: AnsweringEngine, tenant: string | undefined, renderedAt: number | undefined) {
    this.engine = engine as Engine
    this.tenant = this.engine.tenant(tenant)
    this.#moment = { version: engine.version, now: Date.now() }
    this.#first = renderedAt === undefined ? this.#moment : { version: engine.version, now: renderedAt }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    const leave = this.engine.subscribe?.(listener)
    return () => {
      this.#listeners.delete(listener)
      leave?.()
    }
  }

  readonly moment = (): Moment => {
    if (this.#moment.version !== this.engine.version) {
      this.#moment = { version: this.engine.version, now: Date.now() }
    }
    return this.#moment
  }

  /** What the server rendered, and what takes over what it rendered. */
  readonly first = (): Moment => this.#first

  /** Asks anew at an instant that the engine does not know of, unless that is taken back before. */
  renewAt(at: number): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    const wait = () => {
      const left = at - Date.now()
      if (left <= 0) {
        this.#renew()
      } else {
        timer = setTimeout(wait, Math.min(left, LONGEST_WAIT))
      }
    }
    wait()
    return () => clearTimeout(timer)
  }

  /** What was answered to the same question before, where it was the same. It is shared, so nobody can change it. */
  same<R>(question: string, answer: R): R {
    const text = JSON.stringify(answer)
    const kept = this.#kept.get(question)
    if (kept?.text === text) {
      return kept.answer as R
    }
    if (this.#kept.size >= KEPT) {
      this.#kept.clear()
    }
    this.#kept.set(question, { text, answer: frozen(answer) })
    return answer
  }

  tell(error: Error, onUnknown: ((error: Error) => void) | undefined): void {
    if (!this.#told.has(error.message)) {
      const tell = onUnknown ?? ((error: Error) => console.error(`leasehold: ${error.message}`))
      tell(error)
      this.#told.add(error.message)
    }
  }

  #renew(): void {
    this.#moment = { version: this.engine.version, now: Date.now() }
    this.#listeners.forEach((listener) => listener())
  }
}

/** What hooks ask: another one for every moment. */
class Asking {
  readonly store: Store
  readonly now: number
  /** Another object at every moment, so that what is kept for as long as it stays is right. */
  readonly tenant: Tenant
  readonly #onUnknown: ((error: Error) => void) | undefined

  constructor(store: Store, { now }: Moment, onUnknown: ((error: Error) => void) | undefined) {
    this.store = store
    this.now = now
    this.tenant = new Proxy(store.tenant, {
      get(tenant, name) {
        const member: unknown = Reflect.get(tenant, name, tenant)
        return typeof member === 'function' ? member.bind(tenant) : member
      },
    })
    this.#onUnknown = onUnknown
  }

  /** What a question answers, or what else holds where it is about something that is not there. */
  answer<R>(ask: (tenant: Tenant, now: number) => R, otherwise: () => R): R {
    try {
      return ask(this.store.tenant, this.now)
    } catch (error) {
      // One that is closed was closed too early, and answers nothing that a page could show.
      if (!isUnknown(error) && !isClosed(error)) {
        throw error
      }
      this.store.tell(error, this.#onUnknown)
      return otherwise()
    }
  }

  /** A limit that is off, as one is that is not there. */
  get offLimit(): LimitAnswer {
    const { latest } = this.store.engine
    const { revision, definitions } = latest.about
    return {
      outcome: 'deny',
      limit: 0,
      remaining: 0,
      mode: 'hard',
      overage_units: 0,
      overage_total: 0,
      thresholds_crossed: [],
      resets_at: null,
      reason: 'not_granted',
      source: null,
      block: null,
      revision,
      freshness: latest.freshness(this.now),
      definitions,
    }
  }
}

/** Of an answer all that is in it too, which is JSON. */
function frozen<R>(answer: R): R {
  if (typeof answer === 'object' && answer !== null) {
    Object.values(answer).forEach(frozen)
    Object.freeze(answer)
  }
  return answer
}

function isClosed(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === 'closed'
}

const AskingContext = createContext<Asking | undefined>(undefined)

/** Gives what is below it the answers for one tenant. */
export const LeaseholdProvider: FunctionComponent<LeaseholdProviderProps> =
  // What is rendered anew around it is not its concern: React would give up what the server rendered while it waits.
  memo(function LeaseholdProvider(props) {
    const { engine, fallback = null } = props
    return engine === undefined || engine === null ? (
      fallback
    ) : (
      <Suspense fallback={fallback}>
        <Opened {...props} engine={engine} />
      </Suspense>
    )
  })

type Ended = { engine: AnsweringEngine } | { error: unknown }

/** How promises ended, or what to wait for until they have. */
const endings = new WeakMap<Promise<AnsweringEngine>, Ended | Promise<void>>()

/** What a promise came to. Until then, React waits for it and asks again: what the server rendered stays in sight. */
function opened(engine: AnsweringEngine | Promise<AnsweringEngine>): Ended {
  if (!('then' in engine)) {
    return { engine }
  }
  let ended = endings.get(engine)
  if (ended === undefined) {
    ended = engine.then(
      (opened) => void endings.set(engine, { engine: opened }),
      (error: unknown) => void endings.set(engine, { error }),
    )
    endings.set(engine, ended)
  }
  if ('then' in ended) {
    throw ended
  }
  return ended
}

function Opened(props: LeaseholdProviderProps & { engine: AnsweringEngine | Promise<AnsweringEngine> }): ReactNode {
  const { tenant, failed, renderedAt, onUnknown, children } = props
  const ended = opened(props.engine)
  const engine = 'engine' in ended ? ended.engine : undefined
  const store = useMemo(() => {
    try {
      return engine && new Store(engine, tenant, renderedAt)
    } catch (error) {
      return { error }
    }
  }, [engine, tenant, renderedAt])
  if (store instanceof Store) {
    return (
      <Answering store={store} onUnknown={onUnknown}>
        {children}
      </Answering>
    )
  }
  const { error } = (store ?? ended) as { error: unknown }
  if (failed === undefined) {
    throw error
  }
  return failed(error)
}

function Answering(props: { store: Store; onUnknown: LeaseholdProviderProps['onUnknown']; children: ReactNode }) {
  const { store, onUnknown, children } = props
  const moment = useSyncExternalStore(store.subscribe, store.moment, store.first)
  const asking = useMemo(() => new Asking(store, moment, onUnknown), [store, moment, onUnknown])
  return <AskingContext.Provider value={asking}>{children}</AskingContext.Provider>
}

function useAsking(): Asking {
  const asking = useContext(AskingContext)
  if (asking === undefined) {
    throw new Error('nobody answers here: put `<LeaseholdProvider>` around whatever asks')
  }
  return asking
}

/**
 * The tenant, for every other question. It is another object whenever answers may be other ones, so that what is kept for as
 * long as it stays (`useMemo`, the React compiler) is right. Questions about what is not there throw.
 */
export function useTenant(): Tenant {
  return useAsking().tenant
}

/** Whether a switch is on; false of one that is not there, see {@link LeaseholdProviderProps.onUnknown}. */
export function useFeature(feature: FeatureKey<'switch'>, action?: Action): boolean {
  const asking = useAsking()
  return asking.answer(
    (tenant, now) => tenant.isEnabled(feature, now, action),
    () => false,
  )
}

/** A yes or a no about a feature of any kind, with its reason; nothing of one that is not there. */
export function useDecision(feature: FeatureKey, action?: Action): Readonly<Decision> | undefined {
  const asking = useAsking()
  return useMemo(
    () =>
      asking.answer<Decision | undefined>(
        (tenant, now) => asking.store.same(`decision ${feature} ${action}`, tenant.decide(feature, now, action)),
        () => undefined,
      ),
    [asking, feature, action],
  )
}

/** The value of a value feature; null when it is off, and of one that is not there. */
export function useValue<V = unknown>(feature: FeatureKey<'value'>): V | null {
  const asking = useAsking()
  return useMemo(
    () =>
      asking.answer<V | null>(
        (tenant, now) => asking.store.same(`value ${feature}`, tenant.value<V>(feature, now)),
        () => null,
      ),
    [asking, feature],
  )
}

/** What a limit says to a request of so many more, when so many are in use already. One that is not there is off. */
export function useLimit(feature: FeatureKey<'limit'>, used: number, requested = 1): Readonly<LimitAnswer> {
  const asking = useAsking()
  const { store } = asking
  const answer = useMemo(() => {
    const question = `limit ${feature} ${used} ${requested}`
    const ask = (tenant: Tenant, now: number) => tenant.checkLimit(feature, used, requested, now)
    return store.same(
      question,
      asking.answer(ask, () => asking.offLimit),
    )
  }, [asking, store, feature, used, requested])
  const resets = answer.resets_at
  useEffect(() => (resets === null ? undefined : store.renewAt(Date.parse(resets))), [store, resets])
  return answer
}

/**
 * What may be done with an item at a stage of a workflow: every transition of the tenant's machine, with all that blocks it.
 * None where the workflow or the stage is not there.
 */
export function useTransitions(
  workflow: WorkflowKey,
  stage: string,
  context?: Context,
  category?: string,
): readonly Readonly<TransitionAnswer>[] {
  const asking = useAsking()
  // A context is written where it is used, so it is another object each time.
  const known = context === undefined ? undefined : JSON.stringify(context)
  return useMemo(
    () =>
      asking.answer<TransitionAnswer[]>(
        (tenant) => {
          const said = known === undefined ? undefined : (JSON.parse(known) as Context)
          const transitions = tenant.transitions(workflow, stage, said, category)
          return asking.store.same(`transitions ${JSON.stringify([workflow, stage, known, category])}`, transitions)
        },
        () => asking.store.same('no transitions', []),
      ),
    [asking, workflow, stage, known, category],
  )
}

/** What {@link Entitled} takes. */
export interface EntitledProps {
  /** A feature of any kind. */
  feature: FeatureKey
  /** What is to be done with it: `use`, or `read` for what a tenant in arrears still may see. */
  action?: Action
  /** What is shown where it is off: nothing. */
  fallback?: ReactNode
  children?: ReactNode
}

/** Shows its children where a feature is on. */
export function Entitled({ feature, action, fallback = null, children }: EntitledProps): ReactNode {
  return useDecision(feature, action)?.enabled === true ? children : fallback
}
