/** What is signed, hashed and carried: for tools that look into documents. Engines need none of it. */

import type { Trust } from './answers'
import { asked, answered, bytes, given, json, number, text, trustText, whole, written } from './arguments'
import { ArgumentError } from './errors'
import { native } from './native'

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
export function placeOf(tenant: string): { node: number; shard: number } {
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

/** What a certificate says. */
export interface CertificateSays {
  issuer: string
  environment: string
  epoch: number
  key_id: string
  valid_from: string
  valid_until: string | null
}

/** What a head says. */
export interface HeadSays {
  /** The hash of the document. */
  document: string
  signed_by: string
  stream: string
  epoch: number
  revision: number
  issued_at: string
  expires_at: string
  manifest: { hash: string; length: number }
  candidate: { definitions: { hash: string; length: number }; share_permille: number } | null
  /** Ids of the keys that may sign slices. */
  slice_keys: string[]
}

/** What a slice says. */
export interface SliceSays {
  tenant: string
  revision: number
  expires_at: string
  definitions: string
  content: { hash: string; length: number }
  /** How many features it has; null for an envelope without its content. */
  features: number | null
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

/** What a three-way merge of JSON came to. */
export interface Merge {
  /** What both sides agree on; what the base has where they do not. */
  result: unknown
  conflicts: { path: string; base?: unknown; ours?: unknown; theirs?: unknown }[]
  /** The result with one side's word in every conflict. */
  resolved: { ours: unknown; theirs: unknown }
}

/** Merges two changed documents over the one that both began with. */
export function merge(base: unknown, ours: unknown, theirs: unknown): Merge {
  return answered(() => native.merge(json('base', base), json('ours', ours), json('theirs', theirs)))
}
