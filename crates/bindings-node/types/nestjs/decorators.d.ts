// Generated from lib/nestjs/decorators.ts by scripts/declarations.mjs: do not edit.
/** What handlers ask for. */
import type { ExecutionContext, InjectionToken } from '@nestjs/common';
import type { Action } from '../answers';
import type { Tenant } from '../engine';
import type { Context } from '../machine';
import type { FeatureKey, WorkflowKey } from '../keys';
/**
 * Something, or how to find it in a request or message. Guards run before pipes: what a client sent is as it was sent.
 */
export type From<T> = T | ((context: ExecutionContext) => T | Promise<T>);
/** Knows how much of a limit a tenant has in use. */
export interface UsageProvider {
    used(feature: string, tenant: Tenant, context: ExecutionContext): number | Promise<number>;
}
/** The token of the `UsageProvider` for limits that name no other. */
export declare const LEASEHOLD_USAGE: unique symbol;
/** A move of an item. */
export interface Move {
    from: string;
    to: string;
    /** Inputs of guards, and the roles of whoever asks. */
    context?: Context;
    /** The service category of the item. */
    category?: string;
}
/** Knows which item a request or message wants to move. */
export interface MoveProvider {
    moveOf(workflow: string, tenant: Tenant, context: ExecutionContext): Move | Promise<Move>;
}
/** How much is asked for, and how much is in use. */
export interface LimitOptions {
    /** How many more: 1. */
    requested?: From<number>;
    /** How many there are. */
    used?: From<number>;
    /** Or the token of a {@link UsageProvider} that knows; `LEASEHOLD_USAGE` where neither is given. */
    usage?: InjectionToken;
}
/** A move, piece by piece. */
export interface MoveOptions {
    from: From<string>;
    to: From<string>;
    context?: From<Context>;
    category?: From<string | undefined>;
    move?: never;
}
/** A move that is known to a {@link MoveProvider}, by its token. */
export interface MoveOfOptions {
    move: InjectionToken;
}
export type TransitionOptions = MoveOptions | MoveOfOptions;
/**
 * Asks for one or several switches, with `FeatureFlagGuard`. Those of a handler stand in place of those of its class;
 * several on the same are all asked for.
 */
export declare function FeatureFlag(feature: FeatureKey<'switch'> | readonly FeatureKey<'switch'>[], options?: {
    action?: Action;
}): MethodDecorator & ClassDecorator;
/** Asks whether there is room in a limit, with `LimitGuard`. */
export declare function RequireLimit(feature: FeatureKey<'limit'>, options?: LimitOptions): MethodDecorator & ClassDecorator;
/** Asks whether an item may move, with `TransitionGuard`. */
export declare function RequireTransition(workflow: WorkflowKey, options: TransitionOptions): MethodDecorator & ClassDecorator;
