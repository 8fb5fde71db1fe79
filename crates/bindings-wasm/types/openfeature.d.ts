// Generated from lib/openfeature.ts by scripts/declarations.mjs: do not edit.
/**
 * Features as flags of OpenFeature's web SDK: a context names the tenant, and every answer is there at once.
 *
 * ```js
 * const provider = new LeaseholdWebProvider(async (tenant) => {
 *   await init()
 *   return Engine.follow({ url, tenant, token, trust })
 * })
 * await OpenFeature.setProviderAndWait(provider, { targetingKey: 'om-muscat-sparkle' })
 * const open = OpenFeature.getClient().getBooleanValue('pdf_invoices', false)
 * ```
 */
import { OpenFeatureEventEmitter } from '@openfeature/web-sdk';
import type { EvaluationContext, EvaluationContextValue, Hook, JsonValue, Provider, ResolutionDetails } from '@openfeature/web-sdk';
import { Engine } from './engine.js';
import type { FlagOptions, FlagsOptions } from './flags.js';
export type { FlagOptions, FlagsOptions };
/** An engine, the promise of one, or what makes one for a tenant. */
export type TenantEngineSource = Engine | Promise<Engine> | ((tenant: string) => Engine | Promise<Engine>);
/** What a {@link LeaseholdWebProvider} may be told. */
export interface LeaseholdWebProviderOptions {
    /**
     * Which tenant a context is about. Without it: its `tenant_org_id` where that is there, else its `targetingKey`, else the
     * tenant that the slice of an engine that was handed in is about.
     */
    tenantOf?: (context: EvaluationContext) => EvaluationContextValue | undefined;
    /** Names of values, and metadata, by the keys of flags: what OpenFeature knows of flags, and features do not say. */
    flags?: FlagsOptions;
}
/**
 * A provider for OpenFeature's web SDK. One that was given a function makes an engine for each tenant that the context names,
 * one at a time, and closes it when the context names another. Domains with contexts of their own have providers of their own.
 */
export declare class LeaseholdWebProvider implements Provider {
    #private;
    readonly metadata: {
        readonly name: "leasehold";
    };
    readonly runsOn = "client";
    readonly events: OpenFeatureEventEmitter;
    readonly hooks: Hook[];
    constructor(source: TenantEngineSource, options?: LeaseholdWebProviderOptions);
    /** Called by the SDK. What no second try would mend is fatal to it. Before anybody logs in, nothing is opened. */
    initialize(context?: EvaluationContext): Promise<void>;
    /** Called by the SDK. While another tenant's engine is being made, nothing of the last one's is answered. */
    onContextChange(_old: EvaluationContext, context: EvaluationContext): Promise<void> | void;
    /** Called by the SDK. An engine that was handed in stays open: it belongs to whoever made it. */
    onClose(): Promise<void>;
    resolveBooleanEvaluation(flagKey: string, defaultValue: boolean, context: EvaluationContext): ResolutionDetails<boolean>;
    resolveStringEvaluation(flagKey: string, defaultValue: string, context: EvaluationContext): ResolutionDetails<string>;
    resolveNumberEvaluation(flagKey: string, defaultValue: number, context: EvaluationContext): ResolutionDetails<number>;
    resolveObjectEvaluation<T extends JsonValue>(flagKey: string, defaultValue: T, context: EvaluationContext): ResolutionDetails<T>;
}
