/**
 * Custom elements, for pages without a framework:
 *
 * ```html
 * <style>
 *   lh-entitled:not(:defined), lh-limit:not(:defined), lh-transitions:not(:defined) { display: none }
 * </style>
 * <lh-entitled feature="pdf_invoices">
 *   <button>Print</button>
 *   <a slot="otherwise" href="/plans">Print invoices with Growth</a>
 * </lh-entitled>
 * <lh-limit feature="max_users" used="3">Users</lh-limit>
 * <lh-transitions workflow="order" stage="ready" inputs='{"balance_due_minor":0}' roles="driver"></lh-transitions>
 * ```
 *
 * ```js
 * defineElements(init().then(() => Engine.follow({ … })))
 * ```
 *
 * What is shown is decided here; what is allowed, your server decides.
 */

import type { Action, Blocker, TransitionAnswer } from './answers'
import type { Engine, Tenant } from './engine'
import { ArgumentError, messageOf } from './errors'
import type { FeatureKey, WorkflowKey } from './keys'
import type { Context } from './machine'
import { isUnknown } from './unknown'
import { isArabic, saidOf, wordsOf } from './words'

/** What {@link defineElements} may be told. */
export interface ElementOptions {
  /** What the names of the elements and of their event begin with: `lh`. */
  prefix?: string
  /**
   * Says in your own words why a transition is blocked. Without it, or where it says nothing, the guard does. Of elements that
   * are there already it stays, unless there is another one.
   */
  explain?: (blocker: Blocker, language: string) => string | undefined
}

/** What `lh-transition` tells: somebody asks for this transition. Nothing was done yet. */
export type TransitionEvent = CustomEvent<{ transition: TransitionAnswer }>

/** What an element shows: `unknown` where nobody can say. */
type State = 'on' | 'off' | 'unknown'

/** The elements of one prefix, and who answers them. */
class Hub {
  engine: Engine | undefined
  failed = false
  explain: ElementOptions['explain']
  readonly #elements = new Set<Answered>()
  readonly #told = new Set<string>()
  /** Pages change their language without being loaded again. */
  readonly #language = new MutationObserver(() => this.#show())
  #source: unknown
  #leave: (() => void) | undefined

  async use(source: Engine | Promise<Engine>): Promise<void> {
    this.#source = source
    this.#turnTo(undefined)
    try {
      const engine = await source
      if (this.#source === source) {
        this.#turnTo(engine)
      }
    } catch (error) {
      if (this.#source === source) {
        this.tell(error)
        this.failed = true
        this.#show()
      }
    }
  }

  add(element: Answered): void {
    this.#elements.add(element)
    this.#listen()
  }

  delete(element: Answered): void {
    this.#elements.delete(element)
    this.#listen()
  }

  /** Each error once. */
  tell(error: unknown): void {
    const message = messageOf(error)
    if (!this.#told.has(message)) {
      this.#told.add(message)
      console.error(`leasehold: ${message}`)
    }
  }

  #turnTo(engine: Engine | undefined): void {
    this.#rest()
    this.failed = false
    this.engine = engine
    this.#listen()
    this.#show()
  }

  /** Listens while there is somebody to tell. */
  #listen(): void {
    if (this.#elements.size === 0) {
      this.#rest()
    } else if (this.#leave === undefined && this.engine !== undefined) {
      this.#leave = this.engine.subscribe(() => this.#show())
      this.#language.observe(document, { attributes: true, attributeFilter: ['lang'], subtree: true })
    }
  }

  #rest(): void {
    this.#leave?.()
    this.#leave = undefined
    this.#language.disconnect()
  }

  #show(): void {
    this.#elements.forEach((element) => element.show())
  }
}

/** Servers have no elements, and may import this as well. */
const Host = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement

/** An element that shows an answer. */
abstract class Answered extends Host {
  static readonly css: string = ''
  protected abstract readonly hub: Hub
  /** What is in sight once it is decided. */
  protected readonly body: HTMLElement

  constructor(body: HTMLElement) {
    super()
    this.body = body
  }

  connectedCallback(): void {
    if (this.shadowRoot === null) {
      // Not as an element: a content security policy may forbid those.
      const sheet = new CSSStyleSheet()
      sheet.replaceSync(`:host([hidden]) { display: none !important } ${(this.constructor as typeof Answered).css}`)
      const shadow = this.attachShadow({ mode: 'open' })
      shadow.adoptedStyleSheets = [sheet]
      shadow.append(this.body)
    }
    this.hub.add(this)
    this.show()
  }

  disconnectedCallback(): void {
    this.hub.delete(this)
  }

  attributeChangedCallback(): void {
    if (this.isConnected && this.shadowRoot !== null) {
      this.show()
    }
  }

  show(): void {
    const state = this.#decided()
    this.body.hidden = state === undefined
    if (state === undefined) {
      this.removeAttribute('state')
    } else {
      this.setAttribute('state', state)
    }
  }

