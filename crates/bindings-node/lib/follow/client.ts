/** Requests to HQ, and what is made of a no: what the packages for Node and for browsers share. */

import { milliseconds } from '../arguments'
import { ArgumentError, OptionsError, messageOf } from '../errors'
import { Events } from './events'
import type { ServerEvent } from './events'
import type { Hearing } from './source'

/** How patient to be with HQ. */
export interface PatienceOptions {
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

/** Where HQ is, and how to ask. */
export interface ClientOptions extends PatienceOptions {
  url: string
  overSafeNetwork?: boolean
  /** Sent with every request. */
  headers?: Record<string, string>
  /** The token; another one than the one that HQ has refused, where one is named. */
  token: (refused: string | undefined) => string | Promise<string>
  /** Whether there may be another one. */
  mayRenew?: boolean
}

/** Longest problem document that is read. */
const MAX_PROBLEM_BYTES = 16 << 10
/** Longest time for which HQ is left alone because it asks to be, in seconds. */
const MAX_RETRY_AFTER_S = 300
/** Enough for a sentence or two. */
const MOST_SHOWN = 400

/** Why there is no answer. */
export class Failure extends Error {
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
export class Pauses {
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

/** Asks HQ, and leaves it alone for as long as it wants to be. */
export class Client {
  readonly patience: Required<Omit<PatienceOptions, 'fetch'>>
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #token: ClientOptions['token']
  readonly #mayRenew: boolean
  readonly #fetch: typeof fetch
  /** What is under way. A signal for all of them would remember every request that ever was. */
  readonly #underWay = new Set<AbortController>()
  #closed = false
  /** By the clock that nobody sets, as are all times here. */
  #leftAloneUntil = 0
  /** The token that was sent last. */
  #sent: string | undefined

  /** @throws {OptionsError} `invalid_base_url`, `insecure_base_url`. */
  constructor(options: ClientOptions) {
    this.#base = baseUrl(options)
    this.#headers = options.headers ?? {}
    this.#token = options.token
    this.#mayRenew = options.mayRenew ?? false
    this.#fetch = options.fetch ?? ((...request) => fetch(...request))
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
    this.patience = { answerMs, contentMs, silenceMs, pauseMinMs, pauseMaxMs }
    Object.entries(this.patience).forEach(([name, ms]) => milliseconds(name, ms))
  }

  get closed(): boolean {
    return this.#closed
  }

  /** For how long HQ is left alone, in milliseconds. */
  get leftAloneMs(): number {
    return Math.max(0, this.#leftAloneUntil - performance.now())
  }

  /** Ends what is under way. */
  close(): void {
    this.#closed = true
    this.#underWay.forEach((request) => request.abort())
  }

  /**
   * Hears events of a path until it is closed, or `stop` is aborted: `take` says of each whether it shows that HQ is there,
   * `hearing` is told whether there are any. A round is a connection, and the pause after it; `inTurn` may let each wait.
   */
  async hear(
    path: string,
    take: (event: ServerEvent) => boolean,
    hearing: (now: Hearing) => void,
    stop?: AbortSignal,
    inTurn: (round: () => Promise<void>) => Promise<void> = async (round) => round(),
  ): Promise<void> {
    const { pauseMinMs, pauseMaxMs } = this.patience
    const pauses = new Pauses(pauseMinMs, pauseMaxMs)
    const round = async () => {
      const began = performance.now()
      let [why, heard] = ['HQ has closed the connection', false]
      const took = (event: ServerEvent) => {
        const isOurs = take(event)
        heard ||= isOurs
        return isOurs
      }
      try {
        await this.#listen(path, took, stop)
      } catch (error) {
        why = this.shown(messageOf(error))
      }
      hearing({ told: false, why })
      // Whoever closes every connection after the first event is not asked again and again.
      if (heard && performance.now() - began >= pauseMaxMs) {
        pauses.reset()
      }
      await this.pause(pauses.next() + this.leftAloneMs, stop)
    }
    while (!this.#isOver(stop)) {
      await inTurn(round)
    }
  }

  /** Hears until the connection ends. */
  async #listen(path: string, take: (event: ServerEvent) => boolean, stop?: AbortSignal): Promise<void> {
    const silent = this.#begun(stop)
    const silence = () =>
      setTimeout(() => silent.abort(new Failure('it keeps the connection, and tells nothing')), this.patience.silenceMs)
    let timer = silence()
    try {
      const response = await this.#send(path, { accept: 'text/event-stream' }, silent.signal)
      if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream') || response.body === null) {
        await response.body?.cancel()
        throw new Failure('HQ sends no events: it answers with something else')
      }
      const events = new Events()
      const reader = response.body.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) {
          return
        }
        for (const event of events.take(value)) {
          if (take(event)) {
            clearTimeout(timer)
            timer = silence()
          }
        }
      }
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(silent)
      // Whatever is wrong with the events, nobody reads on.
      silent.abort()
    }
  }

