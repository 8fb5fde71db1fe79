// Generated from lib/flags.ts by scripts/declarations.mjs: do not edit.
/** What OpenFeature knows of flags, and features do not say: names of values, and metadata of the app's own. */
/** What is said of a flag that its feature does not say. */
export interface FlagOptions {
    /** Names of values: an answer that is on, and equal to one of them, has its name as the variant instead of `on`. */
    readonly variants?: Readonly<Record<string, unknown>>;
    /** Metadata beside Leasehold's own: flat, with other names. */
    readonly metadata?: Readonly<Record<string, string | number | boolean>>;
}
/** What is said of flags, by their keys. */
export type FlagsOptions = Readonly<Record<string, FlagOptions>>;
