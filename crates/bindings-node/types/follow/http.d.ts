// Generated from lib/follow/http.ts by scripts/declarations.mjs: do not edit.
/** HQ over HTTP: a source for engines that follow. */
import type { Content, Reference, Source } from './source';
/** Where HQ is, and how patient to be with it. */
export interface HttpOptions {
    /** The base URL, such as `https://hq.example`. */
    url: string;
    /** The token that HQ gave out for this engine. */
    token: string;
    /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
    overSafeNetwork?: boolean;
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
/** Whether an engine hears of news, or has to ask. */
export type Hearing = {
    told: true;
} | {
    told: false;
    why: string;
};
/** HQ as a source of snapshots. */
export declare class HttpSource implements Source {
    #private;
    /**
     * @throws {OptionsError} `invalid_base_url`, `insecure_base_url`, `invalid_token`.
     */
    constructor(options: HttpOptions, stream: string, engineId?: string);
    /** Whether it hears of news. */
    get hearing(): Hearing;
    head(stream: string, known: string | undefined): Promise<Uint8Array | undefined>;
    content({ hash, length }: Reference): Promise<Content | undefined>;
    pack(stream: string): Promise<Uint8Array | undefined>;
    report(report: object): void;
    listen(notify: () => void): void;
    close(): void;
}
