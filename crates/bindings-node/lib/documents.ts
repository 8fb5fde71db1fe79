/** What is signed, hashed and carried: for tools that look into documents. Engines need none of it. */

import type { CertificateSays, HeadSays, MergeSays, PlaceSays, SliceSays, Trust } from './answers'
import { asked, answered, bytes, given, json, number, text, trustText, whole, written } from './arguments'
import { ArgumentError } from './errors'
import { native } from './native'

export type { CertificateSays, HeadSays, MergeSays, PlaceSays, SliceSays }

/** Fails with a {@link SnapshotError} where bytes are not JSON in its canonical form. */
export function checkCanonical(document: Uint8Array): void {
  asked(() => native.checkCanonical(bytes('document', document)))
}

/** JSON in its canonical form, of which hashes are taken. */
export function canonicalForm(value: unknown): string {
  return asked(() => native.canonicalForm(json('value', value)))
}

/** The SHA-256 of bytes, in hexadecimal digits. */
export function hashOf(content: Uint8Array): string {
  return asked(() => native.hashOf(bytes('content', content)))
}

/** Where a tenant lies in the tree of its stream. */
export function placeOf(tenant: string): PlaceSays {
  return answered(() => native.placeOf(text('tenant', tenant)))
}

/** The id of a public key, which is 64 hexadecimal digits. */
export function keyId(key: string): string {
  return answered(() => native.keyId(text('key', key)))
}

/** The hash of definitions, which are one document. */
export function hashOfDefinitions(definitions: object): string {
  return answered(() => native.hashOfDefinitions(new TextEncoder().encode(written('definitions', definitions))))
}

/** Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it. */
export function isStaged(engineId: string, candidate: string, sharePermille: number): boolean {
  if (whole('sharePermille', sharePermille) > 1_000) {
    throw new ArgumentError(`\`sharePermille\` is an integer from 0 to 1000, not ${sharePermille}`)
  }
  return asked(() => native.isStaged(text('engineId', engineId), text('candidate', candidate), sharePermille))
}

/** What a certificate says, verified by a root key. */
export function verifyCertificate(document: Uint8Array, trust: Trust | string): CertificateSays {
  return answered(() => native.verifyCertificate(bytes('document', document), trustText(trust)))
}

/** What a head says, verified; and admitted behind the highest that was seen, where that is given. */
export function verifyHead(document: Uint8Array, trust: Trust | string, seen?: Uint8Array): HeadSays {
  const behind = seen === undefined ? undefined : bytes('seen', seen)
  return answered(() => native.verifyHead(bytes('document', document), trustText(trust), behind))
}

/** What the slice of a tenant says, verified. */
export function verifySlice(document: Uint8Array, tenant: string, trust: Trust | string): SliceSays {
  return answered(() => native.verifySlice(bytes('document', document), text('tenant', tenant), trustText(trust)))
}

/** A content as it is, verified to be the one that is named. */
export function openChunk(
  reference: { hash: string; length: number },
  encoding: 'raw' | 'zstd',
  content: Uint8Array,
): Uint8Array {
  const { hash, length } = given('reference', () => ({ hash: reference.hash, length: reference.length }))
  const named = [text('hash', hash), number('length', length), text('encoding', encoding)] as const
  return asked(() => native.openChunk(...named, bytes('content', content)))
}

/** Merges two changed documents over the one that both began with. */
export function merge(base: unknown, ours: unknown, theirs: unknown): MergeSays {
  return answered(() => native.merge(json('base', base), json('ours', ours), json('theirs', theirs)))
}