  /** Nothing until there is an engine. */
  #decided(): State | undefined {
    const { engine, failed } = this.hub
    try {
      if (engine !== undefined) {
        return this.ask(engine.tenant(this.getAttribute('tenant') ?? undefined))
      }
    } catch (error) {
      this.hub.tell(error)
      return this.otherwise(isUnknown(error) ? 'off' : 'unknown')
    }
    return failed ? this.otherwise('unknown') : undefined
  }

  /** Asks, and shows what is answered. */
  protected abstract ask(tenant: Tenant): State

  /** Shows that something is not there, or that nobody can say. */
  protected otherwise(state: State): State {
    return state
  }

  protected needed(name: string): string {
    const text = this.getAttribute(name)
    if (text === null || text === '') {
      throw new ArgumentError(`\`<${this.localName}>\` has the attribute \`${name}\`, and it is missing`)
    }
    return text
  }

  protected amount(name: string, otherwise: string): number {
    const text = (this.getAttribute(name) ?? otherwise).trim()
    if (!/^\d+$/.test(text)) {
      throw new ArgumentError(`\`${name}\` of \`<${this.localName}>\` is an integer from 0, not \`${text}\``)
    }
    return Number(text)
  }

  /** The language in which this is written. */
  protected get language(): string {
    for (let node: Element = this; ;) {
      const near = node.closest('[lang]')?.getAttribute('lang')
      const root = node.getRootNode()
      if (typeof near === 'string' || !(root instanceof ShadowRoot)) {
        return near ?? ''
      }
      node = root.host
    }
  }
}

/** Shows its children where a feature is on, and those in the slot `otherwise` where it is off. */
abstract class Entitled extends Answered {
  static readonly observedAttributes = ['feature', 'tenant', 'action', 'used', 'requested']
  static override readonly css = ':host { display: contents }'

  constructor() {
    super(document.createElement('slot'))
  }

  protected override ask(tenant: Tenant): State {
    const feature = this.needed('feature') as FeatureKey
    const isOn = this.hasAttribute('used')
      ? tenant.checkLimit(feature, this.amount('used', '0'), this.amount('requested', '1')).outcome !== 'deny'
      : tenant.decide(feature, undefined, (this.getAttribute('action') ?? 'use') as Action).enabled
    return this.otherwise(isOn ? 'on' : 'off')
  }

  protected override otherwise(state: State): State {
    ;(this.body as HTMLSlotElement).name = { on: '', off: 'otherwise', unknown: 'unknown' }[state]
    return state
  }
}

/** A meter of a limit, with its label as children. */
abstract class Limit extends Answered {
  static readonly observedAttributes = ['feature', 'tenant', 'used', 'requested', 'lang']
  static override readonly css = `
    :host { display: block }
    [part='track'] { block-size: 0.5em; border: 1px solid; border-radius: 0.25em; overflow: hidden }
    [part='fill'] { block-size: 100%; background: currentColor }`
  readonly #track = made('div', { part: 'track', role: 'meter', 'aria-valuemin': '0' })
  readonly #fill = made('div', { part: 'fill' })
  readonly #text = made('span', { part: 'text' })

