// Generated from lib/nestjs/tenant.ts by scripts/declarations.mjs: do not edit.
/** Which tenant a request or message is for, and what was decided about it. */
import type { ExecutionContext } from '@nestjs/common';
import type { Allowed, Decision, LimitAnswer } from '../answers';
import type { Tenant } from '../engine';
import type { FeatureKey, WorkflowKey } from '../keys';
import type { TenantExtractor } from './options';
/** The header by which a tenant is named. */
export declare const TENANT_HEADER = "x-tenant-id";
/** What guards found out about a request or message. */
export interface Outcomes {
    /** Whom it is for, once that is known. */
    readonly tenant: Tenant | undefined;
    /** Decisions of `FeatureFlagGuard`, by feature. */
    readonly features: Readonly<Record<string, Decision>>;
    /** Answers to `LimitGuard`, by feature: what to warn of, and what to bill. */
    readonly limits: Readonly<Record<string, LimitAnswer>>;
    /** Transitions that `TransitionGuard` let through, by workflow. */
    readonly transitions: Readonly<Record<string, Allowed>>;
}
/** What guards found out, by the execution context, the HTTP request, or the context of the message. */
export declare function outcomesOf(of: ExecutionContext | object): Outcomes;
/** The tenant of the request or message, as a parameter of a handler: a `Tenant`. */
export declare const CurrentTenant: () => ParameterDecorator;
/** What `LimitGuard` was answered about a limit, as a parameter of a handler: a `LimitAnswer`. */
export declare const LimitOutcome: (feature: FeatureKey<'limit'>) => ParameterDecorator;
/** The transition that `TransitionGuard` let through, as a parameter of a handler: an `Allowed`. */
export declare const TransitionOutcome: (workflow: WorkflowKey) => ParameterDecorator;
/**
 * The tenant that a request or message names itself. Of HTTP: the header `x-tenant-id`. Of messages: the same in the
 * headers or metadata of the transport, or else `tenantId` or `tenant_id` of the payload.
 *
 * It believes whoever sends it: behind a gateway that sets the header that is right, and elsewhere it is not.
 */
export declare const tenantFromHeader: TenantExtractor;
