// Generated from lib/nestjs/entitlements.ts by scripts/declarations.mjs: do not edit.
/** What the tenant may do for whom a request or message is handled. */
import type { ExecutionContext } from '@nestjs/common';
import type { Action, Allowed, Decision, Entitlements, LimitAnswer } from '../answers';
import type { Tenant } from '../engine';
import type { Context } from '../machine';
import type { FeatureKey, WorkflowKey } from '../keys';
/**
 * What the tenant may do for whom a request or message is handled. One for the whole app: it looks up who that is when
 * it is asked, so what injects it need not be scoped to requests. Known from the moment on that interceptors run;
 * guards and filters of your own ask {@link TenantEntitlements.of}.
 */
export declare class TenantEntitlements {
    #private;
    /**
     * The tenant itself, for all other questions. They are neither logged nor counted.
     * @throws {EntitlementException} `tenant_required`, `unknown_tenant`; as an `RpcException` while a message is
     * handled.
     */
    get tenant(): Tenant;
    /** Its id; nothing where it is not known for whom this is. */
    get tenantId(): string | undefined;
    /** The tenant of a request or message, before it is handled: for guards, interceptors and filters. */
    of(context: ExecutionContext): Promise<Tenant>;
    /** Runs something for a tenant: jobs, commands, whatever no request or message stands behind. */
    run<R>(tenantId: string, work: () => R): R;
    /** Whether a switch is on. */
    isEnabled(feature: FeatureKey<'switch'>, action?: Action): boolean;
    /** A yes or a no about a feature of any kind, with its reason. */
    decide(feature: FeatureKey, action?: Action): Decision;
    /** The value of a value feature; null when it is off. */
    value<V = unknown>(feature: FeatureKey<'value'>): V | null;
    /** What a limit says to a request of so many more, when so many are in use already. */
    checkLimit(feature: FeatureKey<'limit'>, used: number, requested: number): LimitAnswer;
    /**
     * Whether an item of a workflow may move.
     * @throws {TransitionError} All that stands against it.
     * @throws {QuestionError} It cannot move there at all.
     */
    checkTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed;
    /** Everything that the tenant may have. */
    entitlements(): Entitlements;
    /**
     * Goes on only where a feature is on.
     * @throws {EntitlementException} `feature_off`; as an `RpcException` while a message is handled.
     */
    requireFeature(feature: FeatureKey, action?: Action): Decision;
    /**
     * Goes on only where there is room in a limit.
     * @throws {EntitlementException} `limit_reached`, `feature_off`; as an `RpcException` while a message is handled.
     */
    requireLimit(feature: FeatureKey<'limit'>, used: number, requested: number): LimitAnswer;
    /**
     * Goes on only where an item of a workflow may move.
     * @throws {EntitlementException} `guard_failed`, `illegal_transition`; as an `RpcException` while a message is
     * handled.
     */
    requireTransition(workflow: WorkflowKey, from: string, to: string, context?: Context, category?: string): Allowed;
}
