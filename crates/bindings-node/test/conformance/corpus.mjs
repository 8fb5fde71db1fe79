// The corpus as every runtime reads it: bytes, patterns, and the package that is asked. Nothing here is of Node's or of browsers'.

/**
 * What the vectors run against; see {@link use}.
 * @type {{
 *   names: string[],
 *   file: (name: string) => Uint8Array,
 *   engine: typeof import('leasehold'),
 *   documents: typeof import('leasehold/documents'),
 *   inside: { native: object, told: (thrown: unknown) => Error },
 *   lacks: { capabilities: string[], calls: string[] },
 * }}
 */
export let host

const packs = new Map()

/**
 * Says what the vectors run against: `names` of the files of the corpus, `file` that reads one, the package's entries `engine`
 * and `documents`, and what is `inside` of it and not public. `lacks` says what is left out on purpose: capabilities, and calls
 * that answer `not_in_build`.
 */
export function use(given) {
  host = given
}

export function fail(message) {
  throw new Error(message)
}

export function ensure(holds, message) {
  if (!holds) {
    fail(message)
  }
}

export function bytes(name) {
  return host.file(name)
}

export function read(name) {
  return JSON.parse(new TextDecoder().decode(bytes(name)))
}

export function text(value, key) {
  return typeof value[key] === 'string' ? value[key] : fail(`\`${key}\` is not a text in ${JSON.stringify(value)}`)
}

export function time(value) {
  const ms = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(ms) ? fail(`${JSON.stringify(value)} is not a time`) : ms
}

export function onlyKeys(object, known, what) {
  const unknown = Object.keys(object).filter((key) => !known.includes(key))
  if (unknown.length > 0) {
    fail(`${what}: unknown key ${unknown.join(', ')}`)
  }
}

/** Fails where two values differ: scalars, lists, and objects with the same keys. */
export function same(value, other, what = 'they differ') {
  if (!isSame(value, other)) {
    fail(`${what}: ${JSON.stringify(value)} is not ${JSON.stringify(other)}`)
  }
}

function isSame(value, other) {
  if (Array.isArray(value) && Array.isArray(other)) {
    return value.length === other.length && value.every((item, at) => isSame(item, other[at]))
  }
  if (isObject(value) && isObject(other)) {
    const keys = Object.keys(value)
    return (
      keys.length === Object.keys(other).length &&
      keys.every((key) => Object.hasOwn(other, key) && isSame(value[key], other[key]))
    )
  }
  return Object.is(value, other)
}

/** Bytes as vectors write them: a text, `{"base64": "…"}`, `{"repeat": text, "times": number}`, or a list of such. */
export function bytesOf(value) {
  if (typeof value === 'string') {
    return new TextEncoder().encode(value)
  }
  if (Array.isArray(value)) {
    const parts = value.map(bytesOf)
    const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
    parts.reduce((at, part) => {
      joined.set(part, at)
      return at + part.length
    }, 0)
    return joined
  }
  if ('times' in value) {
    onlyKeys(value, ['repeat', 'times'], 'bytes')
    return new TextEncoder().encode(text(value, 'repeat').repeat(value.times))
  }
  onlyKeys(value, ['base64'], 'bytes')
  return Uint8Array.from(atob(text(value, 'base64')), (character) => character.charCodeAt(0))
}

/** Whom this runtime believes, where a case does not say otherwise. */
export function trust(args = {}) {
  return args.trust ?? new TextDecoder().decode(bytes('trust.json'))
}

/** The engine of a checked-in pack: a new one each time, so that no case leans on what another has left. */
export function engineOf(name) {
  const pack = packs.get(name) ?? bytes(`packs/${name}.pack`)
  packs.set(name, pack)
  return host.engine.Engine.fromPack(pack, trust())
}

/** What is absent stands as null or an empty list. */
export function plain(answer, absent) {
  return { ...absent, ...answer }
}

/** What is wrong with an outcome, given what a case, or a step of one, expects. */
export function wrong({ answer, error }, expected) {
  if (error !== undefined) {
    if (!('error' in expected) || 'expect' in expected) {
      return `refused: ${JSON.stringify(error)}`
    }
    const pattern = typeof expected.error === 'string' ? { code: expected.error } : expected.error
    return mismatch(pattern, error, '')
  }
  if (!('expect' in expected) || 'error' in expected) {
    return `answered ${JSON.stringify(answer)}`
  }
  // As it is written: what JSON does not have is not in an answer.
  const what = mismatch(expected.expect, JSON.parse(JSON.stringify(answer)), '')
  return what && `${what}\n    in ${JSON.stringify(answer)}`
}

/** Where an answer differs from its pattern. */
function mismatch(pattern, answer, path) {
  if (isObject(pattern) && isObject(answer)) {
    return first(Object.entries(pattern), ([key, item]) =>
      Object.hasOwn(answer, key) ? mismatch(item, answer[key], `${path}/${key}`) : `${path}/${key} is absent`,
    )
  }
  if (Array.isArray(pattern) && Array.isArray(answer) && pattern.length === answer.length) {
    return first(pattern.entries(), ([at, item]) => mismatch(item, answer[at], `${path}/${at}`))
  }
  // Objects and lists were seen to: what is left are scalars, or what is of two kinds.
  return pattern === answer ? undefined : `${path} is ${JSON.stringify(answer)}, not ${JSON.stringify(pattern)}`
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function first(items, look) {
  for (const item of items) {
    const found = look(item)
    if (found !== undefined) {
      return found
    }
  }
  return undefined
}
