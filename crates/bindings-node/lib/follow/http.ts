/** HQ over HTTP: a source for engines that follow. */

import { createHash } from 'node:crypto'
import { milliseconds } from '../arguments'
import { ArgumentError, OptionsError } from '../errors'
import { Events } from './events'
import type { ServerEvent } from './events'
import { contentOf, MAX_CONTENT_BYTES, MAX_HEAD_BYTES, MAX_PACK_BYTES } from './source'
import type { Content, Reference, Source } from './source'

/** Where HQ is, and how patient to be with it. */
export interface HttpOptions {
  /** The base URL, such as `https://hq.example`. */
  url: string
  /** The token that HQ gave out for this engine. */
  token: string
  /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
  overSafeNetwork?: boolean
  /** For an answer, in milliseconds: 10,000. */
  answerMs?: number
  /** For a content, in milliseconds: 120,000. */
  contentMs?: number
  /** Without any event, until the connection counts as lost, in milliseconds: 40,000. */
  silenceMs?: number
  /** After the first failed connection for events, in milliseconds: 500. Doubles with every further one; half is left to chance. */
  pauseMinMs?: number
  /** After many of them, in milliseconds: 30,000. */
  pauseMaxMs?: number
  /** In place of the global `fetch`, for proxies and certificates of your own. */
  fetch?: typeof fetch
}

/** Whether an engine hears of news, or has to ask. */
export type Hearing = { told: true } | { told: false; why: string }

/** Longest problem document that is read. */
const MAX_PROBLEM_BYTES = 16 << 10
/** Longest time for which HQ is left alone because it asks to be, in seconds. */
const MAX_RETRY_AFTER_S = 300
/** Enough for a sentence or two. */
const MOST_SHOWN = 400

/** Why there is no answer. */
class Failure extends Error {
  constructor(
    message: string,
    readonly status?: number,
    /** Whether the same may go well another time. */
    readonly passing = true,
  ) {
    super(message)
  }
}

/** Pauses that grow, and of which half is left to chance, so that not all engines come back together. */
class Pauses {
  #next: number

  constructor(
    readonly min: number,
    readonly max: number,
  ) {
    this.#next = min
  }

  next(): number {
    const half = this.#next / 2
    this.#next = Math.min(this.#next * 2, this.max)
    return half + Math.random() * half
  }

  reset(): void {
    this.#next = this.min
  }
}

/** HQ as a source of snapshots. */
export class HttpSource implements Source {
  readonly #base: string
  readonly #token: string
  readonly #stream: string
  readonly #engineId: string | undefined
  readonly #fetch: typeof fetch
  readonly #patience: Required<Pick<HttpOptions, 'answerMs' | 'contentMs' | 'silenceMs' | 'pauseMinMs' | 'pauseMaxMs'>>
  /** What is under way. A signal for all of them would remember every request that ever was. */
  readonly #underWay = new Set<AbortController>()
  #closed = false
  #hearing: Hearing = { told: false, why: 'nobody has connected yet' }
  /** The hash of the head that HQ told of last, and the head itself where it came along. */
  #told: { etag: string; document: Uint8Array | undefined } | undefined
  #leftAloneUntil = 0
  #unsent: object | undefined
  #reporting = false

  /**
   * @throws {OptionsError} `invalid_base_url`, `insecure_base_url`, `invalid_token`.
   */
  constructor(options: HttpOptions, stream: string, engineId?: string) {
    this.#base = baseUrl(options)
    this.#token = options.token
    if (typeof this.#token !== 'string' || !/^[!-~]+$/.test(this.#token)) {
      const what = this.#token === '' || this.#token === undefined ? 'empty' : 'not made of visible ASCII characters'
      throw new OptionsError('invalid_token', `the token is ${what}: take the one that HQ gave out for this engine`)
    }
    this.#stream = stream
    this.#engineId = engineId
    this.#fetch = options.fetch ?? fetch
    if (typeof this.#fetch !== 'function') {
      throw new ArgumentError('`fetch` is a function, in place of the global one')
    }
    const {
      answerMs = 10_000,
      contentMs = 120_000,
      silenceMs = 40_000,
      pauseMinMs = 500,
      pauseMaxMs = 30_000,
    } = options
    this.#patience = { answerMs, contentMs, silenceMs, pauseMinMs, pauseMaxMs }
    Object.entries(this.#patience).forEach(([name, ms]) => milliseconds(name, ms))
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
    return this.#ask(`/v1/snapshots/head?stream=${stream}`, headers, this.#patience.answerMs, async (response) =>
      response.status === 304 ? undefined : read(response, MAX_HEAD_BYTES),
    )
  }

