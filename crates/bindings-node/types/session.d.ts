// Generated from lib/session.ts by scripts/declarations.mjs: do not edit.
/** What providers for OpenFeature share, whichever SDK they are for: an engine, and what is told of it. */
import { Engine } from './engine';
import { ClosedError } from './errors';
/** An engine, the promise of one, or what makes one. */
export type EngineSource = Engine | Promise<Engine> | (() => Engine | Promise<Engine>);
/** Who hears of it: each SDK has an emitter of its own. The events are named as in the specification of OpenFeature. */
export interface Events {
    emit(event: 'PROVIDER_READY' | 'PROVIDER_ERROR' | 'PROVIDER_STALE' | 'PROVIDER_CONFIGURATION_CHANGED', told: {
        message?: string;
        flagsChanged?: string[];
        metadata?: {
            revision: number;
        };
    }): void;
}
/**
 * Listens to an engine, until what is given back is called: tells of flags that are others, or of nothing where only the
 * snapshot is another one. Where it names no flags, any may be others.
 */
export type Listen = (engine: Engine, tell: (changed?: {
    flagsChanged?: string[];
}) => void) => () => void;
/** An engine for as long as a provider uses it, and what is told of it. */
export declare class Session {
    #private;
    readonly engine: Engine;
    private constructor();
    static open(source: EngineSource, events: Events, listen?: Listen): Promise<Session>;
    close(): Promise<void>;
    /** The SDK says by itself that the provider is ready, whatever it was before. What is stale is said behind it. */
    sayAgain(): void;
    /** Takes note of how fresh an answer was. */
    saw(stale: boolean): void;
    /** Tells of it once: an engine that was closed does not open again. */
    failed(error: ClosedError): void;
}
