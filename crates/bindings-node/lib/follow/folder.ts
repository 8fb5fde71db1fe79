/**
 * A folder with snapshots: what a publisher writes, and what an engine keeps for its next start. The engines of other
 * languages read and write the same.
 *
 * ```text
 * heads/STREAM.head            the current head
 * heads/STREAM.seen            the highest head that was seen, where an engine keeps it
 * chunks/AB/ABCD….zst          contents by hash, or `.json` where they are not compressed
 * ```
 *
 * A file is written under another name and renamed when it is on disk: what bears its name is whole.
 */

import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { NativeChunk } from '../native'
import { contentOf, MAX_CONTENT_BYTES, MAX_HEAD_BYTES } from './source'
import type { Content, Keep, Kept, Reference, Source, ToKeep } from './source'

const EXTENSIONS = { zstd: 'zst', raw: 'json' } as const

/** @internal */
export class Folder implements Source, Keep {
  readonly #root: string

  constructor(root: string) {
    // Wherever the process goes from here on.
    this.#root = resolve(root)
  }

  async head(stream: string, _known?: string): Promise<Uint8Array> {
    const head = await read(this.#head(stream, 'head'), MAX_HEAD_BYTES)
    if (head === undefined) {
      throw new Error(`there is no head of ${stream} in ${this.#root}`)
    }
    return head
  }

  async content({ hash, length }: Reference): Promise<Content | undefined> {
    for (const encoding of ['zstd', 'raw'] as const) {
      const bytes = await read(this.#content(hash, encoding), Math.min(length, MAX_CONTENT_BYTES))
      if (bytes !== undefined) {
        return contentOf(bytes)
      }
    }
    return undefined
  }

  /** What was kept; what cannot be read is as good as not there, and the engine says what it misses. */
  async kept(stream: string): Promise<Kept> {
    const or = async (path: string, most: number) => read(path, most).catch(() => undefined)
    const contents: NativeChunk[] = []
    for (const path of await this.#contents()) {
      const bytes = await or(path, MAX_CONTENT_BYTES)
      const [hash = ''] = basename(path).split('.')
      if (bytes !== undefined && /^[0-9a-f]{64}$/.test(hash)) {
        contents.push({ hash, ...contentOf(bytes) })
      }
    }
    return {
      head: await or(this.#head(stream, 'head'), MAX_CONTENT_BYTES),
      seen: await or(this.#head(stream, 'seen'), MAX_HEAD_BYTES),
      contents,
    }
  }

  /** Keeps contents, then the head that names them, then forgets what it no longer names. */
  async persist(stream: string, { head, contents, obsolete }: ToKeep): Promise<void> {
    const written: [aside: string, path: string][] = []
    try {
      for (const { hash, encoding, bytes } of contents) {
        const path = this.#content(hash, encoding === 'zstd' ? 'zstd' : 'raw')
        written.push([await writeAside(path, bytes), path])
      }
      for (const [aside, path] of written) {
        await rename(aside, path)
      }
    } catch (error) {
      // A full disk is not left fuller than it was.
      await Promise.all(written.map(([aside]) => rm(aside, { force: true })))
      throw error
    }
    for (const { hash, encoding } of contents) {
      await rm(this.#content(hash, encoding === 'zstd' ? 'raw' : 'zstd'), { force: true })
    }
    for (const folder of new Set(written.map(([, path]) => dirname(path)))) {
      await sync(folder)
    }
    await writeWhole(this.#head(stream, 'head'), head)
    if (await this.#isAlone()) {
      for (const hash of obsolete) {
        await this.#forget(hash)
      }
    }
  }

  /** Keeps the highest head that was seen. */
  async persistSeen(stream: string, head: Uint8Array): Promise<void> {
    await writeWhole(this.#head(stream, 'seen'), head)
  }

  /** Removes what nothing needs any more: what a crash left behind, and contents that no head names. */
  async sweep(needed: ReadonlySet<string>): Promise<void> {
    const heads = join(this.#root, 'heads')
    for (const name of await list(heads)) {
      if (name.startsWith('.')) {
        await rm(join(heads, name), { force: true })
      }
    }
    if (await this.#isAlone()) {
      for (const path of await this.#contents()) {
        if (!needed.has(basename(path).split('.')[0] ?? '')) {
          await rm(path, { force: true })
        }
      }
    }
  }

  /** Streams that share a folder share contents. */
  async #isAlone(): Promise<boolean> {
    return (await list(join(this.#root, 'heads'))).filter((name) => name.endsWith('.head')).length === 1
  }

  async #contents(): Promise<string[]> {
    const chunks = join(this.#root, 'chunks')
    const folders = await list(chunks)
    const files = await Promise.all(folders.map(async (folder) => list(join(chunks, folder))))
    return files.flatMap((names, index) => names.map((name) => join(chunks, folders[index] ?? '', name)))
  }

  async #forget(hash: string): Promise<void> {
    for (const encoding of ['zstd', 'raw'] as const) {
      // What stays behind costs room, and is swept at the next start.
      await unlink(this.#content(hash, encoding)).catch(() => undefined)
    }
  }

  #head(stream: string, extension: 'head' | 'seen'): string {
    return join(this.#root, 'heads', `${stream}.${extension}`)
  }

  #content(hash: string, encoding: 'zstd' | 'raw'): string {
    return join(this.#root, 'chunks', hash.slice(0, 2), `${hash}.${EXTENSIONS[encoding]}`)
  }
}

/** The names in a folder; none where there is no folder. */
async function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}

/** A file, of which one byte more than is allowed is read: whoever wants it refuses it. Nothing where there is none. */
async function read(path: string, most: number): Promise<Uint8Array | undefined> {
  let file
  try {
    // A pipe in its place is not waited for.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined
    }
    throw error
  }
  try {
    const { size } = await file.stat()
    const bytes = new Uint8Array(Math.min(size, most + 1))
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length)
      if (bytesRead === 0) {
        break
      }
      length += bytesRead
    }
    return bytes.subarray(0, length)
  } finally {
    await file.close()
  }
}

/** Writes a file under another name in its folder, through to the disk. */
async function writeAside(path: string, bytes: Uint8Array): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}.${randomUUID()}`)
  try {
    const file = await open(aside, 'w')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    return aside
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const aside = await writeAside(path, bytes)
  try {
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
  await sync(dirname(path))
}

/** Sees to it that the names in a folder are on disk. */
async function sync(folder: string): Promise<void> {
  if (process.platform === 'win32') {
    // Folders cannot be opened there, and names are written with the files.
    return
  }
  const opened = await open(folder, 'r')
  try {
    await opened.sync()
  } finally {
    await opened.close()
  }
}