  async content({ hash, length }: Reference): Promise<Content | undefined> {
    const path = `/v1/snapshots/chunks/${hash}?stream=${this.#stream}`
    const most = Math.min(length, MAX_CONTENT_BYTES)
    const began = Date.now()
    for (;;) {
      try {
        return await this.#ask(path, { 'accept-encoding': 'zstd' }, this.#patience.contentMs, async (response) =>
          // What the worst compression makes of it.
          contentOf(await read(response, most + Math.floor(most / 8) + 1024)),
        )
      } catch (error) {
        if (error instanceof Failure && error.status === 404) {
          return undefined
        }
        // An engine that asks for thousands may be told to wait, and loses nothing by it.
        const pause = this.#leftAloneUntil - Date.now()
        if (pause <= 0 || Date.now() - began + pause >= this.#patience.contentMs || !(await this.#pause(pause))) {
          throw error
        }
      }
    }
  }

  async pack(stream: string): Promise<Uint8Array | undefined> {
    try {
      const { answerMs, contentMs } = this.#patience
      const pack = await this.#ask(`/v1/snapshots/pack?stream=${stream}`, {}, contentMs, async (response) =>
        read(response, MAX_PACK_BYTES, answerMs),
      )
      return pack.length > MAX_PACK_BYTES ? undefined : pack
    } catch {
      // It is fetched in pieces.
      return undefined
    }
  }

  report(report: object): void {
    if (this.#engineId === undefined || this.#closed) {
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
    void this.#hear(notify)
  }

  close(): void {
    this.#closed = true
    this.#underWay.forEach((request) => request.abort())
  }

  async #reportAll(): Promise<void> {
    const pauses = new Pauses(this.#patience.pauseMinMs, this.#patience.pauseMaxMs)
    while (this.#unsent !== undefined && !this.#closed) {
      const report = this.#unsent
      this.#unsent = undefined
      try {
        await this.#ask(`/v1/engines/${this.#engineId}/status`, {}, this.#patience.answerMs, discard, report)
        pauses.reset()
      } catch (error) {
        // What HQ refuses is not sent again.
        if (error instanceof Failure && error.passing) {
          this.#unsent ??= report
          await this.#pause(pauses.next() + Math.max(0, this.#leftAloneUntil - Date.now()))
        }
      }
    }
    this.#reporting = false
  }

  async #hear(notify: () => void): Promise<void> {
    const { pauseMinMs, pauseMaxMs } = this.#patience
    const pauses = new Pauses(pauseMinMs, pauseMaxMs)
    for (;;) {
      const began = Date.now()
      let why = 'HQ has closed the connection'
      try {
        await this.#listen(notify)
      } catch (error) {
        why = this.#shown(error instanceof Error ? error.message : String(error))
      }
      const heard = this.#told !== undefined
      this.#hearing = { told: false, why }
      this.#told = undefined
      // Whoever closes every connection after the first event is not asked again and again.
      if (heard && Date.now() - began >= pauseMaxMs) {
        pauses.reset()
      }
      if (!(await this.#pause(pauses.next() + Math.max(0, this.#leftAloneUntil - Date.now())))) {
        return
      }
    }
  }

  /** Hears until the connection ends. */
  async #listen(notify: () => void): Promise<void> {
    const silent = this.#begun()
    const silence = () =>
      setTimeout(
        () => silent.abort(new Failure('it keeps the connection, and tells nothing')),
        this.#patience.silenceMs,
      )
    let timer = silence()
    try {
      const response = await this.#send(
        `/v1/snapshots/events?stream=${this.#stream}`,
        { accept: 'text/event-stream' },
        silent.signal,
      )
      if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream') || response.body === null) {
        await response.body?.cancel()
        throw new Failure('HQ sends no events: it answers with something else')
      }
      const events = new Events()
      for await (const piece of response.body) {
        for (const event of events.take(piece)) {
          if (this.#take(event, notify)) {
            clearTimeout(timer)
            timer = silence()
          }
        }
      }
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(silent)
    }
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

  /** A request that ends when this is closed. */
  #begun(): AbortController {
    const request = new AbortController()
    if (this.#closed) {
      request.abort()
    }
    this.#underWay.add(request)
    return request
  }

  /** Waits; false where it was closed meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    const waiting = this.#begun()
    const { signal } = waiting
    await new Promise<void>((over) => {
      const timer = setTimeout(over, signal.aborted ? 0 : ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        over()
      })
    })
    this.#underWay.delete(waiting)
    return !this.#closed
  }

  /** Asks, and reads the answer, within so long. */
  async #ask<R>(
    path: string,
    headers: Record<string, string>,
    withinMs: number,
    use: (response: Response) => Promise<R>,
    body?: object,
  ): Promise<R> {
    const request = this.#begun()
    const timer = setTimeout(() => request.abort(new Failure(`HQ does not answer within ${withinMs} ms`)), withinMs)
    try {
      return await use(await this.#send(path, headers, request.signal, body))
    } catch (error) {
      throw this.#lost(error)
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(request)
    }
  }

  /** Sends a request, and gives an answer that says yes, or that nothing is new. */
  async #send(path: string, headers: Record<string, string>, signal: AbortSignal, body?: object): Promise<Response> {
    const left = this.#leftAloneUntil - Date.now()
    if (left > 0) {
      throw new Failure(`HQ asks to be left alone for another ${Math.ceil(left / 1000)} s`)
    }
    const told = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const kind: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    let response
    try {
      response = await this.#fetch(this.#base + path, {
        ...told,
        headers: { authorization: `Bearer ${this.#token}`, 'user-agent': 'leasehold-node', ...kind, ...headers },
        // The token is for the host that was named, whoever that host names.
        redirect: 'manual',
        signal,
      })
    } catch (error) {
      throw this.#lost(error)
    }
    if (response.ok || response.status === 304) {
      return response
    }
    this.#heed(response)
    const { status } = response
    let why = 'a redirect, which is not followed: mend the base URL'
    if (status < 300 || status > 399) {
      why = await problem(response)
    } else {
      await response.body?.cancel()
    }
    throw new Failure(
      this.#shown(`HQ answers ${status}, ${why}`),
      status,
      status >= 500 || status === 408 || status === 429,
    )
  }

  #lost(error: unknown): Failure {
    if (error instanceof Failure) {
      return error
    }
    const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined }
    const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : undefined
    return new Failure(this.#shown(`HQ does not answer: ${why ?? message}`))
  }

  /** Leaves HQ alone for as long as it asks for. The other form, a date, would depend on whose clock is right. */
  #heed(response: Response): void {
    const told = response.headers.get('retry-after')?.trim() ?? ''
    if (/^\d+$/.test(told)) {
      this.#leftAloneUntil = Date.now() + Math.min(Number(told), MAX_RETRY_AFTER_S) * 1000
    }
  }

  /** A text that HQ sent, or that is about what it sent, fit to be shown. */
  #shown(text: string): string {
    // eslint-disable-next-line no-control-regex
    return text
      .replaceAll(this.#token, '[token]')
      .slice(0, MOST_SHOWN)
      .replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
  }
}

