// Generated from lib/follow/client.ts by scripts/declarations.mjs: do not edit.
/** Requests to HQ, and what is made of a no: what the packages for Node and for browsers share. */
import type { ServerEvent } from './events.js';
import type { Hearing } from './source.js';
/** How patient to be with HQ. */
export interface PatienceOptions {
    /** For an answer, in milliseconds: 10,000. */
    answerMs?: number;
    /** For a content, in milliseconds: 120,000. */
    contentMs?: number;
    /** Without any event, until the connection counts as lost, in milliseconds: 40,000. */
    silenceMs?: number;
    /** After the first failed connection for events, in milliseconds: 500. Doubles with every further one; half is left to chance. */
    pauseMinMs?: number;
    /** After many of them, in milliseconds: 30,000. */
    pauseMaxMs?: number;
    /** In place of the global `fetch`, for proxies and certificates of your own. */
    fetch?: typeof fetch;
}
/** Where HQ is, and how to ask. */
export interface ClientOptions extends PatienceOptions {
    url: string;
    overSafeNetwork?: boolean;
    /** Sent with every request. */
    headers?: Record<string, string>;
    /** The token; another one than the one that HQ has refused, where one is named. */
    token: (refused: string | undefined) => string | Promise<string>;
    /** Whether there may be another one. */
    mayRenew?: boolean;
}
/** Why there is no answer. */
export declare class Failure extends Error {
    readonly status?: number | undefined;
    /** Whether the same may go well another time. */
    readonly passing: boolean;
    constructor(message: string, status?: number | undefined, 
    /** Whether the same may go well another time. */
    passing?: boolean);
}
/** Pauses that grow, and of which half is left to chance, so that not all engines come back together. */
export declare class Pauses {
    #private;
    readonly min: number;
    readonly max: number;
    constructor(min: number, max: number);
    next(): number;
    reset(): void;
}
/** Asks HQ, and leaves it alone for as long as it wants to be. */
export declare class Client {
    #private;
    readonly patience: Required<Omit<PatienceOptions, 'fetch'>>;
    /** @throws {OptionsError} `invalid_base_url`, `insecure_base_url`. */
    constructor(options: ClientOptions);
    get closed(): boolean;
    /** For how long HQ is left alone, in milliseconds. */
    get leftAloneMs(): number;
    /** Ends what is under way. */
    close(): void;
    /**
     * Hears events of a path until it is closed, or `stop` is aborted: `take` says of each whether it shows that HQ is there,
     * `hearing` is told whether there are any. A round is a connection, and the pause after it; `inTurn` may let each wait.
     */
    hear(path: string, take: (event: ServerEvent) => boolean, hearing: (now: Hearing) => void, stop?: AbortSignal, inTurn?: (round: () => Promise<void>) => Promise<void>): Promise<void>;
    /** Waits; false where it was closed meanwhile. */
    pause(ms: number, stop?: AbortSignal): Promise<boolean>;
    /** Asks, and reads the answer, within so long. It begins to come within `answerMs`. */
    ask<R>(path: string, headers: Record<string, string>, withinMs: number, use: (response: Response) => Promise<R>, body?: object): Promise<R>;
    /** A text that HQ sent, or that is about what it sent, fit to be shown. */
    shown(text: string): string;
}
/**
 * Refuses what can be no token.
 * @throws {OptionsError} `invalid_token`.
 */
export declare function checkToken(token: unknown, of: string): asserts token is string;
/** A body, of which a little more than is allowed is read: what it is for refuses it. */
export declare function read(response: Response, most: number, silenceMs?: number): Promise<Uint8Array>;
export declare function discard(response: Response): Promise<void>;
