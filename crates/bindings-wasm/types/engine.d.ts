// Generated from lib/engine.ts by scripts/declarations.mjs: do not edit.
/** Engines in browsers. */
import { BaseEngine } from './base.js';
import type { Tenant } from './base.js';
export { Tenant } from './base.js';
export type { EngineEvents } from './base.js';
/** Answers questions from the newest slice, and says when answers may be other ones. */
export declare class Engine extends BaseEngine {
    #private;
    /**
     * A handle on one tenant, which follows swaps. Without an id, the tenant that the slice is about.
     * @throws {QuestionError} `unknown_tenant`, `not_in_slice`.
     */
    tenant(id?: string): Tenant;
    /**
     * Calls back whenever answers may be other ones, until what is given back is called: after every update, and when
     * something begins or ends (a trial at noon), also where the page was out of sight then or the clock was changed.
     */
    subscribe(listener: () => void): () => void;
    /** Grows with all that {@link subscribe} calls back for: what was answered at one version holds until the next. */
    get version(): number;
    /** Ends it: whatever is asked from now on is `closed`. */
    close(): Promise<void>;
}