  constructor() {
    super(made('div', { part: 'body' }))
    const label = made('span', { part: 'label', id: 'label' })
    const slot = made('slot')
    // A framework may add the text after the element.
    slot.addEventListener('slotchange', () => this.show())
    label.append(slot)
    this.#track.append(this.#fill)
    this.body.append(label, ' ', this.#text, this.#track)
  }

  protected override ask(tenant: Tenant): State {
    const [feature, used] = [this.needed('feature') as FeatureKey<'limit'>, this.amount('used', '')]
    const answer = tenant.checkLimit(feature, used, this.amount('requested', '1'))
    const { limit, outcome, source } = answer
    this.setAttribute('outcome', outcome)
    this.#say(saidOf(answer, used, this.language))
    const hasScale = limit !== null && limit > 0
    this.#track.hidden = !hasScale
    // The meter says it too, with its name.
    this.#text.ariaHidden = hasScale ? 'true' : null
    if (hasScale) {
      const shown = Math.min(used, limit)
      this.#track.setAttribute('aria-valuemax', String(limit))
      this.#track.setAttribute('aria-valuenow', String(shown))
      this.#fill.style.inlineSize = `${(100 * shown) / limit}%`
      const hasLabel = this.textContent?.trim() !== ''
      attribute(this.#track, 'aria-labelledby', hasLabel ? 'label' : undefined)
      attribute(this.#track, 'aria-label', hasLabel ? undefined : feature)
    }
    return source === null ? 'off' : 'on'
  }

  protected override otherwise(state: State): State {
    this.removeAttribute('outcome')
    this.#track.hidden = true
    this.#text.ariaHidden = null
    this.#say(state === 'off' ? wordsOf(this.language).off : '')
    return state
  }

  #say(text: string): void {
    this.body.dir = isArabic(this.language) ? 'rtl' : 'ltr'
    this.#text.textContent = text
    this.#track.setAttribute('aria-valuetext', text)
  }
}

/** A button for each transition that leaves a stage, with what blocks it. */
abstract class Transitions extends Answered {
  static readonly observedAttributes = ['workflow', 'stage', 'category', 'inputs', 'roles', 'tenant', 'lang']
  static override readonly css = `
    :host { display: block }
    [aria-disabled='true'] { opacity: 0.6; cursor: not-allowed }
    ul { margin-block: 0.25em; padding-inline-start: 1.5em }`
  #shown = ''

  constructor() {
    super(made('div', { part: 'body' }))
  }

  protected override ask(tenant: Tenant): State {
    const [workflow, category] = [this.needed('workflow') as WorkflowKey, this.getAttribute('category') ?? undefined]
    const all = tenant.transitions(workflow, this.needed('stage'), this.#context(), category)
    const transitions = all.filter(({ state }) => state !== 'not_from_here')
    const { language } = this
    const whys = transitions.map(({ blockers = [] }) =>
      blockers.map((blocker) => this.hub.explain?.(blocker, language)),
    )
    const shown = JSON.stringify([language, transitions, whys])
    if (shown !== this.#shown) {
      // Whoever stands on a button goes on to stand on it.
      const focused = this.shadowRoot?.activeElement?.getAttribute('value')
      this.#shown = shown
      this.body.dir = isArabic(language) ? 'rtl' : 'ltr'
      const buttons = transitions.map((transition, at) =>
        this.#button(transition, whys[at] ?? [], `why-${at}`, language),
      )
      this.body.replaceChildren(...buttons)
      const again = [...this.body.querySelectorAll('button')].find(({ value }) => value === focused)
      again?.focus()
    }
    return 'on'
  }

  protected override otherwise(state: State): State {
    this.#shown = ''
    this.body.replaceChildren()
    return state
  }

  #context(): Context {
    const inputs = this.getAttribute('inputs') ?? '{}'
    try {
      const roles = (this.getAttribute('roles') ?? '').split(/[\s,]+/).filter((role) => role !== '')
      return { inputs: JSON.parse(inputs) as NonNullable<Context['inputs']>, roles }
    } catch (cause) {
      throw new ArgumentError(`\`inputs\` of \`<${this.localName}>\` is not JSON: ${inputs}`, { cause })
    }
  }

  #button(
    transition: TransitionAnswer,
    whys: readonly (string | undefined)[],
    id: string,
    language: string,
  ): HTMLElement {
    const { blockers = [], name, name2 } = transition
    const button = made('button', { part: 'button', type: 'button', value: transition.transition })
    button.textContent = isArabic(language) ? name2 : name
    const group = made('div', { part: `transition ${transition.state}` })
    group.append(button)
    if (blockers.length > 0) {
      // Not `disabled`: it can be reached, and says why it does nothing.
      button.ariaDisabled = 'true'
      button.setAttribute('aria-describedby', id)
      const why = made('ul', { part: 'blockers', id })
      why.append(...blockers.map((blocker, at) => lineOf(blocker, whys[at], language)))
      group.append(why)
    } else {
      button.addEventListener('click', () => {
        const detail = { transition }
        const name = this.localName.replace(/s$/, '')
        this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }) satisfies TransitionEvent)
      })
    }
    return group
  }
}

/** Why a transition is blocked: in words of the page, or in those of the guard. */
function lineOf({ code, expected }: Blocker, why: string | undefined, language: string): HTMLElement {
  const line = made('li', { part: 'blocker' })
  if (why === undefined) {
    const what = made('bdi')
    what.textContent = expected
    line.append(`${wordsOf(language).blockers[code] ?? code}: `, what)
  } else {
    line.textContent = why
  }
  return line
}

const hubs = new Map<string, Hub>()

/**
 * Defines `<lh-entitled>`, `<lh-limit>` and `<lh-transitions>`, which ask this engine: until it is there, they show nothing.
 * Called again with the same prefix, they ask the other engine from then on, as when a page turns to another tenant.
 */
export function defineElements(engine: Engine | Promise<Engine>, options: ElementOptions = {}): void {
  const { prefix = 'lh', explain } = options
  if (!/^[a-z][a-z0-9]*$/.test(prefix)) {
    throw new ArgumentError(`\`prefix\` is of small letters and digits, such as \`lh\`, not \`${prefix}\``)
  }
  const known = hubs.get(prefix)
  const hub = known ?? new Hub()
  hubs.set(prefix, hub)
  hub.explain = explain ?? hub.explain
  void hub.use(engine)
  if (known === undefined) {
    define(prefix, hub)
  }
}

function define(prefix: string, hub: Hub): void {
  customElements.define(
    `${prefix}-entitled`,
    class extends Entitled {
      protected override readonly hub = hub
    },
  )
  customElements.define(
    `${prefix}-limit`,
    class extends Limit {
      protected override readonly hub = hub
    },
  )
  customElements.define(
    `${prefix}-transitions`,
    class extends Transitions {
      protected override readonly hub = hub
    },
  )
}

function made<T extends keyof HTMLElementTagNameMap>(tag: T, attributes: Record<string, string> = {}) {
  const element = document.createElement(tag)
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value))
  return element
}

function attribute(element: Element, name: string, value: string | undefined): void {
  if (value === undefined) {
    element.removeAttribute(name)
  } else {
    element.setAttribute(name, value)
  }
}
