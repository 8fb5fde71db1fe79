/** One tenant's slice, from HQ over HTTP. The tabs of a page share one connection for events, and what came over it. */

import { ArgumentError } from '../errors'
import { checkToken, Client, Failure, read } from './client'
import type { ServerEvent } from './events'
import { tokenOf } from './platform'
import type { FollowOptions, TokenSource } from './platform'
import { MAX_CONTENT_BYTES } from './source'
import type { Content, Hearing, Source } from './source'

/** What tabs tell each other. */
interface Told {
  /** The hash of the content. */
  etag: string
  /** The slice, or what stands before the content. */
  document: Uint8Array
  isWhole: boolean
  /** When HQ was asked for it, by the clock that all tabs have. */
  asked: number
}

/** Whether HQ is heard, told by the tab that listens, with the revision that was told of; or, by one that has just come, the question. */
interface HearingTold {
  hearing: Hearing | undefined
  revision?: unknown
}

/** How long a page is out of sight until it stops listening: looking at another tab for a moment costs nothing. */
const OUT_OF_SIGHT_MS = 5_000

/** Why nothing is heard. */
const DEAF = {
  unconnected: { told: false, why: 'nobody has connected yet' },
  outOfSight: { told: false, why: 'the page is out of sight' },
  closed: { told: false, why: 'it is closed' },
  gone: { told: false, why: 'the tab that listened does so no more' },
} as const satisfies Record<string, Hearing>

/** @internal */
export class SliceSource implements Source {
  readonly #client: Client
  readonly #path: string
  readonly #stream: string
  readonly #name: string
  readonly #share: boolean
  readonly #pollMs: number
  readonly #source: TokenSource
  #token: string | undefined
  /** One that is asked for: whoever needs it meanwhile waits for the same. */
  #asking: Promise<string> | undefined
  #hearing: Hearing = DEAF.unconnected
  /** When it was last told by another tab whether HQ is heard. By the clock that nobody sets, as are all times of this tab alone. */
  #hearingAt = -Infinity
  #channel: BroadcastChannel | undefined
  /** While this tab has the connection, what ends it. */
  #listening: AbortSignal | undefined
  /** What another tab told, and when. */
  #told: (Omit<Told, 'asked'> & { at: number }) | undefined
  #lastEtag: string | undefined
  /** When HQ was asked for what this tab got last, from it or from another tab. */
  #asked = 0
  /** The lowest revision that somebody waits for. */
  #awaited: number | undefined
  /** Whether HQ is to be asked, whatever other tabs told: they may have asked before there was what is waited for. */
  #mustAsk = false
  #notify: () => void = () => undefined
  #stop: AbortController | undefined
  #leaving: ReturnType<typeof setTimeout> | undefined
  #wasAway = false
  readonly #seen = () => this.#look()
  readonly #online = () => this.#again()

  /** @throws {OptionsError} `invalid_base_url`, `insecure_base_url`, `invalid_token`. */
  constructor(options: Partial<FollowOptions> & { pollMs: number }, stream: string, tenant: string, share: boolean) {
    const { url, token, pollMs, ...others } = options
    if (typeof url !== 'string') {
      throw new ArgumentError('`url` is a text: the base URL of HQ')
    }
    const source = tokenOf(token ?? '')
    const mayRenew = typeof source === 'function'
    this.#client = new Client({ ...others, url, token: async (refused) => this.#given(refused), mayRenew })
    if (typeof source === 'string') {
      checkToken(source, 'tenant')
      this.#token = source
    }
    this.#source = source
    this.#stream = stream
    this.#path = `/v1/tenants/${encodeURIComponent(tenant)}/slice`
    this.#name = `leasehold ${url} ${stream} ${tenant}`
    this.#share = share
    this.#pollMs = pollMs
  }

