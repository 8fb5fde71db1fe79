/** Arguments, checked before they cross, and answers and errors that come back. Nothing here is public. */

import type { Trust } from './answers'
import { ArgumentError, LeaseholdError, QuestionError, messageOf, told } from './errors'

/** A point in time: a date, or milliseconds since 1970. Without one, a question is about now. */
export type Instant = Date | number

/** As far as dates of JavaScript reach. */
const FURTHEST = 8.64e15

export function at(now: Instant | undefined, name = 'now'): number {
  if (now === undefined) {
    return Date.now()
  }
  const ms = typeof now === 'number' ? now : timeOf(now)
  if (!(Math.abs(ms) <= FURTHEST)) {
    throw new ArgumentError(`\`${name}\` is not an instant: pass milliseconds since 1970, or a valid \`Date\``)
  }
  return ms
}

/** Dates of other realms are dates, and whatever only claims to be one is not: that has no time. */
function timeOf(date: unknown): number {
  try {
    return Date.prototype.getTime.call(date)
  } catch {
    return NaN
  }
}

export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw new ArgumentError(`\`${name}\` is a text, not ${kindOf(value)}`)
  }
  return value
}

export function isList(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    // Of a revoked proxy, nobody can tell.
    return false
  }
}

/** Whether it is one of these; a proxy may throw when it is asked. */
export function isA<C>(Class: abstract new (...args: never) => C, value: unknown): value is C {
  try {
    return value instanceof Class
  } catch {
    return false
  }
}

export function kindOf(value: unknown): string {
  return value === null ? 'null' : isList(value) ? 'a list' : `of type ${typeof value}`
}

/** A value as messages tell it: objects may do anything when they are made texts. */
export function shown(value: unknown): string {
  return typeof value === 'object' || typeof value === 'function' ? kindOf(value) : String(value)
}

/** What kind a typed array is of; nothing of anything else. */
const kindOfArray = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get

function isBytes(value: unknown): value is Uint8Array {
  // Those of other realms too.
  return kindOfArray?.call(value) === 'Uint8Array'
}

/** Bytes. */
export function bytes(name: string, value: unknown): Uint8Array {
  if (!isBytes(value)) {
    throw new ArgumentError(`\`${name}\` is a Uint8Array, not ${kindOf(value)}`)
  }
  return value
}

export function number(name: string, value: unknown): number {
  if (typeof value !== 'number') {
    const hint = typeof value === 'bigint' ? ': `Number(…)` makes one of it' : ''
    throw new ArgumentError(`\`${name}\` is a number, not ${kindOf(value)}${hint}`)
  }
  return value
}

export function object<O>(name: string, value: O): O & object {
  if (value === null || typeof value !== 'object' || isList(value)) {
    throw new ArgumentError(`\`${name}\` is an object, not ${kindOf(value)}`)
  }
  return value
}

/** Options that are all known: a name that is mistyped would change nothing, and nobody would hear of it. */
export function options<O extends object>(name: string, value: O, known: Record<keyof O, true>): O {
  const unknown = Object.keys(object(name, value)).find((member) => !Object.hasOwn(known, member))
  if (unknown !== undefined) {
    throw new ArgumentError(`\`${name}\` has no \`${unknown}\`; it has ${Object.keys(known).join(', ')}`)
  }
  return value
}

export function yesOrNo(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw new ArgumentError(`\`${name}\` is true or false, not ${kindOf(value)}`)
  }
  return value
}

/** Reads what was passed in. Whatever that does when it is looked at is a mistake in the call. */
export function given<R>(name: string, read: () => R): R {
  try {
    return read()
  } catch (cause) {
    if (isA(LeaseholdError, cause)) {
      throw cause
    }
    const why = isA(Error, cause) ? messageOf(cause) : shown(cause)
    throw new ArgumentError(`\`${name}\` cannot be read: ${why}`, { cause })
  }
}

/** How long: a timer that is asked to wait longer is over at once. */
export function milliseconds(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1) {
    throw new ArgumentError(
      `\`${name}\` is a time in milliseconds, an integer from 1 to 2147483647, not ${shown(value)}`,
    )
  }
  return value
}

/** An amount. Whether it is within bounds, the engine says; what is no integer cannot be asked about. */
export function amount(name: string, value: unknown): number {
  const amount = number(name, value)
  if (!Number.isInteger(amount)) {
    const message = `amount ${amount} is out of range: amounts are integers from 0 to 2^53 − 1, quantities of add-ons from 1 on`
    throw new QuestionError('amount_out_of_range', message)
  }
  return amount
}

export function whole(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new ArgumentError(`\`${name}\` is an integer from 0 to 4294967295, not ${shown(value)}`)
  }
  return value
}

export function isRead(action: unknown): boolean {
  if (action !== undefined && action !== 'use' && action !== 'read') {
    throw new ArgumentError(`\`action\` is use or read, not ${shown(action)}`)
  }
  return action === 'read'
}

/** An object as JSON for the native part. */
export function written(name: string, value: unknown): string {
  return json(name, object(name, value))
}

/** JSON for the native part. */
export function json(name: string, value: unknown): string {
  const written = given(name, () => JSON.stringify(value) as string | undefined)
  if (written === undefined) {
    throw new ArgumentError(`\`${name}\` cannot be written as JSON: it comes to nothing`)
  }
  return written
}

/** Whom to believe, as JSON; of the stream that is named beside it, where one is. */
export function trustText(trust: Trust | string, stream?: string): string {
  if (stream === undefined) {
    return typeof trust === 'string' ? trust : written('trust', trust)
  }
  let said: unknown
  if (typeof trust === 'string') {
    try {
      said = JSON.parse(trust)
    } catch (cause) {
      throw new ArgumentError(`\`trust\` is not JSON: ${String(cause)}`, { cause })
    }
  } else {
    said = JSON.parse(written('trust', trust))
  }
  return written('trust', { ...(said as object), stream: text('stream', stream) })
}

export function asked<R>(ask: () => R): R {
  try {
    return ask()
  } catch (thrown) {
    throw told(thrown)
  }
}

export function answered<R>(ask: () => string): R {
  return JSON.parse(asked(ask)) as R
}
