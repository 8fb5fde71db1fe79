// The corpus as every runtime reads it: files, bytes, patterns.

import { readFileSync } from 'node:fs'
import { Engine } from 'leasehold'

/** The folder of the vectors. */
export const folder = new URL('../../../../tests/conformance/', import.meta.url)

const packs = new Map()

export function fail(message) {
  throw new Error(message)
}

export function bytes(name) {
  return new Uint8Array(readFileSync(new URL(name, folder)))
}

export function read(name) {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
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

/** Bytes as vectors write them: a text, `{"base64": "…"}`, `{"repeat": text, "times": number}`, or a list of such. */
export function bytesOf(value) {
  if (typeof value === 'string') {
    return new TextEncoder().encode(value)
  }
  if (Array.isArray(value)) {
    return new Uint8Array(Buffer.concat(value.map(bytesOf)))
  }
  if ('times' in value) {
    onlyKeys(value, ['repeat', 'times'], 'bytes')
    return new TextEncoder().encode(text(value, 'repeat').repeat(value.times))
  }
  onlyKeys(value, ['base64'], 'bytes')
  return new Uint8Array(Buffer.from(text(value, 'base64'), 'base64'))
}

/** Whom this runtime believes, where a case does not say otherwise. */
export function trust(args = {}) {
  return args.trust ?? readFileSync(new URL('trust.json', folder), 'utf8')
}

/** The engine of a checked-in pack: a new one each time, so that no case leans on what another has left. */
export function engineOf(name) {
  const pack = packs.get(name) ?? bytes(`packs/${name}.pack`)
  packs.set(name, pack)
  return Engine.fromPack(pack, trust())
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
