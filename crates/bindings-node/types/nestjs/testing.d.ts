// Generated from lib/nestjs/testing.ts by scripts/declarations.mjs: do not edit.
/** Policies in memory, for tests: real definitions and a real engine, without HQ. */
import type { DynamicModule } from '@nestjs/common';
import { Engine } from '../engine';
import type { SourceFile } from '../snapshot';
import type { LeaseholdCommonOptions } from './options';
/** A limit: how much, or all that is to be said of it. */
export type LimitPolicy = number | 'unlimited' | {
    amount: number | 'unlimited';
    mode?: 'hard' | 'soft' | 'billable';
    thresholds?: readonly number[];
};
/** What a tenant may do. What is not said is off, or as the definitions or the plan have it. */
export interface TenantPolicy {
    /** Switches, on or off. */
    features?: Readonly<Record<string, boolean>>;
    limits?: Readonly<Record<string, LimitPolicy>>;
    /** Values: texts, integers, and JSON without floats. */
    values?: Readonly<Record<string, unknown>>;
    /** How much is left to it: `full`. */
    access?: 'full' | 'read_only' | 'billing_only' | 'none';
    /** A plan of the definitions, which it pays for. */
    plan?: string;
    /** What it lays over workflows of the definitions. */
    workflows?: Readonly<Record<string, object>>;
}
/** What all tenants may do. */
export interface Policies {
    tenants: Readonly<Record<string, TenantPolicy>>;
    /**
     * Definitions to begin with: features, plans, workflows, as one document or as files. Tenants that policies name
     * stand in place of those there. Without definitions, there is what policies name.
     */
    definitions?: object | readonly SourceFile[];
}
/** Policies that a test changes as it goes: each change is in force when the call returns. */
export declare class TestPolicies {
    #private;
    /** The engine that answers by them. */
    readonly engine: Engine;
    /** @throws {DefinitionsError} Policies that no definitions can be made of. */
    constructor({ tenants, definitions }: Policies);
    /** What a tenant may do from now on, in place of what it could. A new tenant is made. */
    set(tenant: string, policy: TenantPolicy): void;
    /** There is no such tenant any more, unless definitions have it. */
    remove(tenant: string): void;
}
/**
 * A `LeaseholdModule` that answers by policies in memory.
 *
 * ```ts
 * imports: [LeaseholdTestingModule.forPolicies({ tenants: { acme: { features: { pdf_invoices: true } } } })]
 * …
 * app.get(TestPolicies).set('acme', { features: { pdf_invoices: false } })
 * ```
 *
 * Where the app under test imports `LeaseholdModule` itself, put the engine of {@link TestPolicies} in the place of its
 * own:
 * `.overrideProvider(Engine).useValue(new TestPolicies({ … }).engine)`.
 */
export declare class LeaseholdTestingModule {
    static forPolicies(policies: Policies | TestPolicies, options?: LeaseholdCommonOptions): DynamicModule;
}
