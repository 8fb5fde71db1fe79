// Generated from lib/keys.ts by scripts/declarations.mjs: do not edit.
/**
 * Keys of features and workflows. `leasehold codegen ts` writes a file that names those of your definitions; with it, a key
 * that does not exist fails to compile:
 *
 * ```ts
 * declare module 'leasehold' {
 *   interface Features { pdf_invoices: 'switch'; max_users: 'limit' }
 *   interface Workflows { order: true }
 * }
 * ```
 */
import type { Kind } from './answers.js';
export type { Kind };
/** Features by key, with their kinds. Empty until a generated file adds to it. */
export interface Features {
}
/** Workflows by key. Empty until a generated file adds to it. */
export interface Workflows {
}
/** The key of a feature, of one kind where that is named. Any text while nothing was generated. */
export type FeatureKey<K extends Kind = Kind> = keyof Features extends never ? string : {
    [F in keyof Features]: Features[F] extends K ? F : never;
}[keyof Features] & string;
/** The key of a workflow. */
export type WorkflowKey = keyof Workflows extends never ? string : keyof Workflows & string;
/** Limits by key, where a generated file names them. */
export type LimitsByKey = {
    [F in keyof Features as Features[F] extends 'limit' ? F : never]: number | null;
};
