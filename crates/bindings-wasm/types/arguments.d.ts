// Generated from lib/arguments.ts by scripts/declarations.mjs: do not edit.
/** Arguments, checked before they cross, and answers and errors that come back. Nothing here is public. */
import type { Trust } from './answers.js';
/** A point in time: a date, or milliseconds since 1970. Without one, a question is about now. */
export type Instant = Date | number;
export declare function at(now: Instant | undefined, name?: string): number;
export declare function text(name: string, value: unknown): string;
export declare function isList(value: unknown): value is readonly unknown[];
/** Whether it is one of these; a proxy may throw when it is asked. */
export declare function isA<C>(Class: abstract new (...args: never) => C, value: unknown): value is C;
export declare function kindOf(value: unknown): string;
/** A value as messages tell it: objects may do anything when they are made texts. */
export declare function shown(value: unknown): string;
/** Bytes. */
export declare function bytes(name: string, value: unknown): Uint8Array;
export declare function number(name: string, value: unknown): number;
export declare function object<O>(name: string, value: O): O & object;
/** Options that are all known: a name that is mistyped would change nothing, and nobody would hear of it. */
export declare function options<O extends object>(name: string, value: O, known: Record<keyof O, true>): O;
export declare function yesOrNo(name: string, value: unknown): boolean;
/** Reads what was passed in. Whatever that does when it is looked at is a mistake in the call. */
export declare function given<R>(name: string, read: () => R): R;
/** How long: a timer that is asked to wait longer is over at once. */
export declare function milliseconds(name: string, value: unknown): number;
/** An amount. Whether it is within bounds, the engine says; what is no integer cannot be asked about. */
export declare function amount(name: string, value: unknown): number;
export declare function whole(name: string, value: unknown): number;
export declare function isRead(action: unknown): boolean;
/** An object as JSON for the native part. */
export declare function written(name: string, value: unknown): string;
/** JSON for the native part. */
export declare function json(name: string, value: unknown): string;
/** Whom to believe, as JSON; of the stream that is named beside it, where one is. */
export declare function trustText(trust: Trust | string, stream?: string): string;
export declare function asked<R>(ask: () => R): R;
export declare function answered<R>(ask: () => string): R;
