// Generated from lib/snapshot.ts by scripts/declarations.mjs: do not edit.
/** Snapshots, and questions that are about more than one tenant. */
import type { Changes, Difference, FleetDiff, Freshness, Replay, SnapshotAbout, Upgrade, VersionComparison } from './answers.js';
import type { Instant } from './arguments.js';
import type { Trust } from './answers.js';
import type { Diagnostic } from './errors.js';
import type { LoggedMove } from './inputs.js';
import type { WorkflowKey } from './keys.js';
/** A file of definitions. */
export interface SourceFile {
    /** Its name, by which mistakes in it are told. */
    name: string;
    /** What is in it. */
    content: string | Uint8Array;
}
/** What a snapshot says of itself. */
export interface Stamp {
    /** Which revision it is; 0 where it matters to nobody. */
    revision?: number;
    /** When it was made; now where that matters to nobody. */
    issuedAt?: Instant;
    /** When it stops being fresh; without it, it never does. */
    expiresAt?: Instant;
}
/** A compiled snapshot: everything that an engine needs, of one revision. */
export declare class Snapshot {
    #private;
    /**
     * The snapshot of a pack, verified.
     * @throws {SnapshotError} Whatever is wrong with the pack.
     */
    static fromPack(pack: Uint8Array, trust: Trust | string, stream?: string): Snapshot;
    /**
     * The snapshot of definitions as people write them: one document, or files.
     * @throws {DefinitionsError} All mistakes in them.
     */
    static fromDefinitions(definitions: object | readonly SourceFile[], stamp?: Stamp): Snapshot;
    /** What it is: revision, when it was signed, and which features it has. */
    get about(): SnapshotAbout;
    get revision(): number;
    /** The ids of all tenants. */
    tenantIds(): string[];
    /** What is most likely not meant in the definitions that it was compiled from. */
    warnings(): Diagnostic[];
    /** How sure it is that it is the newest. */
    freshness(now?: Instant): Freshness;
    /** What it changes over an older one, for a whole fleet, in numbers and examples. */
    diff(older: Snapshot, now?: Instant): FleetDiff;
    /** Which tenants have other answers than in an older one, and to which features. */
    changes(older: Snapshot, now?: Instant): Changes;
    /** What a tenant would have more, less or otherwise if it were the other one. */
    diffTenants(tenant: string, other: string, now?: Instant): Difference;
    /** How two versions of a workflow differ. */
    compareVersions(workflow: WorkflowKey, from: number, to: number): VersionComparison;
    /** What a tenant lays over a workflow, carried over to another version by three-way merge. */
    upgrade(tenant: string, workflow: WorkflowKey, to: number, side: 'base' | 'ours' | 'theirs'): Upgrade;
    /** Moves of the past, tried again with a version of a workflow. */
    replay(workflow: WorkflowKey, version: number, log: readonly LoggedMove[]): Replay;
}
