// Generated from lib/nestjs/options.ts by scripts/declarations.mjs: do not edit.
/** What a `LeaseholdModule` is told. */
import type { ConfigurableModuleCls, ExecutionContext, LogLevel } from '@nestjs/common';
import type { Engine } from '../engine';
import type { FollowOptions } from '../follow/platform';
/**
 * Says which tenant a request or message is for; nothing where it names none. What it throws, the client is answered.
 */
export type TenantExtractor = (context: ExecutionContext) => string | undefined | Promise<string | undefined>;
/** At which levels decisions are logged; `false` for those that are not. */
export interface LogOptions {
    /** `debug` */
    granted?: LogLevel | false;
    /** `log` */
    refused?: LogLevel | false;
}
/** What spans and metrics carry. */
export interface TelemetryOptions {
    /** Whether metrics carry the tenant, as spans do: `true`. It makes one time series for each tenant. */
    tenantInMetrics?: boolean;
}
/** What does not depend on where the engine comes from. */
export interface LeaseholdCommonOptions {
    /**
     * Whether the module closes the engine on shutdown. It does where it made it: by `follow`, or by calling `engine`.
     */
    closeEngine?: boolean;
    /** Which tenant a request or message is for: {@link tenantFromHeader}. */
    tenant?: TenantExtractor;
    /** What becomes of an app whose decorators name features or workflows that do not exist: `fail`. */
    onUnknownKeys?: 'fail' | 'warn';
    log?: LogOptions;
    telemetry?: TelemetryOptions;
}
/** An engine of yours, or how to make one. */
export interface LeaseholdEngineOptions extends LeaseholdCommonOptions {
    engine: Engine | Promise<Engine> | (() => Engine | Promise<Engine>);
    follow?: never;
}
/** What `Engine.follow` takes. */
export interface LeaseholdFollowOptions extends LeaseholdCommonOptions {
    follow: FollowOptions;
    engine?: never;
}
/** Where the engine comes from, and how it is asked. */
export type LeaseholdModuleOptions = LeaseholdEngineOptions | LeaseholdFollowOptions;
/** What `LeaseholdModule` is built on. */
export declare const ConfigurableModuleClass: ConfigurableModuleCls<LeaseholdModuleOptions, 'forRoot', 'create', {
    isGlobal: boolean;
}>;
