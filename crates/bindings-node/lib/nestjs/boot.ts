/** What decorators name has to exist: found out at boot, not at the first request. */

import { Inject, Injectable } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import { DiscoveryService, MetadataScanner, ModuleRef } from '@nestjs/core'
import type { ApplicationConfig } from '@nestjs/core'
import { shown } from '../arguments'
import { Engine } from '../engine'
import { LeaseholdError } from '../errors'
import type { Kind } from '../keys'
import { LEASEHOLD_USAGE, features, limits, transitions } from './decorators'
import { FeatureFlagGuard, LimitGuard, TransitionGuard } from './guards'

/** Under which Nest keeps the guards of a class or method. */
const GUARDS = '__guards__'

/** What is asked for, and the guard that asks. */
const ASKED = [
  { decorator: '@FeatureFlag', requirements: features, guard: FeatureFlagGuard },
  { decorator: '@RequireLimit', requirements: limits, guard: LimitGuard },
  { decorator: '@RequireTransition', requirements: transitions, guard: TransitionGuard },
] as const

/** Mistakes in what decorators name, and in how they are called: code `unknown_keys`, and all of them. */
export class UnknownKeysError extends LeaseholdError {
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[], revision: number, mends: string) {
    const list = mistakes.map((mistake) => `\n  - ${mistake}`).join('')
    super('unknown_keys', `handlers ask for what revision ${revision} cannot answer: ${mends}${list}`)
    this.mistakes = mistakes
  }
}

/** What is wrong, with its place. */
interface Mistakes {
  /** Calls of decorators that cannot be meant. */
  senseless: string[]
  /** What is not there, and may be there some day. */
  missing: string[]
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

  /** All that is wrong. */
  check(): Mistakes {
    const found = [...this.#classes()].flatMap((type) => [
      this.#mistakes(type, type.name),
      ...this.#methods(type).map(([name, method]) => this.#mistakes(method, `${type.name}.${name}`)),
    ])
    return {
      senseless: found.flatMap(({ senseless }) => senseless),
      missing: found.flatMap(({ missing }) => missing),
    }
  }

  /**
   * Places that ask for something, with no guard before them that asks it: everybody is let through there. Whether a guard
   * of the app's own asks instead cannot be seen.
   */
  unguarded(): string[] {
    const everywhere = this.#globalGuards()
    if (everywhere === undefined) {
      return []
    }
    return [...this.#classes()].flatMap((type) => {
      const methods = this.#methods(type)
      return ASKED.flatMap(({ decorator, requirements, guard }) => {
        const has = (guards: readonly unknown[]) => guards.some((one) => isOf(guard, one))
        if (has(everywhere) || has(guardsOf(type))) {
          return []
        }
        const open = methods.filter(([, method]) => !has(guardsOf(method)))
        const places = open.filter(([, method]) => requirements.of(method).length > 0).map(([name]) => `.${name}`)
        // What a class asks for is asked of its handlers, one by one or all at once.
        const whole = requirements.of(type).length > 0 && open.length === methods.length ? [''] : []
        return [...whole, ...places].map(
          (place) =>
            `${type.name}${place} has ${decorator}, and no ${guard.name} before it: everybody is let through. ` +
            `Add @UseGuards(${guard.name})`,
        )
      })
    })
  }

  /** Guards of all handlers; nothing where Nest does not say. */
  #globalGuards(): readonly unknown[] | undefined {
    const { container } = this.#modules as unknown as { container?: { applicationConfig?: ApplicationConfig } }
    const config = container?.applicationConfig
    return config === undefined
      ? undefined
      : [...config.getGlobalGuards(), ...config.getGlobalRequestGuards().map(({ metatype }) => metatype)]
  }

  #methods(type: Function): [string, Function][] {
    const prototype = type.prototype as Record<string, unknown>
    return this.#scanner
      .getAllMethodNames(prototype)
      .map((name) => [name, prototype[name]] as const)
      .filter((named): named is [string, Function] => typeof named[1] === 'function')
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

  #mistakes(subject: Function, place: string): Mistakes {
    const senseless: string[] = []
    const missing: (string | undefined)[] = []
    for (const { features: keys, mistakes } of features.of(subject)) {
      senseless.push(...mistakes)
      missing.push(...keys.filter(isText).map((key) => this.#feature(key, 'switch', `@FeatureFlag('${key}')`)))
    }
    for (const { feature, used, usage = LEASEHOLD_USAGE, mistakes } of limits.of(subject)) {
      senseless.push(...mistakes)
      const decorator = `@RequireLimit('${shown(feature)}')`
      missing.push(isText(feature) ? this.#feature(feature, 'limit', decorator) : undefined)
      missing.push(mistakes.length === 0 && used === undefined ? this.#provider(usage, decorator) : undefined)
    }
    for (const { workflow, options, mistakes } of transitions.of(subject)) {
      senseless.push(...mistakes)
      const decorator = `@RequireTransition('${shown(workflow)}')`
      missing.push(isText(workflow) ? this.#workflow(workflow, decorator) : undefined)
      const move = mistakes.length === 0 ? options.move : undefined
      missing.push(move === undefined ? undefined : this.#provider(move, decorator))
    }
    const at = (mistakes: readonly string[]) => mistakes.map((mistake) => `${place}: ${mistake}`)
    return { senseless: at(senseless), missing: at(missing.filter((mistake) => mistake !== undefined)) }
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

/** Whether a key can be looked up: what else stands there is a mistake of the call. */
function isText(key: unknown): key is string {
  return typeof key === 'string'
}

function guardsOf(subject: Function): readonly unknown[] {
  return (Reflect.getMetadata(GUARDS, subject) as readonly unknown[] | undefined) ?? []
}

/** Whether a guard is one of these, as a class or made. */
function isOf(guard: Function, one: unknown): boolean {
  const type: unknown = typeof one === 'function' ? one.prototype : one
  return type === guard.prototype || (typeof type === 'object' && type !== null && type instanceof guard)
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
