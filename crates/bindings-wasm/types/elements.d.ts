// Generated from lib/elements.ts by scripts/declarations.mjs: do not edit.
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
import type { Blocker, TransitionAnswer } from './answers.js';
import type { Engine } from './engine.js';
/** What {@link defineElements} may be told. */
export interface ElementOptions {
    /** What the names of the elements and of their event begin with: `lh`. */
    prefix?: string;
    /**
     * Says in your own words why a transition is blocked. Without it, or where it says nothing, the guard does. Of elements that
     * are there already it stays, unless there is another one.
     */
    explain?: (blocker: Blocker, language: string) => string | undefined;
}
/** What `lh-transition` tells: somebody asks for this transition. Nothing was done yet. */
export type TransitionEvent = CustomEvent<{
    transition: TransitionAnswer;
}>;
/**
 * Defines `<lh-entitled>`, `<lh-limit>` and `<lh-transitions>`, which ask this engine: until it is there, they show nothing.
 * Called again with the same prefix, they ask the other engine from then on, as when a page turns to another tenant.
 */
export declare function defineElements(engine: Engine | Promise<Engine>, options?: ElementOptions): void;