  #isOver(stop: AbortSignal | undefined): boolean {
    return this.#closed || stop?.aborted === true
  }

  /** A request that ends when this is closed. */
  #begun(stop?: AbortSignal): AbortController {
    const request = new AbortController()
    if (this.#isOver(stop)) {
      request.abort()
    }
    stop?.addEventListener('abort', () => request.abort(), { signal: request.signal, once: true })
    this.#underWay.add(request)
    return request
  }

  /** Waits; false where it was closed meanwhile. */
  async pause(ms: number, stop?: AbortSignal): Promise<boolean> {
    const waiting = this.#begun(stop)
    const { signal } = waiting
    await new Promise<void>((over) => {
      const timer = setTimeout(over, signal.aborted ? 0 : ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        over()
      })
    })
    this.#underWay.delete(waiting)
    const isOver = this.#isOver(stop)
    // It hears of no stop any more.
    waiting.abort()
    return !isOver
  }

  /** Asks, and reads the answer, within so long. It begins to come within `answerMs`. */
  async ask<R>(
    path: string,
    headers: Record<string, string>,
    withinMs: number,
    use: (response: Response) => Promise<R>,
    body?: object,
  ): Promise<R> {
    const request = this.#begun()
    const within = (ms: number) =>
      setTimeout(() => request.abort(new Failure(`HQ does not answer within ${ms} ms`)), ms)
    const whole = within(withinMs)
    const begins = within(Math.min(withinMs, this.patience.answerMs))
    try {
      const response = await this.#send(path, headers, request.signal, body)
      clearTimeout(begins)
      return await use(response)
    } catch (error) {
      throw this.#lost(error)
    } finally {
      clearTimeout(begins)
      clearTimeout(whole)
      this.#underWay.delete(request)
    }
  }

  /** Sends a request, and gives an answer that says yes, or that nothing is new. */
  async #send(path: string, headers: Record<string, string>, signal: AbortSignal, body?: object): Promise<Response> {
    const left = this.leftAloneMs
    if (left > 0) {
      throw new Failure(`HQ asks to be left alone for another ${Math.ceil(left / 1000)} s`)
    }
    const token = await this.#allowed(undefined, signal)
    const response = await this.#request(path, headers, signal, body, token)
    if (response.status === 401 && this.#mayRenew) {
      await response.body?.cancel()
      const another = await this.#allowed(token, signal)
      return this.#accepted(await this.#request(path, headers, signal, body, another))
    }
    return this.#accepted(response)
  }

  /** A token, from whoever gives them out, for as long as the request waits. */
  async #allowed(refused: string | undefined, signal: AbortSignal): Promise<string> {
    try {
      this.#sent = await unless(signal, async () => this.#token(refused))
      return this.#sent
    } catch (error) {
      if (error instanceof Failure || signal.aborted) {
        throw this.#lost(error)
      }
      throw new Failure(this.shown(`there is no token to ask HQ with: ${messageOf(error)}`))
    }
  }

  async #request(
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
    body: object | undefined,
    token: string,
  ): Promise<Response> {
    const told = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const kind: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    // In browsers it is a method of the window's, and of nothing else.
    const ask = this.#fetch
    try {
      return await ask(this.#base + path, {
        ...told,
        headers: { authorization: `Bearer ${token}`, ...this.#headers, ...kind, ...headers },
        // The token is for the host that was named, whoever that host names.
        redirect: 'manual',
        signal,
      })
    } catch (error) {
      throw this.#lost(error)
    }
  }

  /** An answer that says yes, or that nothing is new. */
  async #accepted(response: Response): Promise<Response> {
    if (response.ok || response.status === 304) {
      return response
    }
    this.#heed(response)
    const { status } = response
    let why = 'a redirect, which is not followed: mend the base URL'
    if (status !== 0 && (status < 300 || status > 399)) {
      why = await problem(response)
    } else {
      await response.body?.cancel()
    }
    throw new Failure(
      this.shown(`HQ answers ${status === 0 ? 'with' : `${status},`} ${why}`),
      status,
      status >= 500 || status === 408 || status === 429,
    )
  }

  #lost(error: unknown): Failure {
    if (error instanceof Failure) {
      return error
    }
    const { cause } = (error ?? {}) as { cause?: { code?: string } | null }
    const why = cause === undefined || cause === null ? undefined : messageOf(cause) || cause.code
    return new Failure(this.shown(`HQ does not answer: ${why ?? messageOf(error)}`))
  }

  /** Leaves HQ alone for as long as it asks for. The other form, a date, would depend on whose clock is right. */
  #heed(response: Response): void {
    const told = response.headers.get('retry-after')?.trim() ?? ''
    if (/^\d+$/.test(told)) {
      this.#leftAloneUntil = performance.now() + Math.min(Number(told), MAX_RETRY_AFTER_S) * 1000
    }
  }

  /** A text that HQ sent, or that is about what it sent, fit to be shown. */
  shown(text: string): string {
    // eslint-disable-next-line no-control-regex
    return text
      .replaceAll(this.#sent ?? '\0', '[token]')
      .slice(0, MOST_SHOWN)
      .replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
  }
}

