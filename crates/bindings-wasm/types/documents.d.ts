// Generated from lib/documents.ts by scripts/declarations.mjs: do not edit.
/** What is signed, hashed and carried: for tools that look into documents. Engines need none of it. */
import type { CertificateSays, HeadSays, MergeSays, PlaceSays, SliceSays, Trust } from './answers.js';
export type { CertificateSays, HeadSays, MergeSays, PlaceSays, SliceSays };
/** Fails with a {@link SnapshotError} where bytes are not JSON in its canonical form. */
export declare function checkCanonical(document: Uint8Array): void;
/** JSON in its canonical form, of which hashes are taken. */
export declare function canonicalForm(value: unknown): string;
/** The SHA-256 of bytes, in hexadecimal digits. */
export declare function hashOf(content: Uint8Array): string;
/** Where a tenant lies in the tree of its stream. */
export declare function placeOf(tenant: string): PlaceSays;
/** The id of a public key, which is 64 hexadecimal digits. */
export declare function keyId(key: string): string;
/** The hash of definitions, which are one document. */
export declare function hashOfDefinitions(definitions: object): string;
/** Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it. */
export declare function isStaged(engineId: string, candidate: string, sharePermille: number): boolean;
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
/** Merges two changed documents over the one that both began with. */
export declare function merge(base: unknown, ours: unknown, theirs: unknown): MergeSays;
