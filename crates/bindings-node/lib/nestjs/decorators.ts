/** What handlers ask for. */

import { Reflector } from '@nestjs/core'
import type { ExecutionContext, InjectionToken } from '@nestjs/common'
import type { Action } from '../answers'
import { isList, isRead, kindOf, options as known, shown } from '../arguments'
import type { Tenant } from '../engine'
import { ArgumentError, messageOf } from '../errors'
import type { Context } from '../machine'
import type { FeatureKey, WorkflowKey } from '../keys'

/**
 * Something, or how to find it in a request or message. Guards run before pipes: what a client sent is as it was sent.
 */
export type From<T> = T | ((context: ExecutionContext) => T | Promise<T>)

/** Knows how much of a limit a tenant has in use. */
export interface UsageProvider {
  used(feature: string, tenant: Tenant, context: ExecutionContext): number | Promise<number>
}

/** The token of the `UsageProvider` for limits that name no other. */
export const LEASEHOLD_USAGE = Symbol('LEASEHOLD_USAGE')

/** A move of an item. */
export interface Move {
  from: string
  to: string
  /** Inputs of guards, and the roles of whoever asks. */
  context?: Context
  /** The service category of the item. */
  category?: string
}

/** Knows which item a request or message wants to move. */
export interface MoveProvider {
  moveOf(workflow: string, tenant: Tenant, context: ExecutionContext): Move | Promise<Move>
}

/** @internal */
export interface Requirement {
  /** What cannot be meant in the call of the decorator. */
  mistakes: readonly string[]
}

/** @internal */
export interface FeatureRequirement extends Requirement {
  features: readonly string[]
  action: Action
}

/** How much is asked for, and how much is in use. */
export interface LimitOptions {
  /** How many more: 1. */
  requested?: From<number>
  /** How many there are. */
  used?: From<number>
  /** Or the token of a {@link UsageProvider} that knows; `LEASEHOLD_USAGE` where neither is given. */
  usage?: InjectionToken
}

/** @internal */
export interface LimitRequirement extends LimitOptions, Requirement {
  feature: string
}

/** A move, piece by piece. */
export interface MoveOptions {
  from: From<string>
  to: From<string>
  context?: From<Context>
  category?: From<string | undefined>
  move?: never
}

/** A move that is known to a {@link MoveProvider}, by its token. */
export interface MoveOfOptions {
  move: InjectionToken
}

export type TransitionOptions = MoveOptions | MoveOfOptions

/** @internal */
export interface TransitionRequirement extends Requirement {
  workflow: string
  options: TransitionOptions
}

/**
 * Metadata that gathers where decorators are stacked. What a handler asks for stands in place of what its class does.
 */
function gathering<R>(name: string) {
  const decorate = Reflector.createDecorator<readonly R[]>({ key: `leasehold:${name}` })
  const reflector = new Reflector()
  return {
    /** What a class or method asks for, in the order in which it is written. */
    of: (subject: Function): readonly R[] => reflector.get(decorate, subject) ?? [],
    /** What is asked for here. */
    at: (context: ExecutionContext): readonly R[] =>
      reflector.getAllAndOverride(decorate, [context.getHandler(), context.getClass()]) ?? [],
    add:
      (requirement: R): MethodDecorator & ClassDecorator =>
      (target: object, property?: string | symbol, descriptor?: PropertyDescriptor): void => {
        const gathered = reflector.get(decorate, (descriptor?.value ?? target) as Function) ?? []
        const decorator = decorate([requirement, ...gathered]) as MethodDecorator
        decorator(target, property as string, descriptor as PropertyDescriptor)
      },
  }
}

/** @internal */
export const features = gathering<FeatureRequirement>('features')
/** @internal */
export const limits = gathering<LimitRequirement>('limits')
/** @internal */
export const transitions = gathering<TransitionRequirement>('transitions')

/**
 * What cannot be meant in a call of a decorator. Nothing is thrown while modules are loaded: whoever starts the app is told of
 * all mistakes at once.
 */
function mistakesOf(decorator: string, keys: readonly unknown[], call: IArguments, checkOptions: () => void): string[] {
  const mistakes = keys
    .filter((key) => typeof key !== 'string')
    .map((key) => {
      const hint = key === undefined ? ': where modules import each other, it is not there yet' : ''
      return `a key is a text, not ${kindOf(key)}${hint}`
    })
  if (keys.length === 0) {
    mistakes.push('it asks for nothing, and everybody would be let through')
  }
  if (call.length > 2) {
    mistakes.push(`it takes two arguments, and is given ${call.length}`)
  }
  try {
    checkOptions()
  } catch (error) {
    mistakes.push(messageOf(error))
  }
  const named = keys.map((key) => (typeof key === 'string' ? `'${key}'` : shown(key))).join(', ')
  return mistakes.map((mistake) => `${decorator}(${keys.length === 1 ? named : `[${named}]`}): ${mistake}`)
}

/**
 * Asks for one or several switches, with `FeatureFlagGuard`. Those of a handler stand in place of those of its class;
 * several on the same are all asked for.
 */
export function FeatureFlag(
  feature: FeatureKey<'switch'> | readonly FeatureKey<'switch'>[],
  options: { action?: Action } = {},
): MethodDecorator & ClassDecorator {
  const keys = isList(feature) ? feature : [feature]
  const mistakes = mistakesOf('@FeatureFlag', keys, arguments, () => {
    isRead(known('options', options, { action: true }).action)
  })
  const { action = 'use' } = mistakes.length === 0 ? options : {}
  return features.add({ features: keys, action, mistakes })
}

/** Asks whether there is room in a limit, with `LimitGuard`. */
export function RequireLimit(
  feature: FeatureKey<'limit'>,
  options: LimitOptions = {},
): MethodDecorator & ClassDecorator {
  const mistakes = mistakesOf('@RequireLimit', [feature], arguments, () => {
    known('options', options, { requested: true, used: true, usage: true })
  })
  return limits.add({ ...options, feature, mistakes })
}

/** Asks whether an item may move, with `TransitionGuard`. */
export function RequireTransition(workflow: WorkflowKey, options: TransitionOptions): MethodDecorator & ClassDecorator {
  const mistakes = mistakesOf('@RequireTransition', [workflow], arguments, () => {
    const said: Partial<Record<keyof MoveOptions, unknown>> = options ?? {}
    const { from, to, move } = known('options', said, {
      from: true,
      to: true,
      context: true,
      category: true,
      move: true,
    })
    if (move === undefined && (from === undefined || to === undefined)) {
      throw new ArgumentError('say `from` and `to`, or `move`')
    }
  })
  return transitions.add({ workflow, options, mistakes })
}
