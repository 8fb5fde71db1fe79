// Generated from lib/engine.ts by scripts/declarations.mjs: do not edit.
/** Engines in Node. */
import { BaseEngine } from './base';
import type { Trust } from './answers';
export { Tenant } from './base';
export type { EngineEvents } from './base';
/** Answers questions from the newest snapshot. One that follows keeps the process alive until it is closed. */
export declare class Engine extends BaseEngine {
    /**
     * An engine that answers from a directory of snapshots as it is now, and does not follow it.
     * @throws {SnapshotError} Whatever is wrong with what is there.
     */
    static fromDirectory(directory: string, trust: Trust | string, stream?: string): Promise<Engine>;
    /**
     * An engine that answers from what an engine that followed has kept, see {@link FollowOptions.keep}.
     * @throws {SnapshotError} Nothing was kept, or it is of no use.
     */
    static fromLastKnownGood(folder: string, trust: Trust | string, stream?: string): Promise<Engine>;
}
