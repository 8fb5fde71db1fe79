/** Machines of workflows. */

import type { Allowed, CoveringPaths, MachineAbout, MoveExplanation, TransitionAnswer } from './answers'
import { answered, asked, given, isA, object, text, written } from './arguments'
import { ArgumentError } from './errors'
import { native } from './native'
import type { NativeMachine } from './native'

/** What is known of an item that is to move. */
export interface Context {
  /** Inputs of guards by name: booleans, integers, texts and lists of texts. */
  inputs?: Readonly<Record<string, boolean | number | string | readonly string[]>>
  /** The roles of whoever asks. */
  roles?: readonly string[]
}

/** A tenant's machine of a workflow, as it was when it was asked for. */
export class Machine {
  readonly #inner: NativeMachine
  #about: MachineAbout | undefined

  /** @internal */
  constructor(inner: NativeMachine) {
    if (!isA(native.NativeMachine, inner)) {
      throw new ArgumentError('a machine is not made by hand: take one from a tenant, with `machine(…)`')
    }
    this.#inner = inner
  }

  /**
   * Gives up its memory, where that has to be said: it is asked nothing any more.
   * @internal
   */
  free(): void {
    // Whatever is no machine throws here.
    const inner = this.#inner
    try {
      inner.free?.()
    } catch {
      // A call that was ended by a panic holds it for good, and has said what there is to say.
    }
  }

  /** What it is made of: workflow, version, stages, and the inputs of its guards. */
  get about(): MachineAbout {
    this.#about ??= answered<MachineAbout>(() => this.#inner.about())
    return this.#about
  }

  /** What may be done at a stage: every transition of the machine, with all that blocks it. */
  transitions(stage: string, context?: Context): TransitionAnswer[] {
    return answered(() => this.#inner.transitions(text('stage', stage), known(context)))
  }

  /**
   * Whether an item may move from one stage to another, and by which transition.
   * @throws {TransitionError} `guard_failed`, with all that stands against it.
   * @throws {QuestionError} `illegal_transition`, `unknown_stage`.
   */
  check(from: string, to: string, context?: Context): Allowed {
    return answered(() => this.#inner.check(text('from', from), text('to', to), known(context)))
  }

  /** Why a move is what it is. */
  explain(from: string, to: string, context?: Context): MoveExplanation {
    return answered(() => this.#inner.explain(text('from', from), text('to', to), known(context)))
  }

  /** Paths that take every transition, with inputs that open them. */
  coveringPaths(): CoveringPaths {
    return answered(() => this.#inner.coveringPaths())
  }

  /** A picture of it, or of what it changes over an older machine: as Mermaid, DOT or SVG. */
  picture(
    form: 'mermaid' | 'dot' | 'svg',
    options: { language?: 'en' | 'ar'; current?: string; against?: Machine } = {},
  ): string {
    const { language = 'en', current, against } = given('options', () => ({ ...object('options', options) }))
    const stage = current === undefined ? undefined : text('current', current)
    if (against !== undefined && !(#inner in object('against', against))) {
      throw new ArgumentError('`against` is a machine: take one from a tenant, with `machine(…)`')
    }
    const how = [text('form', form), text('language', language), stage] as const
    return asked(() =>
      against === undefined ? this.#inner.picture(...how) : this.#inner.pictureAgainst(against.#inner, ...how),
    )
  }
}

function known(context: Context | undefined): string | undefined {
  return context === undefined ? undefined : written('context', context)
}
