/** One tenant's slice, from HQ over HTTP. The tabs of a page share one connection for events, and what came over it. */

import { ArgumentError } from '../errors'
import { checkToken, Client, Failure, read } from './client'
import type { ServerEvent } from './events'
import { tokenOf } from './platform'
import type { FollowOptions } from './platform'
import { MAX_CONTENT_BYTES } from './source'
import type { Content, Hearing, Source } from './source'

/** What tabs tell each other. */
interface Told {
  /** The hash of the content. */
  etag: string
  /** The slice, or what stands before the content. */
  document: Uint8Array
  isWhole: boolean
}

/** How long a page is out of sight until it stops listening: looking at another tab for a moment costs nothing. */
const OUT_OF_SIGHT_MS = 5_000

/** @internal */
export class SliceSource implements Source {
  readonly #client: Client
  readonly #path: string
  readonly #stream: string
  readonly #name: string
  readonly #share: boolean
  readonly #pollMs: number
  #token: string | undefined
  #hearing: Hearing = { told: false, why: 'nobody has connected yet' }
  #channel: BroadcastChannel | undefined
  /** What another tab told, and when. */
  #told: (Told & { at: number }) | undefined
  #lastEtag: string | undefined
  #notify: () => void = () => undefined
  #stop: AbortController | undefined
  #leaving: ReturnType<typeof setTimeout> | undefined
  readonly #seen = () => this.#look()

  /** @throws {OptionsError} `invalid_base_url`, `insecure_base_url`, `invalid_token`. */
  constructor(options: Partial<FollowOptions>, stream: string, tenant: string, share: boolean) {
    const { url, token, pollMs = 60_000, ...others } = options
    if (url !== undefined && typeof url !== 'string') {
      throw new ArgumentError('`url` is a text: the base URL of HQ')
    }
    const source = tokenOf(token ?? '')
    const given = async (refused: boolean) => {
      if (this.#token === undefined || refused) {
        const given: unknown = typeof source === 'string' ? source : await source(refused)
        checkToken(given, 'tenant')
        this.#token = given
      }
      return this.#token
    }
    this.#client = new Client({ ...others, url: url ?? '', token: given, mayRenew: typeof source === 'function' })
    if (typeof source === 'string') {
      checkToken(source, 'tenant')
    }
    this.#stream = stream
    this.#path = `/v1/tenants/${encodeURIComponent(tenant)}/slice`
    this.#name = `leasehold ${url} ${stream} ${tenant}`
    this.#share = share
    this.#pollMs = pollMs
  }

  get hearing(): Hearing {
    return this.#hearing
  }

  async head(_stream: string, known: string | undefined): Promise<Uint8Array | { envelope: Uint8Array } | undefined> {
    const told = this.#told
    this.#told = undefined
    if (told !== undefined && Date.now() - told.at < this.#pollMs) {
      if (told.isWhole) {
        return told.document
      }
      if (told.etag === known) {
        return { envelope: told.document }
      }
    }
    const headers: Record<string, string> = known === undefined ? {} : { 'if-none-match': `"${known}"` }
    return this.#client.ask(this.#path, headers, this.#client.patience.answerMs, async (response) => {
      const isWhole = response.status !== 304
      const document = isWhole ? await read(response, MAX_CONTENT_BYTES) : envelope(response)
      const etag = (response.headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '')
      this.#lastEtag = etag
      this.#tell({ etag, document, isWhole })
      return isWhole ? document : { envelope: document }
    })
  }

  async content(): Promise<Content | undefined> {
    // A slice is whole.
    return undefined
  }

  listen(notify: () => void): void {
    this.#notify = notify
    if (this.#share && typeof BroadcastChannel !== 'undefined') {
      this.#channel = new BroadcastChannel(this.#name)
      this.#channel.onmessage = ({ data }: MessageEvent<Told>) => {
        this.#told = { ...data, at: Date.now() }
        this.#lastEtag = data.etag
        this.#hearing = { told: true }
        this.#notify()
      }
      // A page keeps the channel; in Node, it must not keep the process.
      ;(this.#channel as { unref?: () => void }).unref?.()
    }
    this.#page?.addEventListener('visibilitychange', this.#seen)
    globalThis.addEventListener?.('online', this.#seen)
    this.#look()
  }

  close(): void {
    this.#client.close()
    this.#leave()
    this.#page?.removeEventListener('visibilitychange', this.#seen)
    globalThis.removeEventListener?.('online', this.#seen)
    this.#channel?.close()
    this.#channel = undefined
  }

  get #page(): Document | undefined {
    return typeof document === 'undefined' ? undefined : document
  }

  #tell(told: Told): void {
    // Whoever has this one renews what it has; whoever has not asks by itself.
    this.#channel?.postMessage(told)
  }

  /** Listens while the page is in sight. */
  #look(): void {
    clearTimeout(this.#leaving)
    this.#leaving = undefined
    if (this.#page?.visibilityState === 'hidden') {
      this.#leaving = setTimeout(() => this.#leave(), OUT_OF_SIGHT_MS)
    } else if (this.#stop === undefined && !this.#client.closed) {
      const stop = new AbortController()
      this.#stop = stop
      void this.#lead(stop.signal)
    }
  }

  #leave(): void {
    clearTimeout(this.#leaving)
    this.#stop?.abort()
    this.#stop = undefined
  }

  /** Listens as soon as no other tab does. */
  async #lead(stop: AbortSignal): Promise<void> {
    // What happened while it was out of sight is not known.
    this.#notify()
    if (!this.#share || typeof navigator === 'undefined' || navigator.locks === undefined) {
      await this.#hear(stop)
      return
    }
    try {
      await navigator.locks.request(this.#name, { signal: stop }, async () => this.#hear(stop))
    } catch (error) {
      if (!stop.aborted) {
        // A page that may not hold locks, such as a sandboxed one, listens by itself.
        await this.#hear(stop)
      }
    }
  }

  async #hear(stop: AbortSignal): Promise<void> {
    const hearing = (now: Hearing) => {
      this.#hearing = now
    }
    await this.#client.hear(`${this.#path}/events`, (event) => this.#take(event), hearing, stop)
    if (stop.aborted) {
      this.#hearing = { told: false, why: 'the page is out of sight' }
    }
  }

  #take({ name, data }: ServerEvent): boolean {
    // What later versions tell beside these is not for this one.
    if (name !== 'slice' && name !== 'heartbeat') {
      return false
    }
    const { stream, etag } = JSON.parse(data) as { stream?: unknown; etag?: unknown }
    if (stream !== this.#stream) {
      return false
    }
    this.#hearing = { told: true }
    if (name === 'slice' && (etag === null || etag !== this.#lastEtag)) {
      this.#notify()
    }
    return true
  }
}

/** The fresh envelope of a slice that is unchanged. */
function envelope(response: Response): Uint8Array {
  const encoded = response.headers.get('leasehold-envelope')
  if (encoded === null) {
    throw new Failure('HQ says that nothing is new, without the envelope that a page needs: may it read that header?')
  }
  try {
    return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
  } catch (cause) {
    throw new Failure(`the envelope that HQ sends is not Base64: ${String(cause)}`)
  }
}
