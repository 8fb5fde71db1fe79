// Generated from lib/follow/platform.ts by scripts/declarations.mjs: do not edit.
/** What engines follow in Node, and where they keep it. */
import type { Trust } from '../answers';
import type { HttpOptions } from './http';
import type { Source } from './source';
/** What an engine follows, and how. */
export interface FollowOptions extends Partial<HttpOptions> {
    /** In place of `url`: a directory that a publisher writes. */
    directory?: string;
    /** In place of `url`: a source of your own. */
    source?: Source;
    /** Whom to believe: issuer, environment, stream and root keys, as an object or JSON text. From your configuration. */
    trust: Trust | string;
    /** The stream, where `trust` names none or another one: a region, such as `GCC-OM`. */
    stream?: string;
    /** The id of this engine: with it, HQ knows what it has in force, and it may try staged definitions. */
    engineId?: string;
    /** A folder of its own for what is in force, so that the next start needs nobody. */
    keep?: string;
    /** A pack that came with the program, for a first start without HQ. */
    pack?: Uint8Array;
    /** Between two questions for the head where nobody notifies, in milliseconds: 30,000. */
    pollMs?: number;
    /** After the first failed question, in milliseconds: 1,000. Doubles with every further one. */
    backoffMinMs?: number;
    /** After many of them, in milliseconds: 300,000. */
    backoffMaxMs?: number;
    /** Until HQ is told again what is in force, in milliseconds: 60,000. */
    reportMs?: number;
}
