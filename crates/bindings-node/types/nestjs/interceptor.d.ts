// Generated from lib/nestjs/interceptor.ts by scripts/declarations.mjs: do not edit.
/** What surrounds handlers: the tenant for whom they work, and a span and a measurement that say so. */
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Observable } from 'rxjs';
/** Makes the tenant known to what handlers call. The module puts it around all of them. */
export declare class LeaseholdInterceptor implements NestInterceptor {
    #private;
    intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>>;
}