function baseUrl({ url, overSafeNetwork }: HttpOptions): string {
  const refused = (why: string) =>
    new OptionsError('invalid_base_url', `\`${String(url).split('@').pop()}\` is not the base URL of an HQ: ${why}`)
  let parsed
  try {
    parsed = new URL(url)
  } catch {
    throw refused('it cannot be read as a URL')
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw refused('it begins with neither `http://` nor `https://`')
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw refused('a user in it would be sent to nobody')
  }
  if (/[?#]/.test(url)) {
    throw refused('paths are added to it, so that it can have neither query nor fragment')
  }
  const isHere = /^(localhost|127(\.\d+){3}|\[::1\])$/i.test(parsed.hostname)
  if (parsed.protocol === 'http:' && !isHere && overSafeNetwork !== true) {
    const message =
      `over \`${url}\` anybody on the way can read the token: use \`https\`, ` +
      'or say that the way is safe with `overSafeNetwork`'
    throw new OptionsError('insecure_base_url', message)
  }
  return url.replace(/\/+$/, '')
}

/** A body, of which a little more than is allowed is read: what it is for refuses it. */
async function read(response: Response, most: number, silenceMs?: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  while (reader !== undefined && length <= most) {
    const next = silenceMs === undefined ? reader.read() : within(reader.read(), silenceMs)
    const { done, value } = await next.catch(async (error: unknown) => {
      await reader.cancel().catch(() => undefined)
      throw error
    })
    if (done) {
      return Buffer.concat(pieces)
    }
    pieces.push(value)
    length += value.length
  }
  await reader?.cancel()
  return Buffer.concat(pieces).subarray(0, most + 1)
}

async function within<R>(answer: Promise<R>, ms: number): Promise<R> {
  let timer
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failure(`nothing came for ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel()
}

/** What a problem document says (RFC 9457), in one line. */
async function problem(response: Response): Promise<string> {
  try {
    const body = await read(response, MAX_PROBLEM_BYTES)
    const { code, detail, title } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>
    const said = [code === undefined ? undefined : `\`${String(code)}\``, detail ?? title].filter(
      (it) => it !== undefined,
    )
    return said.length === 0 ? 'without saying why' : said.join(': ')
  } catch {
    return 'without saying why'
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
