/** The last slice that was good, in the browser's IndexedDB. Nothing here is public. */

import type { Health, SliceSays } from '../answers'
import { messageOf } from '../errors'
import { native } from '../native'
import type { Keep, Kept, ToKeep } from './source'

const STORE = 'slices'
/** Some browsers neither open a database nor say that they do not. */
const PATIENCE_MS = 3_000

interface Stored {
  head?: Uint8Array | undefined
  seen?: Uint8Array | undefined
}

/** What is kept for one tenant of one stream. */
export class Database implements Keep {
  readonly #name: string
  readonly #trust: string
  readonly #tenant: string
  /** A slice that came with the page: newer than what was kept, or older. */
  readonly #given: Uint8Array | undefined
  /** Whether the browser owes an answer: nothing else is asked meanwhile. */
  #isSilent = false

  constructor(name: string, trust: string, tenant: string, given: Uint8Array | undefined) {
    this.#name = name
    this.#trust = trust
    this.#tenant = tenant
    this.#given = given
  }

  async kept(): Promise<Kept> {
    let stored: Stored = {}
    let notKept: string | undefined
    try {
      stored = await this.#within(async () => this.#read())
    } catch (error) {
      // A browser that denies it has kept nothing.
      notKept = messageOf(error)
    }
    const there = [stored.head, this.#given].filter((slice) => slice !== undefined)
    // One alone is verified by whoever begins with it. Of those that are wrong, it is told what is wrong with the first.
    const head = there.length < 2 ? there[0] : (this.#newest(there) ?? there[0])
    if (head !== undefined && head === this.#given && notKept === undefined) {
      notKept = await this.#keep({ head }).then(() => undefined, messageOf)
    }
    return { head, seen: stored.seen, contents: [], notKept: head === stored.head ? undefined : notKept }
  }

  async persist(_stream: string, { head }: ToKeep): Promise<void> {
    await this.#keep({ head })
  }

  async persistSeen(_stream: string, seen: Uint8Array): Promise<void> {
    await this.#keep({ seen })
  }

  async sweep(): Promise<void> {
    // There is one entry for each tenant, which is written over.
  }

  /** Another tab may have kept something newer meanwhile, which stays. */
  async #keep({ head, seen }: Stored): Promise<void> {
    const change = (stored: Stored) => ({
      head: head === undefined ? stored.head : this.#newest([head, stored.head]),
      seen: seen === undefined ? stored.seen : this.#newest([seen, stored.seen]),
    })
    await this.#within(async () => this.#write(change))
  }

  async #within<R>(ask: () => Promise<R>): Promise<R> {
    const message = `the browser's database does not answer within ${PATIENCE_MS} ms`
    if (this.#isSilent) {
      throw new Error(message)
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#isSilent = true
        reject(new Error(message))
      }, PATIENCE_MS)
    })
    const answer = ask()
    const isOver = () => {
      clearTimeout(timer)
      this.#isSilent = false
    }
    answer.then(isOver, isOver)
    return Promise.race([late, answer])
  }

  /** Of slices that are right the newest. */
  #newest(slices: (Uint8Array | undefined)[]): Uint8Array | undefined {
    const told = slices.flatMap((slice) => {
      try {
        return slice === undefined ? [] : [{ slice, ...this.#said(slice) }]
      } catch {
        return []
      }
    })
    told.sort((one, other) => other.epoch - one.epoch || other.revision - one.revision || other.expires - one.expires)
    return told[0]?.slice
  }

  /** What is said by a slice that is right. */
  #said(slice: Uint8Array): { epoch: number; revision: number; expires: number } {
    const { expires_at } = JSON.parse(native.verifySlice(slice, this.#tenant, this.#trust)) as SliceSays
    // One that follows nothing tells how high it is.
    const follower = new native.NativeFollower(this.#trust, undefined, this.#tenant, undefined)
    void follower.restore(undefined, slice, [], Date.now())
    const { seen } = JSON.parse(follower.health(Date.now())) as Health
    follower.free?.()
    const [epoch, revision] = seen ?? [0, 0]
    return { epoch, revision, expires: Date.parse(expires_at) }
  }

  get #key(): string {
    const { issuer, environment, stream } = JSON.parse(this.#trust) as Record<string, unknown>
    return JSON.stringify([issuer, environment, stream, this.#tenant])
  }

  async #read(): Promise<Stored> {
    const database = await this.#open()
    try {
      return slicesOf(await done<unknown>(database.transaction(STORE).objectStore(STORE).get(this.#key)))
    } finally {
      database.close()
    }
  }

  async #write(change: (stored: Stored) => Stored): Promise<void> {
    const database = await this.#open()
    try {
      const transaction = database.transaction(STORE, 'readwrite')
      const written = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve()
        transaction.onabort = () => reject(transaction.error ?? new Error('the browser did not keep it'))
      })
      written.catch(() => undefined)
      const store = transaction.objectStore(STORE)
      const stored = slicesOf(await done<unknown>(store.get(this.#key)))
      store.put(change(stored), this.#key)
      await written
    } finally {
      database.close()
    }
  }

  async #open(): Promise<IDBDatabase> {
    const opening = indexedDB.open(this.#name, 1)
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(STORE)
    }
    return done<IDBDatabase>(opening)
  }
}

/** What was kept, which may have been written by anybody who runs here. */
function slicesOf(stored: unknown): Stored {
  const { head, seen } = Object(stored) as Record<string, unknown>
  const slice = (value: unknown) => (value instanceof Uint8Array ? value : undefined)
  return { head: slice(head), seen: slice(seen) }
}

async function done<R>(request: IDBRequest): Promise<R> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as R)
    request.onerror = () => reject(request.error ?? new Error('the browser does not say why'))
  })
}
