// Generated from lib/nestjs/module.ts by scripts/declarations.mjs: do not edit.
/** The module: an engine for the app, and all that asks it. */
import type { DynamicModule, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { ConfigurableModuleClass } from './options';
import type { LeaseholdModuleOptions } from './options';
/**
 * Entitlements for a NestJS app, in HTTP and microservices. Global: it is imported once.
 *
 * ```ts
 * LeaseholdModule.forRoot({ follow: { url, token, trust, engineId: 'orders-1', keep: './kept' } })
 * ```
 */
export declare class LeaseholdModule extends ConfigurableModuleClass implements OnModuleInit, OnApplicationShutdown {
    #private;
    static forRoot(options: LeaseholdModuleOptions & {
        isGlobal?: boolean;
    }): DynamicModule;
    onModuleInit(): Promise<void>;
    /** By then requests are no longer served. */
    onApplicationShutdown(): Promise<void>;
}
