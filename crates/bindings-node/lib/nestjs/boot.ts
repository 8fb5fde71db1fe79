/** What decorators name has to exist: found out at boot, not at the first request. */

import { Inject, Injectable } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import { DiscoveryService, MetadataScanner, ModuleRef } from '@nestjs/core'
import { Engine } from '../engine'
import { LeaseholdError } from '../errors'
import type { Kind } from '../keys'
import { LEASEHOLD_USAGE, features, limits, transitions } from './decorators'

/** Mistakes in what decorators name: code `unknown_keys`, and all of them. */
export class UnknownKeysError extends LeaseholdError {
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[], revision: number) {
    const list = mistakes.map((mistake) => `\n  - ${mistake}`).join('')
    super(
      'unknown_keys',
      `handlers ask for what revision ${revision} does not have: correct them, publish what is missing, or set ` +
        `\`onUnknownKeys: 'warn'\`${list}`,
    )
    this.mistakes = mistakes
  }
}

/** @internal */
@Injectable()
export class BootCheck {
  readonly #engine: Engine
  readonly #discovery: DiscoveryService
  readonly #scanner: MetadataScanner
  readonly #modules: ModuleRef

  constructor(
    @Inject(Engine) engine: Engine,
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(MetadataScanner) scanner: MetadataScanner,
    @Inject(ModuleRef) modules: ModuleRef,
  ) {
    this.#engine = engine
    this.#discovery = discovery
    this.#scanner = scanner
    this.#modules = modules
  }

  /** All that is wrong, with its place. */
  check(): UnknownKeysError | undefined {
    const mistakes = [...this.#classes()].flatMap((type) => {
      const methods = this.#scanner.getAllMethodNames(type.prototype as object)
      return [
        ...this.#mistakes(type, type.name),
        ...methods.flatMap((name) => {
          const method = (type.prototype as Record<string, unknown>)[name]
          return typeof method === 'function' ? this.#mistakes(method, `${type.name}.${name}`) : []
        }),
      ]
    })
    return mistakes.length === 0 ? undefined : new UnknownKeysError(mistakes, this.#engine.snapshot().revision)
  }

  /** Everything that may have handlers: controllers, resolvers, gateways. */
  #classes(): Set<Function> {
    const classes = new Set<Function>()
    for (const wrapper of [...this.#discovery.getControllers(), ...this.#discovery.getProviders()]) {
      // Of a factory, the class is that of what it made.
      const made: unknown =
        wrapper.inject === undefined ? wrapper.metatype : (wrapper.instance as object | undefined)?.constructor
      if (typeof made === 'function' && typeof made.prototype === 'object' && made.prototype !== null) {
        classes.add(made)
      }
    }
    return classes
  }

  #mistakes(subject: Function, place: string): string[] {
    const found: (string | undefined)[] = []
    for (const { features: keys } of features.of(subject)) {
      found.push(...keys.map((key) => this.#feature(key, 'switch', `@FeatureFlag('${key}')`)))
    }
    for (const { feature, used, usage = LEASEHOLD_USAGE } of limits.of(subject)) {
      const decorator = `@RequireLimit('${feature}')`
      found.push(this.#feature(feature, 'limit', decorator))
      found.push(used === undefined ? this.#provider(usage, decorator) : undefined)
    }
    for (const { workflow, options } of transitions.of(subject)) {
      const decorator = `@RequireTransition('${workflow}')`
      found.push(this.#workflow(workflow, decorator))
      found.push(options.move === undefined ? undefined : this.#provider(options.move, decorator))
    }
    return found.filter((mistake) => mistake !== undefined).map((mistake) => `${place}: ${mistake}`)
  }

  #feature(key: string, wanted: Kind, decorator: string): string | undefined {
    const known = this.#engine.snapshot().about.features as Readonly<Record<string, Kind>>
    const kind = Object.hasOwn(known, key) ? known[key] : undefined
    if (kind === undefined) {
      const alike = Object.keys(known).filter((other) => known[other] === wanted)
      return `${decorator}: feature \`${key}\` is not known${hint(key, alike)}`
    }
    return kind === wanted ? undefined : `${decorator}: feature \`${key}\` is a ${kind}, not a ${wanted}`
  }

  #workflow(key: string, decorator: string): string | undefined {
    const { workflows } = this.#engine.snapshot().about
    return workflows.includes(key) ? undefined : `${decorator}: workflow \`${key}\` is not known${hint(key, workflows)}`
  }

  #provider(token: InjectionToken, decorator: string): string | undefined {
    try {
      this.#modules.introspect(token as string)
      return undefined
    } catch {
      const hint = token === LEASEHOLD_USAGE ? ': say `used` or `usage`, or provide `LEASEHOLD_USAGE`' : ''
      return `${decorator}: there is no provider of \`${nameOf(token)}\`${hint}`
    }
  }
}

function nameOf(token: InjectionToken): string {
  return typeof token === 'function'
    ? token.name
    : typeof token === 'symbol'
      ? (token.description ?? 'Symbol()')
      : String(token)
}

function hint(name: string, among: readonly string[]): string {
  const alike = nearest(name, among)
  return alike === undefined ? '' : `, did you mean \`${alike}\`?`
}

/** The name that is most likely meant. */
function nearest(name: string, among: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const other of among) {
    const distance = distanceOf(name, other)
    if (distance < least) {
      best = other
      least = distance
    }
  }
  return best
}

/** Letters to insert, delete or replace, which makes one name of the other. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [line, letter] of [...one].entries()) {
    const next = [line + 1]
    for (let column = 1; column <= other.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (letter === other[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
