// Generated from lib/openfeature.ts by scripts/declarations.mjs: do not edit.
/**
 * Features as flags of OpenFeature's, answered in process:
 *
 * ```js
 * await OpenFeature.setProviderAndWait(new LeaseholdProvider(() => Engine.follow({ … })))
 * const context = { targetingKey: 'om-muscat-sparkle' }
 * const open = await OpenFeature.getClient().getBooleanValue('pdf_invoices', false, context)
 * ```
 */
import { OpenFeatureEventEmitter } from '@openfeature/server-sdk';
import type { EvaluationContext, EvaluationContextValue, Hook, JsonValue, Provider, ResolutionDetails } from '@openfeature/server-sdk';
import type { FlagOptions, FlagsOptions } from './flags';
import type { EngineSource } from './session';
export type { EngineSource, FlagOptions, FlagsOptions };
/** What a {@link LeaseholdProvider} may be told. */
export interface LeaseholdProviderOptions {
    /** Which tenant a context is about. Without it: its `tenant_org_id` where that is there, else its `targetingKey`. */
    tenantOf?: (context: EvaluationContext) => EvaluationContextValue | undefined;
    /** Names of values, and metadata, by the keys of flags: what OpenFeature knows of flags, and features do not say. */
    flags?: FlagsOptions;
}
/** A provider for OpenFeature's server SDK. One that was given a function made its engine, and closes it. */
export declare class LeaseholdProvider implements Provider {
    #private;
    readonly metadata: {
        readonly name: "leasehold";
    };
    readonly runsOn = "server";
    readonly events: OpenFeatureEventEmitter;
    readonly hooks: Hook[];
    constructor(source: EngineSource, options?: LeaseholdProviderOptions);
    /** Called by the SDK. What no second try would mend is fatal to it. */
    initialize(): Promise<void>;
    /** Called by the SDK. An engine that was handed in stays open: it belongs to whoever made it. */
    onClose(): Promise<void>;
    resolveBooleanEvaluation(flagKey: string, defaultValue: boolean, context: EvaluationContext): Promise<ResolutionDetails<boolean>>;
    resolveStringEvaluation(flagKey: string, defaultValue: string, context: EvaluationContext): Promise<ResolutionDetails<string>>;
    resolveNumberEvaluation(flagKey: string, defaultValue: number, context: EvaluationContext): Promise<ResolutionDetails<number>>;
    resolveObjectEvaluation<T extends JsonValue>(flagKey: string, defaultValue: T, context: EvaluationContext): Promise<ResolutionDetails<T>>;
}
