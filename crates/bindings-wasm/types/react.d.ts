// Generated from lib/react.tsx by scripts/declarations.mjs: do not edit.
import type { FunctionComponent, ReactNode } from 'react';
import type { Action, Decision, LimitAnswer, TransitionAnswer } from './answers.js';
import type { Tenant } from './engine.js';
import type { FeatureKey, WorkflowKey } from './keys.js';
import type { Context } from './machine.js';
/** What answers: an `Engine` of this package, or on a server one of `leasehold`. */
export interface AnsweringEngine {
    tenant(id?: string): {
        readonly id: string;
    };
    snapshot(): {
        readonly revision: number;
    };
    subscribe?(listener: () => void): () => void;
    readonly version?: number;
}
/** What a {@link LeaseholdProvider} takes. */
export interface LeaseholdProviderProps {
    /**
     * Who answers, or the promise of it: the same one in every rendering, so it is made outside of components or kept in a state.
     * While there is none, `fallback` is shown.
     */
    engine: AnsweringEngine | Promise<AnsweringEngine> | null | undefined;
    /** Whom it is about. Without it, the tenant that the slice is about; an engine of `leasehold` has to be told. */
    tenant?: string | undefined;
    /** What is shown until there is an engine: nothing. */
    fallback?: ReactNode;
    /** What is shown when there will be none. Without it, the error goes on to the error boundary around. */
    failed?: (error: unknown) => ReactNode;
    /**
     * Hears of questions about what is not there: a feature that HQ removed, or a key with a typo. They are answered as if it
     * were off, so that no page breaks. Without it, `console.error` says each once. What it throws is thrown by the hook: tests
     * pass `(error) => { throw error }`.
     */
    onUnknown?: (error: Error) => void;
    /**
     * The instant at which the server rendered the page, for the server and the page alike, in milliseconds since 1970: the first
     * rendering in the page then says what the server's said, even where something began or ended between them.
     */
    renderedAt?: number | undefined;
    children?: ReactNode;
}
/** Gives what is below it the answers for one tenant. */
export declare const LeaseholdProvider: FunctionComponent<LeaseholdProviderProps>;
/**
 * The tenant, for every other question. It is another object whenever answers may be other ones, so that what is kept for as
 * long as it stays (`useMemo`, the React compiler) is right. Questions about what is not there throw.
 */
export declare function useTenant(): Tenant;
/** Whether a switch is on; false of one that is not there, see {@link LeaseholdProviderProps.onUnknown}. */
export declare function useFeature(feature: FeatureKey<'switch'>, action?: Action): boolean;
/** A yes or a no about a feature of any kind, with its reason; nothing of one that is not there. */
export declare function useDecision(feature: FeatureKey, action?: Action): Readonly<Decision> | undefined;
/** The value of a value feature; null when it is off, and of one that is not there. */
export declare function useValue<V = unknown>(feature: FeatureKey<'value'>): V | null;
/** What a limit says to a request of so many more, when so many are in use already. One that is not there is off. */
export declare function useLimit(feature: FeatureKey<'limit'>, used: number, requested?: number): Readonly<LimitAnswer>;
/**
 * What may be done with an item at a stage of a workflow: every transition of the tenant's machine, with all that blocks it.
 * None where the workflow or the stage is not there.
 */
export declare function useTransitions(workflow: WorkflowKey, stage: string, context?: Context, category?: string): readonly Readonly<TransitionAnswer>[];
/** What {@link Entitled} takes. */
export interface EntitledProps {
    /** A feature of any kind. */
    feature: FeatureKey;
    /** What is to be done with it: `use`, or `read` for what a tenant in arrears still may see. */
    action?: Action;
    /** What is shown where it is off: nothing. */
    fallback?: ReactNode;
    children?: ReactNode;
}
/** Shows its children where a feature is on. */
export declare function Entitled({ feature, action, fallback, children }: EntitledProps): ReactNode;
