// Generated from lib/nestjs/boot.ts by scripts/declarations.mjs: do not edit.
/** What decorators name has to exist: found out at boot, not at the first request. */
import { LeaseholdError } from '../errors';
/** Mistakes in what decorators name, and in how they are called: code `unknown_keys`, and all of them. */
export declare class UnknownKeysError extends LeaseholdError {
    readonly mistakes: readonly string[];
    constructor(mistakes: readonly string[], revision: number, mends: string);
}
