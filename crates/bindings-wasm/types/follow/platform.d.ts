// Generated from lib/follow/platform.ts by scripts/declarations.mjs: do not edit.
/** What engines follow in browsers, and where they keep it. */
import type { Trust } from '../answers.js';
import type { PatienceOptions } from './client.js';
import type { Source } from './source.js';
/**
 * A token, or what gives one: asked once, and again when HQ refuses the last one, with `refused` true. Your server gives them
 * out, for one tenant and a short time; see `docs/browser.md`.
 */
export type TokenSource = string | ((refused: boolean) => string | Promise<string>);
/** Whose slice an engine follows, and how. */
export interface FollowOptions extends PatienceOptions {
    /** The base URL of HQ, such as `https://hq.example`. Without it and without a `source`, what is there already answers. */
    url?: string;
    /** The tenant. */
    tenant: string;
    /** A token that may read this tenant's slice, or what gives one. */
    token?: TokenSource;
    /** In place of `url`: a source of your own, which gives slices. */
    source?: Source;
    /** Whom to believe: issuer, environment, stream and root keys, as an object or JSON text. From your page's own server. */
    trust: Trust | string;
    /** The stream, where `trust` names none or another one: a region, such as `GCC-OM`. */
    stream?: string;
    /** A slice that came with the page, so that the first answer needs no request. */
    slice?: Uint8Array | string;
    /** Whether to keep the last good slice in IndexedDB, for pages that start without a network: true. */
    keep?: boolean;
    /** Whether the tabs of this page share one connection for events: true. */
    share?: boolean;
    /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
    overSafeNetwork?: boolean;
    /** Between two questions for the slice where nobody notifies, in milliseconds: 60,000. */
    pollMs?: number;
    /** After the first failed question, in milliseconds: 1,000. Doubles with every further one. */
    backoffMinMs?: number;
    /** After many of them, in milliseconds: 300,000. */
    backoffMaxMs?: number;
}
