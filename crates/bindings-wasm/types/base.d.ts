// Generated from lib/base.ts by scripts/declarations.mjs: do not edit.
/** Engines and tenants: questions and answers, all of them synchronous. What only some hosts have is in `engine.ts`. */
import type { Action, Allowed, Changes, Decision, Difference, Entitlements, Evaluation, Evaluations, Explanation, FaultSeen, Health, LimitAnswer, TransitionAnswer, Trust, WhatIf } from './answers.js';
import type { Instant } from './arguments.js';
import type { FollowOptions } from './follow/platform.js';
import type { Hearing } from './follow/source.js';
import type { AnswerTable, Change } from './inputs.js';
import type { FeatureKey, WorkflowKey } from './keys.js';
import { Machine } from './machine.js';
import type { Context } from './machine.js';
import { Snapshot } from './snapshot.js';
import type { SourceFile, Stamp } from './snapshot.js';
/** One tenant, wherever it stands in the newest snapshot. Hold one where a tenant is asked about often. */
export declare class Tenant {
    #private;
    readonly id: string;
    /**
     * Whether a switch is on.
     * @throws {QuestionError} `unknown_tenant`, `unknown_feature`, `wrong_kind`.
     */
    isEnabled(feature: FeatureKey<'switch'>, now?: Instant, action?: Action): boolean;
    /** Whether a switch is on, or what else is to hold where that cannot be said. A mistake in the call is thrown still. */
    isEnabledOr(feature: FeatureKey<'switch'>, otherwise: boolean, now?: Instant): boolean;
    /** A yes or a no about a feature of any kind, with its reason. */
    decide(feature: FeatureKey, now?: Instant, action?: Action): Decision;
    /** The value of a value feature; null when it is off. */
    value<V = unknown>(feature: FeatureKey<'value'>, now?: Instant): V | null;
    /** What a limit says to a request of so many more, when so many are in use already: integers from 0 to 2^53 − 1. */
    checkLimit(feature: FeatureKey<'limit'>, used: number, requested: number, now?: Instant): LimitAnswer;
    /** Everything that the tenant may have. */
    entitlements(now?: Instant): Entitlements;
    /** The answers to all switches, and how long they hold. */
    answerTable(now?: Instant, action?: Action): AnswerTable;
    /** Why an answer is what it is: every contribution, applied or beaten and by what. */
    explain(feature: FeatureKey, now?: Instant, action?: Action): Explanation;
    /** What would change on another plan, with other add-ons, without an override. */
    whatIf(change: Change, usage?: Readonly<Record<string, number>>, now?: Instant): WhatIf;
    /** What the tenant would have more, less or otherwise if it were the other one. */
    diff(other: Tenant | string, now?: Instant): Difference;
    /** A feature as a flag of OpenFeature's. */
    evaluate(feature: FeatureKey, now?: Instant): Evaluation;
    /** All features as flags of OpenFeature's, and how long they hold. */
    evaluateAll(now?: Instant): Evaluations;
    /** The tenant's machine of a workflow, for a service category or without one. */
    machine(workflow: WorkflowKey, category?: string): Machine;
    /** What an item of a workflow may do at a stage. */
    transitions(workflow: WorkflowKey, stage: string, context?: Context, category?: string): TransitionAnswer[];
    /** Whether an item of a workflow may move; see {@link Machine.check}. */
    checkTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed;
}
/** What an engine tells of. */
export interface EngineEvents {
    /**
     * Other answers about features are in force: whose, and to which. What changes workflows alone is not told: a machine is
     * taken when it is needed.
     */
    change: (changes: Changes) => void;
    /** Something was refused or failed while following; what was in force still is. */
    fault: (fault: FaultSeen) => void;
}
/** What makes an engine of a snapshot. */
type Made<E> = new (snapshot: Snapshot) => E;
/** What every engine is: see {@link Engine}, which your host has. */
export declare class BaseEngine {
    #private;
    /** An engine that answers from this snapshot. */
    constructor(snapshot: Snapshot);
    /**
     * An engine that answers from a pack. Nothing confirms that it is the newest: decisions say `fallback`.
     * @throws {SnapshotError} Whatever is wrong with the pack.
     */
    static fromPack<E extends BaseEngine>(this: Made<E>, pack: Uint8Array, trust: Trust | string, stream?: string): E;
    /**
     * An engine that answers from definitions as people write them: one document, or files.
     * @throws {DefinitionsError} All mistakes in them.
     */
    static fromDefinitions<E extends BaseEngine>(this: Made<E>, definitions: object | readonly SourceFile[], stamp?: Stamp): E;
    /**
     * An engine that follows HQ or another source: it is up to date until it is closed. Once there was a snapshot, it answers
     * whatever becomes of the source.
     * @throws {SnapshotError} There is nothing to answer from: nothing kept, nothing given, and no source that has anything.
     * @throws {OptionsError} Options that cannot work.
     */
    static follow<E extends BaseEngine>(this: Made<E>, options: FollowOptions): Promise<E>;
    /**
     * Calls back whenever it happens, until what is given back is called. An error of a listener is an uncaught exception, as
     * that of any event handler.
     */
    on<E extends keyof EngineEvents>(event: E, listener: EngineEvents[E]): () => void;
    /** Calls a listener no more, however often it was added. */
    off<E extends keyof EngineEvents>(event: E, listener: EngineEvents[E]): void;
    /** How an engine that follows is doing; nothing of one that does not. */
    health(now?: Instant): Health | undefined;
    /** Whether an engine that follows hears of news, or has to ask; nothing where its source does not say. */
    get hearing(): Hearing | undefined;
    /**
     * Waits until a revision is in force: HQ says with every write which one has it. Gives the revision that is in force.
     * @throws {TimedOutError} It did not come in time.
     */
    waitFor(revision: number, timeoutMs?: number): Promise<number>;
    /** Puts in the next snapshot, and tells whose answers are other ones. What an engine follows is its own to put in. */
    swap(snapshot: Snapshot): void;
    /** The current snapshot. */
    snapshot(): Snapshot;
    /**
     * A handle on one tenant, which follows swaps. Who asks for the same one gets the same handle.
     * @throws {QuestionError} `unknown_tenant`.
     */
    tenant(id: string): Tenant;
    /** See {@link Tenant.isEnabled}. */
    isEnabled(tenant: string, feature: FeatureKey<'switch'>, now?: Instant, action?: Action): boolean;
    /** See {@link Tenant.isEnabledOr}. */
    isEnabledOr(tenant: string, feature: FeatureKey<'switch'>, otherwise: boolean, now?: Instant): boolean;
    get closed(): boolean;
    /** Ends it: whatever is asked from now on is `closed`, and nothing keeps the process alive. */
    close(): Promise<void>;
}
export {};
