/** What engines follow in Node, and where they keep it. */

import type { Trust } from '../answers'
import { bytes, given as read, kindOf, object, options, text, trustText } from '../arguments'
import { ArgumentError } from '../errors'
import { Folder } from './folder'
import { HttpSource } from './http'
import type { HttpOptions } from './http'
import type { Carrier, Source } from './source'

/** What an engine follows, and how. */
export interface FollowOptions extends Partial<HttpOptions> {
  /** In place of `url`: a directory that a publisher writes. */
  directory?: string
  /** In place of `url`: a source of your own. */
  source?: Source
  /** Whom to believe: issuer, environment, stream and root keys, as an object or JSON text. From your configuration. */
  trust: Trust | string
  /** The stream, where `trust` names none or another one: a region, such as `GCC-OM`. */
  stream?: string
  /** The id of this engine: with it, HQ knows what it has in force, and it may try staged definitions. */
  engineId?: string
  /** A folder of its own for what is in force, so that the next start needs nobody. */
  keep?: string
  /** A pack that came with the program, for a first start without HQ. */
  pack?: Uint8Array
  /** Between two questions for the head where nobody notifies, in milliseconds: 30,000. */
  pollMs?: number
  /** After the first failed question, in milliseconds: 1,000. Doubles with every further one. */
  backoffMinMs?: number
  /** After many of them, in milliseconds: 300,000. */
  backoffMaxMs?: number
  /** Until HQ is told again what is in force, in milliseconds: 60,000. */
  reportMs?: number
}

const KNOWN: Record<keyof FollowOptions, true> = {
  url: true,
  token: true,
  directory: true,
  source: true,
  trust: true,
  stream: true,
  engineId: true,
  keep: true,
  pack: true,
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

/** The path of a folder; an empty one would be wherever the process happens to be. */
function folder(name: string, value: unknown): string {
  const path = text(name, value)
  if (path === '') {
    throw new ArgumentError(`\`${name}\` is the path of a folder, and it is empty`)
  }
  return path
}

/**
 * What is followed, by these options.
 * @internal
 */
export function withOptions(given: FollowOptions): Carrier {
  const { trust, stream, engineId, keep, pack, ...others } = options('options', given, KNOWN)
  const id = engineId === undefined ? undefined : text('engineId', engineId)
  return {
    trust: trustText(trust, stream),
    engineId: id,
    tenant: undefined,
    keep: keep === undefined ? undefined : new Folder(folder('keep', keep)),
    given: undefined,
    pack: pack === undefined ? undefined : bytes('pack', pack),
    // Whoever starts a server would rather wait for the newest.
    startsAlone: false,
    source: (stream) => sourceOf(others, stream, id),
  }
}

/**
 * Tells whoever runs this of a mistake of ours.
 * @internal
 */
export function warn(message: string, code: string): void {
  process.emitWarning(message, { code })
}

type SourceOptions = Pick<FollowOptions, 'directory' | 'source'> & Partial<HttpOptions>

function sourceOf(asked: SourceOptions, stream: string, engineId: string | undefined): Source {
  const { url, token, directory, source } = asked
  const several = Object.entries({ url, directory, source }).filter(([, value]) => value !== undefined)
  if (several.length > 1) {
    const names = several.map(([name]) => `\`${name}\``)
    throw new ArgumentError(`an engine follows one source, and ${names.join(' and ')} are given: leave one out`)
  }
  if (source !== undefined) {
    const { head, content } = read('source', () => object('source', source))
    if (typeof head !== 'function' || typeof content !== 'function') {
      throw new ArgumentError('`source` has the methods `head` and `content`, and one of them is missing')
    }
    return source
  }
  if (directory !== undefined) {
    return new Folder(folder('directory', directory))
  }
  if (url !== undefined && typeof url !== 'string') {
    throw new ArgumentError(`\`url\` is a text, not ${kindOf(url)}`)
  }
  return new HttpSource({ ...asked, url: url ?? '', token: token ?? '' }, stream, engineId)
}
