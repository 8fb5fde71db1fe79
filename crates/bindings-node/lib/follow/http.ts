/** HQ over HTTP: a source for engines that follow. */

import { createHash } from 'node:crypto'
import { object, text } from '../arguments'
import { checkToken, Client, discard, Failure, Pauses, read } from './client'
import type { PatienceOptions } from './client'
import type { ServerEvent } from './events'
import { contentOf, MAX_CONTENT_BYTES, MAX_HEAD_BYTES, MAX_PACK_BYTES } from './source'
import type { Content, Hearing, Reference, Source } from './source'

/** Where HQ is, and how patient to be with it. */
export interface HttpOptions extends PatienceOptions {
  /** The base URL, such as `https://hq.example`. */
  url: string
  /** The token that HQ gave out for this engine. */
  token: string
  /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
  overSafeNetwork?: boolean
}

/** HQ as a source of snapshots. */
export class HttpSource implements Source {
  readonly #client: Client
  readonly #stream: string
  readonly #engineId: string | undefined
  #hearing: Hearing = { told: false, why: 'nobody has connected yet' }
  /** The hash of the head that HQ told of last, and the head itself where it came along. */
  #told: { etag: string; document: Uint8Array | undefined } | undefined
  #unsent: object | undefined
  #reporting = false

  /**
   * @throws {OptionsError} `invalid_base_url`, `insecure_base_url`, `invalid_token`.
   */
  constructor(options: HttpOptions, stream: string, engineId?: string) {
    const { token } = object('options', options)
    const headers = { 'user-agent': 'leasehold-node' }
    this.#client = new Client({ ...options, headers, token: () => token })
    checkToken(token, 'engine')
    this.#stream = text('stream', stream)
    this.#engineId = engineId === undefined ? undefined : text('engineId', engineId)
  }

  /** Whether it hears of news. */
  get hearing(): Hearing {
    return this.#hearing
  }

  async head(stream: string, known: string | undefined): Promise<Uint8Array | undefined> {
    if (this.#told?.document !== undefined) {
      return this.#told.etag === known ? undefined : this.#told.document
    }
    const headers: Record<string, string> = known === undefined ? {} : { 'if-none-match': `"${known}"` }
    return this.#client.ask(
      `/v1/snapshots/head?stream=${encodeURIComponent(stream)}`,
      headers,
      this.#client.patience.answerMs,
      async (response) => (response.status === 304 ? undefined : read(response, MAX_HEAD_BYTES)),
    )
  }

  async content({ hash, length }: Reference): Promise<Content | undefined> {
    const path = `/v1/snapshots/chunks/${hash}?stream=${encodeURIComponent(this.#stream)}`
    const most = Math.min(length, MAX_CONTENT_BYTES)
    const began = performance.now()
    for (;;) {
      try {
        return await this.#client.ask(
          path,
          { 'accept-encoding': 'zstd' },
          this.#client.patience.contentMs,
          async (response) =>
            // What the worst compression makes of it.
            contentOf(await read(response, most + Math.floor(most / 8) + 1024)),
        )
      } catch (error) {
        if (error instanceof Failure && error.status === 404) {
          return undefined
        }
        // An engine that asks for thousands may be told to wait, and loses nothing by it.
        const pause = this.#client.leftAloneMs
        if (
          pause <= 0 ||
          performance.now() - began + pause >= this.#client.patience.contentMs ||
          !(await this.#client.pause(pause))
        ) {
          throw error
        }
      }
    }
  }

  async pack(stream: string): Promise<Uint8Array | undefined> {
    try {
      const { answerMs, contentMs } = this.#client.patience
      const pack = await this.#client.ask(
        `/v1/snapshots/pack?stream=${encodeURIComponent(stream)}`,
        {},
        contentMs,
        async (response) => read(response, MAX_PACK_BYTES, answerMs),
      )
      return pack.length > MAX_PACK_BYTES ? undefined : pack
    } catch {
      // It is fetched in pieces.
      return undefined
    }
  }

  report(report: object): void {
    if (this.#engineId === undefined || this.#client.closed) {
      return
    }
    // Of several, the newest says it all.
    this.#unsent = { stream: this.#stream, ...report }
    if (!this.#reporting) {
      this.#reporting = true
      void this.#reportAll()
    }
  }

  listen(notify: () => void): void {
    const hearing = (now: Hearing) => {
      this.#hearing = now
      this.#told = undefined
    }
    const path = `/v1/snapshots/events?stream=${encodeURIComponent(this.#stream)}`
    void this.#client.hear(path, (event) => this.#take(event, notify), hearing)
  }

  close(): void {
    this.#client.close()
  }

  async #reportAll(): Promise<void> {
    const pauses = new Pauses(this.#client.patience.pauseMinMs, this.#client.patience.pauseMaxMs)
    while (this.#unsent !== undefined && !this.#client.closed) {
      const report = this.#unsent
      const path = `/v1/engines/${encodeURIComponent(this.#engineId ?? '')}/status`
      this.#unsent = undefined
      try {
        await this.#client.ask(path, {}, this.#client.patience.answerMs, discard, report)
        pauses.reset()
      } catch (error) {
        // What HQ refuses is not sent again.
        if (error instanceof Failure && error.passing) {
          this.#unsent ??= report
          await this.#client.pause(pauses.next() + this.#client.leftAloneMs)
        }
      }
    }
    this.#reporting = false
  }

  #take({ name, data }: ServerEvent, notify: () => void): boolean {
    // What later versions tell beside these is not for this one.
    if (name !== 'head' && name !== 'heartbeat') {
      return false
    }
    const { stream, etag, document } = JSON.parse(data) as { stream?: unknown; etag?: unknown; document?: unknown }
    if (stream !== this.#stream) {
      return false
    }
    if (typeof etag !== 'string' || !/^[0-9a-f]{64}$/.test(etag)) {
      throw new Failure('HQ sends no events: `etag` is not a hash')
    }
    const head = typeof document === 'string' ? Buffer.from(document) : undefined
    if (head !== undefined && (head.length > MAX_HEAD_BYTES || sha256(head) !== etag)) {
      throw new Failure('HQ sends no events: `document` is not the one of its `etag`')
    }
    this.#hearing = { told: true }
    const isNew = this.#told?.etag !== etag
    // A heartbeat without the document leaves the one that came before it.
    this.#told = { etag, document: head ?? (isNew ? undefined : this.#told?.document) }
    if (isNew) {
      notify()
    }
    return true
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
