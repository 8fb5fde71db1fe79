// Generated from lib/errors.ts by scripts/declarations.mjs: do not edit.
/**
 * Errors. Each class stands for who has to act: whoever wrote the call, the question, the definitions, or whoever publishes.
 * `code` is stable, and the same in every language.
 */
import type { Blocker, Diagnostic } from './answers.js';
export type { Blocker, Diagnostic };
/** What all errors of this package are. */
export declare class LeaseholdError extends Error {
    /** Stable, the same in every language. */
    readonly code: string;
    constructor(code: string, message: string, options?: ErrorOptions);
}
/** A call with arguments that cannot be meant: code `invalid_argument`. */
export declare class ArgumentError extends LeaseholdError {
    constructor(message: string, options?: ErrorOptions);
}
/** A question that has no answer, such as `unknown_tenant`, `unknown_feature`, `wrong_kind`, `amount_out_of_range`. */
export declare class QuestionError extends LeaseholdError {
}
/** A move of a workflow that is not allowed: code `guard_failed`, with all that stands against it. */
export declare class TransitionError extends QuestionError {
    readonly blockers: readonly Blocker[];
    constructor(code: string, message: string, blockers: readonly Blocker[]);
}
/** A snapshot, or a part of one, that was refused: signed by nobody who is trusted, damaged, or older than what was seen. */
export declare class SnapshotError extends LeaseholdError {
    /** How far it got: `download`, `verify`, `hash`, `parse`, `compile` or `persist`. */
    readonly stage: string;
    /** What it is about: a document, or a content by its hash. */
    readonly item: string;
    /** Mistakes in definitions, where that is what is wrong. */
    readonly diagnostics: readonly Diagnostic[];
    constructor(code: string, message: string, stage: string, item: string, diagnostics?: readonly Diagnostic[]);
}
/** Definitions with mistakes: code `invalid_definitions`, and all of them. */
export declare class DefinitionsError extends LeaseholdError {
    readonly diagnostics: readonly Diagnostic[];
    constructor(message: string, diagnostics: readonly Diagnostic[]);
}
/** Options that cannot work: `invalid_base_url`, `insecure_base_url`, `invalid_token`. */
export declare class OptionsError extends LeaseholdError {
}
/** A call on an engine that was closed: code `closed`. */
export declare class ClosedError extends LeaseholdError {
    constructor();
}
/** A revision that did not come in time: code `timed_out`. */
export declare class TimedOutError extends LeaseholdError {
    constructor(message: string);
}
/** A mistake in this package, code `internal`: please report it. The engine goes on. */
export declare class InternalError extends LeaseholdError {
    constructor(message: string, options?: ErrorOptions);
}
