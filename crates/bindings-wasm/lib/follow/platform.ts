/** What engines follow in browsers, and where they keep it. */

import type { Trust } from '../answers'
import { bytes, given as read, kindOf, object, options, text, trustText, yesOrNo } from '../arguments'
import { ArgumentError } from '../errors'
import type { PatienceOptions } from './client'
import { Database } from './keep'
import { SliceSource } from './slice'
import type { Carrier, Source } from './source'

/**
 * A token, or what gives one: asked once, and again when HQ refuses the last one, with `refused` true. Your server gives them
 * out, for one tenant and a short time; see `docs/browser.md`.
 */
export type TokenSource = string | ((refused: boolean) => string | Promise<string>)

/** Whose slice an engine follows, and how. */
export interface FollowOptions extends PatienceOptions {
  /** The base URL of HQ, such as `https://hq.example`. Without it and without a `source`, what is there already answers. */
  url?: string
  /** The tenant. */
  tenant: string
  /** A token that may read this tenant's slice, or what gives one. */
  token?: TokenSource
  /** In place of `url`: a source of your own, which gives slices. */
  source?: Source
  /** Whom to believe: issuer, environment, stream and root keys, as an object or JSON text. From your page's own server. */
  trust: Trust | string
  /** The stream, where `trust` names none or another one: a region, such as `GCC-OM`. */
  stream?: string
  /** A slice that came with the page, so that the first answer needs no request. */
  slice?: Uint8Array | string
  /** Whether to keep the last good slice in IndexedDB, for pages that start without a network: true. */
  keep?: boolean
  /** Whether the tabs of this page share one connection for events: true. */
  share?: boolean
  /** Says that nobody on the way can read the token, where the URL is plain `http` to another machine. */
  overSafeNetwork?: boolean
  /** Between two questions for the slice where nobody notifies, in milliseconds: 60,000. */
  pollMs?: number
  /** After the first failed question, in milliseconds: 1,000. Doubles with every further one. */
  backoffMinMs?: number
  /** After many of them, in milliseconds: 300,000. */
  backoffMaxMs?: number
  /** @internal */
  reportMs?: number
}

const KNOWN: Record<keyof FollowOptions, true> = {
  url: true,
  tenant: true,
  token: true,
  source: true,
  trust: true,
  stream: true,
  slice: true,
  keep: true,
  share: true,
  overSafeNetwork: true,
  fetch: true,
  answerMs: true,
  contentMs: true,
  silenceMs: true,
  pollMs: true,
  reportMs: true,
  pauseMinMs: true,
  pauseMaxMs: true,
  backoffMinMs: true,
  backoffMaxMs: true,
}

/** Pages are many: they ask less often than engines of servers. */
const POLL_MS = 60_000

/** The name of the database in IndexedDB. */
const DATABASE = 'leasehold'

/**
 * What is followed, by these options.
 * @internal
 */
export function withOptions(given: FollowOptions): Carrier {
  const known = options('options', given, KNOWN)
  const { trust: believed, stream, tenant: named, slice, keep = true, share = true, source, ...others } = known
  const { pollMs = POLL_MS } = others
  const [trust, tenant, shared] = [trustText(believed, stream), text('tenant', named), yesOrNo('share', share)]
  const embedded = slice === undefined ? undefined : document(slice)
  const isKept = yesOrNo('keep', keep) && typeof indexedDB !== 'undefined'
  return {
    trust,
    engineId: undefined,
    tenant,
    usual: { pollMs },
    keep: isKept ? new Database(DATABASE, trust, tenant, embedded) : undefined,
    given: embedded === undefined ? undefined : { head: embedded, seen: undefined, contents: [] },
    pack: undefined,
    // A page is looked at meanwhile.
    startsAlone: true,
    source: (stream) => {
      if (source !== undefined && others.url !== undefined) {
        throw new ArgumentError('an engine follows one source, and `url` and `source` are given: leave one out')
      }
      if (source !== undefined) {
        return sourceOf(source)
      }
      return others.url === undefined ? undefined : new SliceSource({ ...others, pollMs }, stream, tenant, shared)
    },
  }
}

/**
 * Tells whoever runs this of a mistake of ours.
 * @internal
 */
export function warn(message: string, code: string): void {
  console.warn(`leasehold: ${code}: ${message}`)
}

function document(slice: Uint8Array | string): Uint8Array {
  return typeof slice === 'string' ? new TextEncoder().encode(slice) : bytes('slice', slice)
}

function sourceOf(source: Source): Source {
  if (typeof read('source', () => object('source', source).head) !== 'function') {
    throw new ArgumentError('`source` has the method `head`, and it is missing')
  }
  return source
}

/** @internal */
export function tokenOf(token: unknown): TokenSource {
  if (typeof token !== 'string' && typeof token !== 'function') {
    throw new ArgumentError(`\`token\` is a text, or a function that gives one, not ${kindOf(token)}`)
  }
  return token as TokenSource
}
