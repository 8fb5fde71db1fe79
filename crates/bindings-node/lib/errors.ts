/**
 * Errors. Each class stands for who has to act: whoever wrote the call, the question, the definitions, or whoever publishes.
 * `code` is stable, and the same in every language.
 */

import type { Blocker, Diagnostic } from './answers'

export type { Blocker, Diagnostic }

/** What all errors of this package are. */
export class LeaseholdError extends Error {
  /** Stable, the same in every language. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** A call with arguments that cannot be meant: code `invalid_argument`. */
export class ArgumentError extends LeaseholdError {
  constructor(message: string, options?: ErrorOptions) {
    super('invalid_argument', message, options)
  }
}

/** A question that has no answer, such as `unknown_tenant`, `unknown_feature`, `wrong_kind`, `amount_out_of_range`. */
export class QuestionError extends LeaseholdError {}

/** A move of a workflow that is not allowed: code `guard_failed`, with all that stands against it. */
export class TransitionError extends QuestionError {
  readonly blockers: readonly Blocker[]

  constructor(code: string, message: string, blockers: readonly Blocker[]) {
    super(code, message)
    this.blockers = blockers
  }
}

/** A snapshot, or a part of one, that was refused: signed by nobody who is trusted, damaged, or older than what was seen. */
export class SnapshotError extends LeaseholdError {
  /** How far it got: `download`, `verify`, `hash`, `parse`, `compile` or `persist`. */
  readonly stage: string
  /** What it is about: a document, or a content by its hash. */
  readonly item: string
  /** Mistakes in definitions, where that is what is wrong. */
  readonly diagnostics: readonly Diagnostic[]

  constructor(code: string, message: string, stage: string, item: string, diagnostics: readonly Diagnostic[] = []) {
    super(code, message)
    this.stage = stage
    this.item = item
    this.diagnostics = diagnostics
  }
}

/** Definitions with mistakes: code `invalid_definitions`, and all of them. */
export class DefinitionsError extends LeaseholdError {
  readonly diagnostics: readonly Diagnostic[]

  constructor(message: string, diagnostics: readonly Diagnostic[]) {
    super('invalid_definitions', message)
    this.diagnostics = diagnostics
  }
}

/** Options that cannot work: `invalid_base_url`, `insecure_base_url`, `invalid_token`. */
export class OptionsError extends LeaseholdError {}

/** A call on an engine that was closed: code `closed`. */
export class ClosedError extends LeaseholdError {
  constructor() {
    super('closed', 'the engine is closed: ask one that is open')
  }
}

/** A revision that did not come in time: code `timed_out`. */
export class TimedOutError extends LeaseholdError {
  constructor(message: string) {
    super('timed_out', message)
  }
}

/** A mistake in this package, code `internal`: please report it. The engine goes on. */
export class InternalError extends LeaseholdError {
  constructor(message: string, options?: ErrorOptions) {
    super('internal', message, options)
  }
}

interface Told {
  kind: 'argument' | 'question' | 'snapshot' | 'definitions' | 'internal'
  code: string
  message: string
  stage?: string
  item?: string
  blockers?: Blocker[]
  diagnostics?: Diagnostic[]
}

function read(text: string): Told | undefined {
  try {
    return text.startsWith('{') ? (JSON.parse(text) as Told) : undefined
  } catch {
    // Somebody else's, which happens to begin like ours.
    return undefined
  }
}

/**
 * What an error says, or whatever else was thrown, which may do anything when it is asked. Errors of another realm, as Jest
 * has them, are no `instanceof` of ours.
 * @internal
 */
export function messageOf(thrown: unknown): string {
  try {
    const message = (thrown as { message?: unknown } | null | undefined)?.message
    return typeof message === 'string' ? message : String(thrown)
  } catch {
    return 'it does not say why'
  }
}

/**
 * Makes the error of this package out of one that came from the native part.
 * @internal
 */
export function told(thrown: unknown): LeaseholdError {
  if (thrown instanceof LeaseholdError) {
    return thrown
  }
  const text = messageOf(thrown)
  const said = read(text)
  if (said === undefined && (thrown as { name?: unknown } | null | undefined)?.name === 'RuntimeError') {
    // Where no text can be thrown any more.
    return new InternalError(`the engine panicked, which is a mistake in it: ${text}`, { cause: thrown })
  }
  if (said === undefined) {
    // The conversion of arguments, before our code is reached.
    return new ArgumentError(text, { cause: thrown })
  }
  switch (said.kind) {
    case 'argument':
      return new ArgumentError(said.message)
    case 'question':
      return said.blockers === undefined
        ? new QuestionError(said.code, said.message)
        : new TransitionError(said.code, said.message, said.blockers)
    case 'snapshot':
      return new SnapshotError(said.code, said.message, said.stage ?? '', said.item ?? '', said.diagnostics)
    case 'definitions':
      return new DefinitionsError(said.message, said.diagnostics ?? [])
    case 'internal':
      return new InternalError(said.message, { cause: thrown })
  }
}