/**
 * Refuses what can be no token.
 * @throws {OptionsError} `invalid_token`.
 */
export function checkToken(token: unknown, of: string): asserts token is string {
  if (typeof token !== 'string' || !/^[!-~]+$/.test(token)) {
    const what = token === '' || token === undefined ? 'empty' : 'not made of visible ASCII characters'
    throw new OptionsError('invalid_token', `the token is ${what}: take the one that HQ gave out for this ${of}`)
  }
}

function baseUrl({ url, overSafeNetwork }: ClientOptions): string {
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
export async function read(response: Response, most: number, silenceMs?: number): Promise<Uint8Array> {
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
      return joined(pieces, length)
    }
    pieces.push(value)
    length += value.length
  }
  await reader?.cancel()
  return joined(pieces, length).subarray(0, most + 1)
}

function joined(pieces: Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/** What comes of it, unless the signal is aborted before. */
async function unless<R>(signal: AbortSignal, work: () => Promise<R>): Promise<R> {
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(signal.reason)
    signal.aborted ? abort() : signal.addEventListener('abort', abort, { once: true })
  })
  return Promise.race([aborted, work()])
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

export async function discard(response: Response): Promise<void> {
  await response.body?.cancel()
}

/** What a problem document says (RFC 9457), in one line. */
async function problem(response: Response): Promise<string> {
  try {
    const body = await read(response, MAX_PROBLEM_BYTES)
    const { code, detail, title } = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>
    const said = [code === undefined ? undefined : `\`${String(code)}\``, detail ?? title].filter(
      (it) => it !== undefined,
    )
    return said.length === 0 ? 'without saying why' : said.join(': ')
  } catch {
    return 'without saying why'
  }
}
