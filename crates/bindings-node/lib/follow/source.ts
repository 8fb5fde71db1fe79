/** Where snapshots come from, and where they are kept. */

import type { NativeChunk } from '../native'

/** A content by its hash, and how many bytes it has. */
export interface Reference {
  hash: string
  length: number
}

/** A content as it is kept or carried. What is in it is known only once it was verified. */
export interface Content {
  encoding: 'raw' | 'zstd'
  bytes: Uint8Array
}

/** Whether an engine hears of news, or has to ask. */
export type Hearing = { told: true } | { told: false; why: string }

/**
 * Where snapshots come from. A source carries bytes; what they mean, whether they are right, and when to ask again, the
 * engine decides. Whatever a method throws is the reason that is told: the engine asks again later.
 */
export interface Source {
  /**
   * The current head of a stream; nothing where it is the one with this hash. Of a slice the slice; where its content is the
   * one with this hash, no more than what stands before that.
   */
  head(stream: string, known: string | undefined): Promise<Uint8Array | { envelope: Uint8Array } | undefined>
  /** A content; nothing where the source does not have it. */
  content(reference: Reference): Promise<Content | undefined>
  /** A head with all that it names, where that can be had at once. */
  pack?(stream: string): Promise<Uint8Array | undefined>
  /** Tells the publisher what is in force, or what was refused. It is not waited for; where it fails, nobody is told. */
  report?(report: object): void | Promise<void>
  /**
   * Calls back whenever something is new, from now on until it is closed. It is not waited for; where it fails, `hearing` of
   * the engine says why, and the engine goes on asking.
   */
  listen?(notify: () => void): void | Promise<void>
  /**
   * Says which revision is waited for, the lowest where several are; none any more. One that leaves a slice as it was is told
   * to nobody who does not ask.
   * @internal
   */
  awaits?(revision: number | undefined): void
  /** Ends what is under way. Nothing is asked any more. It is not waited for; where it fails, nobody is told. */
  close?(): void | Promise<void>
  /** Whether it hears of news, where it is one that can. */
  readonly hearing?: Hearing
}

/**
 * What was kept.
 * @internal
 */
export interface Kept {
  head: Uint8Array | undefined
  seen: Uint8Array | undefined
  contents: NativeChunk[]
  /** Why the head could not be kept, where it was not. */
  notKept?: string | undefined
}

/**
 * What is to be kept.
 * @internal
 */
export interface ToKeep {
  head: Uint8Array
  contents: NativeChunk[]
  obsolete: string[]
}

/**
 * Where an engine keeps what is in force, for its next start.
 * @internal
 */
export interface Keep {
  /** What was kept; what cannot be read is as good as not there, and the engine says what it misses. */
  kept(stream: string): Promise<Kept>
  /** Keeps contents, then the head that names them, then forgets what it no longer names. */
  persist(stream: string, toKeep: ToKeep): Promise<void>
  /** Keeps the highest head that was seen. */
  persistSeen(stream: string, head: Uint8Array): Promise<void>
  /** Removes what nothing needs any more. */
  sweep(needed: ReadonlySet<string>): Promise<void>
}

/**
 * What is followed, and where it is kept.
 * @internal
 */
export interface Carrier {
  /** Whom to believe, as JSON. */
  trust: string
  engineId: string | undefined
  /** The tenant whose slice is followed; without it, a stream is. */
  tenant: string | undefined
  /** How patient to be where nobody says otherwise, in milliseconds; what it does not name, the follower knows. */
  usual?: { pollMs: number }
  keep: Keep | undefined
  /** What to begin with, where nothing is kept. */
  given: Kept | undefined
  pack: Uint8Array | undefined
  /** Whether what is there already answers at once, and the source is asked behind it. */
  startsAlone: boolean
  /** Where nobody is asked there is none. */
  source: (stream: string) => Source | undefined
}

/** Longest head, in bytes. */
export const MAX_HEAD_BYTES = 64 << 10
/** Longest content, in bytes. */
export const MAX_CONTENT_BYTES = 64 << 20
/** Longest pack that is fetched, in bytes. A longer one is fetched in pieces, whose lengths the head vouches for. */
export const MAX_PACK_BYTES = 256 << 20

/** A content whose first bytes say whether it is compressed: contents are JSON, which never begins like a zstd frame. */
export function contentOf(bytes: Uint8Array): Content {
  const magic = [0x28, 0xb5, 0x2f, 0xfd]
  return { encoding: magic.every((byte, index) => bytes[index] === byte) ? 'zstd' : 'raw', bytes }
}