  async #given(refused: string | undefined): Promise<string> {
    if (this.#token !== undefined && this.#token !== refused) {
      // Where two were refused the same one, the first has asked for another.
      return this.#token
    }
    return this.#asking ?? this.#ask(refused !== undefined)
  }

  async #ask(isRefused: boolean): Promise<string> {
    const asking = ask(this.#source, isRefused)
    this.#asking = asking
    const isOver = (token?: string) => {
      clearTimeout(timer)
      if (this.#asking === asking) {
        this.#asking = undefined
        this.#token = token ?? this.#token
      }
    }
    // Who does not answer is asked again.
    const timer = setTimeout(isOver, this.#client.patience.answerMs)
    asking.then(isOver, () => isOver())
    return asking
  }

  get hearing(): Hearing {
    // A tab that listens says so with every event, and may be gone without a word.
    const isSilent = performance.now() - this.#hearingAt > this.#client.patience.silenceMs
    return this.#listening === undefined && this.#hearing.told && isSilent ? DEAF.gone : this.#hearing
  }

  awaits(revision: number | undefined): void {
    this.#awaited = revision
    // HQ answers a write once it is published: it may have it already.
    this.#hasCome(revision)
  }

  async head(_stream: string, known: string | undefined): Promise<Uint8Array | { envelope: Uint8Array } | undefined> {
    const told = this.#mustAsk ? undefined : this.#told
    this.#told = undefined
    this.#mustAsk = false
    if (told !== undefined && performance.now() - told.at < this.#pollMs) {
      if (told.isWhole) {
        return told.document
      }
      if (told.etag === known) {
        return { envelope: told.document }
      }
    }
    const asked = Date.now()
    // With `If-None-Match` itself, browsers ask by OPTIONS before each request, whatever they were told before.
    const headers: Record<string, string> = known === undefined ? {} : { 'leasehold-if-none-match': `"${known}"` }
    return this.#client.ask(this.#path, headers, this.#client.patience.answerMs, async (response) => {
      const isWhole = response.status !== 304
      const document = isWhole ? await read(response, MAX_CONTENT_BYTES) : envelope(response)
      const etag = (response.headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '')
      this.#lastEtag = etag
      this.#asked = asked
      this.#tell({ etag, document, isWhole, asked })
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
      this.#channel.onmessage = ({ data }: MessageEvent<unknown>) => this.#isTold(data)
      // A page keeps the channel; in Node, it must not keep the process.
      ;(this.#channel as { unref?: () => void }).unref?.()
      this.#tell({ hearing: undefined })
    }
    this.#page?.addEventListener('visibilitychange', this.#seen)
    globalThis.addEventListener?.('online', this.#online)
    this.#look()
  }

  close(): void {
    this.#client.close()
    if (this.#listening !== undefined) {
      this.#tell({ hearing: DEAF.gone })
    }
    this.#leave()
    this.#page?.removeEventListener('visibilitychange', this.#seen)
    globalThis.removeEventListener?.('online', this.#online)
    this.#channel?.close()
    this.#channel = undefined
  }

  get #page(): Document | undefined {
    return typeof document === 'undefined' ? undefined : document
  }

  #tell(told: Told | HearingTold): void {
    // Whoever has this one renews what it has; whoever has not asks by itself.
    this.#channel?.postMessage(told)
  }

  /** Another tab, which may have another version of this, tells something. */
  #isTold(data: unknown): void {
    const { hearing, revision, etag, document, isWhole, asked } = Object(data) as Partial<Told & HearingTold>
    if (document instanceof Uint8Array && typeof etag === 'string' && typeof isWhole === 'boolean') {
      const when = typeof asked === 'number' ? asked : this.#asked
      if (this.#isLate(when)) {
        if (etag !== this.#lastEtag) {
          // Whichever of the two is older, HQ knows.
          this.#notify()
        }
        return
      }
      this.#told = { etag, document, isWhole, at: performance.now() }
      this.#lastEtag = etag
      this.#asked = when
      this.#notify()
    } else if (this.#listening === undefined) {
      if (typeof hearing?.told === 'boolean') {
        this.#hearing = hearing
        this.#hearingAt = performance.now()
        this.#hasCome(revision)
      }
    } else if (hearing === undefined || (this.#hearing.told && !hearing?.told)) {
      // Whoever has just come wants to know; and where another one lets go, this one still listens.
      this.#tell({ hearing: this.#hearing })
    }
  }

  /** Whether this tab got an answer that was asked for later. A clock that was put back says so of everything. */
  #isLate(asked: number): boolean {
    const before = this.#asked - asked
    return before > 0 && before <= this.#client.patience.answerMs
  }

  /** HQ has this revision. One that leaves the slice as it was is asked for where somebody waits for it, and only there. */
  #hasCome(revision: unknown): void {
    if (this.#awaited !== undefined && typeof revision === 'number' && revision >= this.#awaited) {
      this.#mustAsk = true
      this.#notify()
    }
  }

  /** Takes note of whether HQ is heard, for the tabs that this one listens for as well. */
  #hears(hearing: Hearing, revision?: unknown): void {
    this.#hearing = hearing
    this.#tell({ hearing, revision })
  }

  /** The network is back: whoever waits to connect again need not. */
  #again(): void {
    if (!this.hearing.told) {
      this.#leave()
    }
    this.#look()
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
      void this.#hear(stop.signal)
    }
  }

  #leave(): void {
    clearTimeout(this.#leaving)
    this.#stop?.abort()
    this.#stop = undefined
    this.#wasAway = true
  }

  /** Listens until it is to stop, whenever no other tab does. */
  async #hear(stop: AbortSignal): Promise<void> {
    if (this.#wasAway) {
      // What happened meanwhile is not known.
      this.#notify()
    }
    const hearing = (now: Hearing) => {
      // One that stops listening leaves it to others, who hear.
      if (!stop.aborted) {
        this.#hears(now)
      }
    }
    const inTurn = async (round: () => Promise<void>) => this.#inTurn(stop, async () => this.#during(stop, round))
    await this.#client.hear(`${this.#path}/events`, (event) => this.#take(event), hearing, stop, inTurn)
    if (this.#client.closed) {
      this.#hearing = DEAF.closed
    } else if (this.#stop === undefined && !this.#hearing.told) {
      this.#hearing = DEAF.outOfSight
    }
  }

  /**
   * Listens while no other tab does. After each connection, and the pause that HQ is left alone for, it is another tab's turn:
   * that one may be let in where this one is not.
   */
  async #inTurn(stop: AbortSignal, round: () => Promise<void>): Promise<void> {
    // Whom nobody could tell, or who cannot wait, listens by itself.
    if (this.#channel === undefined || typeof navigator === 'undefined' || navigator.locks === undefined) {
      return round()
    }
    let isOurs = false
    try {
      await navigator.locks.request(this.#name, { signal: stop }, async () => {
        isOurs = true
        await round()
      })
    } catch (error) {
      if (isOurs) {
        throw error
      }
      if (!stop.aborted) {
        // A page that may not hold locks, such as a sandboxed one, listens by itself.
        await round()
      }
    }
  }

  async #during(stop: AbortSignal, round: () => Promise<void>): Promise<void> {
    this.#listening = stop
    if (this.#hearing.told) {
      // The tab that heard does so no more, whether or not that has come through.
      this.#hearing = DEAF.gone
    }
    try {
      await round()
    } finally {
      // Another one may have begun meanwhile.
      if (this.#listening === stop) {
        this.#listening = undefined
        if (stop.aborted) {
          this.#hearing = DEAF.gone
          this.#tell({ hearing: DEAF.gone })
        }
      }
    }
  }

  #take({ name, data }: ServerEvent): boolean {
    // What later versions tell beside these is not for this one.
    if (name !== 'slice' && name !== 'heartbeat') {
      return false
    }
    const { stream, revision, etag } = JSON.parse(data) as { stream?: unknown; revision?: unknown; etag?: unknown }
    if (stream !== this.#stream) {
      return false
    }
    this.#hears({ told: true }, revision)
    if (name === 'slice' && (etag === null || etag !== this.#lastEtag)) {
      this.#notify()
    } else {
      this.#hasCome(revision)
    }
    return true
  }
}

async function ask(source: TokenSource, isRefused: boolean): Promise<string> {
  const given: unknown = typeof source === 'string' ? source : await source(isRefused)
  checkToken(given, 'tenant')
  return given
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
