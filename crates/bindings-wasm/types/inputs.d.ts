// Generated from lib/inputs.ts by scripts/declarations.mjs: do not edit.
/** What only this package says or takes: the engine's own answers are in `answers.ts`. */
/** The answers to all switches, for whoever answers by themselves while they hold. */
export interface AnswerTable {
    /** The revision of the snapshot that answered. */
    revision: number;
    /** First instant at which they hold, in milliseconds since 1970; null when they always did. */
    from: number | null;
    /** First instant at which they may no longer hold; null when they hold until the next revision. */
    until: number | null;
    /** The answer to each switch. */
    answers: Record<string, boolean>;
}
/** What to suppose. All parts are supposed together. */
export interface Change {
    /** The tenant is on this plan from now on: one paid phase in place of all its phases. */
    plan?: string;
    /** A version of that plan; without it, the newest that a phase starting now gets. */
    version?: number;
    /** Add-ons beside those that the tenant has. */
    add_ons?: readonly {
        key: string;
        quantity: number;
    }[];
    /** Overrides that the tenant does not have, by id. */
    without?: readonly string[];
}
/** A move that was made: a line of a log. */
export interface LoggedMove {
    /** The tenant whose item moved. */
    tenant: string;
    /** The item's service category, where it has one. */
    category?: string;
    /** The stage that it left. */
    from: string;
    /** The stage that it entered. */
    to: string;
    /** What was known: inputs of guards by name. */
    inputs?: Readonly<Record<string, boolean | number | string | readonly string[]>>;
    /** Inputs as a table has them, to be read as the type that they are declared with: `true`, `12`, or `a;b`. */
    texts?: Readonly<Record<string, string>>;
    /** The roles of whoever moved it. */
    roles?: readonly string[];
}
