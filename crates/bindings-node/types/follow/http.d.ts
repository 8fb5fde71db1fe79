// Generated from lib/follow/http.ts by scripts/declarations.mjs: do not edit.
/** HQ over HTTP: a source for engines that follow. */
import type { PatienceOptions } from './client';
import type { Content, Hearing, Reference, Source } from './source';
/** Where HQ is, and how patient to be with it. */
export interface HttpOptions extends PatienceOptions {
    /** The base URL, such as `https://hq.example`. */
    url: string;
    /** The token that HQ gave out for this engine. */
    token: string;
    /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
    overSafeNetwork?: boolean;
}
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
