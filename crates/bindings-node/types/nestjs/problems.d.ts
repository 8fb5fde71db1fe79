// Generated from lib/nestjs/problems.ts by scripts/declarations.mjs: do not edit.
/** What is answered to those who may not: RFC 9457 problem documents with stable codes. */
import { HttpException } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { LimitAnswer } from '../answers';
import type { Blocker } from '../errors';
/** A problem document. Programs go by `code` and `reason`; `detail` is for people. */
export interface Problem {
    /** `urn:leasehold:problem:` and the code. */
    type: string;
    /** The status in words. */
    title: string;
    status: number;
    /**
     * `tenant_required` (400); `unknown_tenant`, `feature_off`, `limit_reached` (403); `guard_failed` (403 where every
     * way lacks a role, else 409), `illegal_transition` (409), `inactive_template` (403), `unknown_stage` (400);
     * `unknown_feature`, `wrong_kind` and `unknown_workflow` (403) for what the revision in force does not have;
     * `amount_out_of_range` and `invalid_argument` (400) for what a request asks for and cannot mean.
     */
    code: string;
    detail: string;
    /** Why the feature is off, or the limit reached. */
    reason?: string;
    feature?: string;
    /** The kind of the strictest block, where the tenant's access is what is too low. */
    block?: string;
    /** All that the engine answered about the limit. */
    limit?: LimitAnswer;
    workflow?: string;
    from?: string;
    to?: string;
    /** All that stands against a transition. */
    blockers?: readonly Blocker[];
    /** The revision that decided. */
    revision?: number;
}
/**
 * A refusal. Filters of your own see an `HttpException` whose response is the {@link Problem}; in microservices the
 * same document travels in an `RpcException`.
 */
export declare class EntitlementException extends HttpException {
    readonly problem: Problem;
    constructor(problem: Problem, options?: {
        cause?: unknown;
    });
    get code(): string;
}
/** Answers refusals as `application/problem+json`. */
export declare class ProblemFilter implements ExceptionFilter<EntitlementException> {
    #private;
    catch(exception: EntitlementException, host: ArgumentsHost): unknown;
}
