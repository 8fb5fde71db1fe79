// Generated from lib/nestjs/health.ts by scripts/declarations.mjs: do not edit.
/** How the engine is doing, for health checks. */
import type { FaultSeen, Freshness, Health } from '../answers';
/** What a check found, as `@nestjs/terminus` wants it. */
export type LeaseholdHealth<Key extends string = string> = Record<Key, LeaseholdHealthState>;
export interface LeaseholdHealthState {
    status: 'up' | 'down';
    /** The revision in force; absent when closed, as all below. */
    revision?: number;
    freshness?: Freshness;
    /** What was refused or failed since the last success; absent of an engine that does not follow, as all below. */
    faults?: readonly FaultSeen[];
    failures?: number;
    persisted?: boolean;
    last_contact_at?: Health['last_contact_at'];
    /** What is wrong. */
    message?: string;
}
/** When it is down. */
export interface LeaseholdHealthOptions {
    /**
     * Freshness at which it is down. None: an engine answers whatever becomes of HQ, and an app that is taken out of
     * service because HQ is down is down with it.
     */
    downWhen?: readonly Freshness[];
}
/**
 * Health of the engine. What `check` gives is a result of `@nestjs/terminus`, 11 and newer, of which it needs nothing:
 *
 * ```ts
 * return this.health.check([() => this.leasehold.check('leasehold')])
 * ```
 */
export declare class LeaseholdHealthIndicator {
    #private;
    check<const Key extends string = 'leasehold'>(key?: Key, { downWhen }?: LeaseholdHealthOptions): LeaseholdHealth<Key>;
}
