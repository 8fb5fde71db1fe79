/** The last slice that was good, in the browser's IndexedDB. Nothing here is public. */

import type { Keep, Kept, ToKeep } from './source'

const STORE = 'slices'

interface Stored {
  head?: Uint8Array
  seen?: Uint8Array
}

/** What is kept for one tenant of one stream. */
export class Database implements Keep {
  readonly #name: string
  readonly #key: string
  /** A slice that came with the page: newer than what was kept, or older. */
  readonly #given: Uint8Array | undefined
  readonly #newest: (slices: (Uint8Array | undefined)[]) => Uint8Array | undefined

  constructor(
    name: string,
    key: string,
    given: Uint8Array | undefined,
    newest: (slices: (Uint8Array | undefined)[]) => Uint8Array | undefined,
  ) {
    this.#name = name
    this.#key = key
    this.#given = given
    this.#newest = newest
  }

  async kept(): Promise<Kept> {
    // A browser that denies it has kept nothing.
    const stored = await this.#read().catch(() => undefined)
    return { head: this.#newest([stored?.head, this.#given]), seen: stored?.seen, contents: [] }
  }

  async persist(_stream: string, { head }: ToKeep): Promise<void> {
    await this.#write((stored) => ({ ...stored, head }))
  }

  async persistSeen(_stream: string, seen: Uint8Array): Promise<void> {
    await this.#write((stored) => ({ ...stored, seen }))
  }

  async sweep(): Promise<void> {
    // There is one entry for each tenant, which is written over.
  }

  async #read(): Promise<Stored | undefined> {
    const database = await this.#open()
    try {
      return await done<Stored | undefined>(database.transaction(STORE).objectStore(STORE).get(this.#key))
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
      const stored = (await done<Stored | undefined>(store.get(this.#key))) ?? {}
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

async function done<R>(request: IDBRequest): Promise<R> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as R)
    request.onerror = () => reject(request.error ?? new Error('the browser does not say why'))
    if ('onblocked' in request) {
      ;(request as IDBOpenDBRequest).onblocked = () => reject(new Error('another page holds an older database'))
    }
  })
}
