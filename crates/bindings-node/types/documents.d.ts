// Generated from lib/documents.ts by scripts/declarations.mjs: do not edit.
/** What is signed, hashed and carried: for tools that look into documents. Engines need none of it. */
import type { Trust } from './answers';
/** Fails with a {@link SnapshotError} where bytes are not JSON in its canonical form. */
export declare function checkCanonical(document: Uint8Array): void;
/** JSON in its canonical form, of which hashes are taken. */
export declare function canonicalForm(value: unknown): string;
/** The SHA-256 of bytes, in hexadecimal digits. */
export declare function hashOf(content: Uint8Array): string;
/** Where a tenant lies in the tree of its stream. */
export declare function placeOf(tenant: string): {
    node: number;
    shard: number;
};
/** The id of a public key, which is 64 hexadecimal digits. */
export declare function keyId(key: string): string;
/** The hash of definitions, which are one document. */
export declare function hashOfDefinitions(definitions: object): string;
/** Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it. */
export declare function isStaged(engineId: string, candidate: string, sharePermille: number): boolean;
/** What a certificate says. */
export interface CertificateSays {
    issuer: string;
    environment: string;
    epoch: number;
    key_id: string;
    valid_from: string;
    valid_until: string | null;
}
/** What a head says. */
export interface HeadSays {
    /** The hash of the document. */
    document: string;
    signed_by: string;
    stream: string;
    epoch: number;
    revision: number;
    issued_at: string;
    expires_at: string;
    manifest: {
        hash: string;
        length: number;
    };
    candidate: {
        definitions: {
            hash: string;
            length: number;
        };
        share_permille: number;
    } | null;
    /** Ids of the keys that may sign slices. */
    slice_keys: string[];
}
/** What a slice says. */
export interface SliceSays {
    tenant: string;
    revision: number;
    expires_at: string;
    definitions: string;
    content: {
        hash: string;
        length: number;
    };
    /** How many features it has; null for an envelope without its content. */
    features: number | null;
}
/** What a certificate says, verified by a root key. */
export declare function verifyCertificate(document: Uint8Array, trust: Trust | string): CertificateSays;
/** What a head says, verified; and admitted behind the highest that was seen, where that is given. */
export declare function verifyHead(document: Uint8Array, trust: Trust | string, seen?: Uint8Array): HeadSays;
/** What the slice of a tenant says, verified. */
export declare function verifySlice(document: Uint8Array, tenant: string, trust: Trust | string): SliceSays;
/** A content as it is, verified to be the one that is named. */
export declare function openChunk(reference: {
    hash: string;
    length: number;
}, encoding: 'raw' | 'zstd', content: Uint8Array): Uint8Array;
/** What a three-way merge of JSON came to. */
export interface Merge {
    /** What both sides agree on; what the base has where they do not. */
    result: unknown;
    conflicts: {
        path: string;
        base?: unknown;
        ours?: unknown;
        theirs?: unknown;
    }[];
    /** The result with one side's word in every conflict. */
    resolved: {
        ours: unknown;
        theirs: unknown;
    };
}
/** Merges two changed documents over the one that both began with. */
export declare function merge(base: unknown, ours: unknown, theirs: unknown): Merge;
