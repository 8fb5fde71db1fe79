// Generated from lib/nestjs/guards.ts by scripts/declarations.mjs: do not edit.
/** Guards: what handlers ask for, asked before they run. */
import type { CanActivate, ExecutionContext } from '@nestjs/common';
/** Lets through where the features of `@FeatureFlag` are on. */
export declare class FeatureFlagGuard implements CanActivate {
    #private;
    canActivate(context: ExecutionContext): Promise<boolean>;
}
/** Lets through where there is room in the limits of `@RequireLimit`. */
export declare class LimitGuard implements CanActivate {
    #private;
    canActivate(context: ExecutionContext): Promise<boolean>;
}
/** Lets through where the move of `@RequireTransition` is allowed. */
export declare class TransitionGuard implements CanActivate {
    #private;
    canActivate(context: ExecutionContext): Promise<boolean>;
}
