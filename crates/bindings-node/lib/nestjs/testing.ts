/** Policies in memory, for tests: real definitions and a real engine, without HQ. */

import { Injectable, Module } from '@nestjs/common'
import type { DynamicModule } from '@nestjs/common'
import { Engine } from '../engine'
import type { SourceFile } from '../snapshot'
import { options } from '../arguments'
import { ArgumentError } from '../errors'
import type { Kind } from '../keys'
import { LeaseholdModule } from './module'
import type { LeaseholdCommonOptions } from './options'

/** A limit: how much, or all that is to be said of it. */
export type LimitPolicy =
  | number
  | 'unlimited'
  | { amount: number | 'unlimited'; mode?: 'hard' | 'soft' | 'billable'; thresholds?: readonly number[] }

/** What a tenant may do. What is not said is off, or as the definitions or the plan have it. */
export interface TenantPolicy {
  /** Switches, on or off. */
  features?: Readonly<Record<string, boolean>>
  limits?: Readonly<Record<string, LimitPolicy>>
  /** Values: texts, integers, and JSON without floats. */
  values?: Readonly<Record<string, unknown>>
  /** How much is left to it: `full`. */
  access?: 'full' | 'read_only' | 'billing_only' | 'none'
  /** A plan of the definitions, which it pays for. */
  plan?: string
  /** What it lays over workflows of the definitions. */
  workflows?: Readonly<Record<string, object>>
}

/** What all tenants may do. */
export interface Policies {
  tenants: Readonly<Record<string, TenantPolicy>>
  /**
   * Definitions to begin with: features, plans, workflows, as one document or as files. Tenants that policies name
   * stand in place of those there. Without definitions, there is what policies name.
   */
  definitions?: object | readonly SourceFile[]
}

type Sections = Record<string, Record<string, unknown>>

const KNOWN: Record<keyof TenantPolicy, true> = {
  features: true,
  limits: true,
  values: true,
  access: true,
  plan: true,
  workflows: true,
}

/** Long before every test. */
const SINCE = '2000-01-01T00:00:00Z'
const BY = { reason: 'a policy of a test', actor: 'test' }

/** Policies that a test changes as it goes: each change is in force when the call returns. */
@Injectable()
export class TestPolicies {
  /** The engine that answers by them. */
  readonly engine: Engine
  readonly #base: Sections
  readonly #tenants: Map<string, TenantPolicy>
  #revision = 1

  /** @throws {DefinitionsError} Policies that no definitions can be made of. */
  constructor({ tenants, definitions = {} }: Policies) {
    this.#base = sectionsOf(definitions)
    this.#tenants = new Map(Object.entries(tenants))
    this.engine = this.#compiled()
  }

  /** What a tenant may do from now on, in place of what it could. A new tenant is made. */
  set(tenant: string, policy: TenantPolicy): void {
    this.#change(() => this.#tenants.set(tenant, policy))
  }

  /** There is no such tenant any more, unless definitions have it. */
  remove(tenant: string): void {
    this.#change(() => this.#tenants.delete(tenant))
  }

  /** What cannot be compiled changes nothing. */
  #change(change: () => void): void {
    const before = new Map(this.#tenants)
    change()
    try {
      this.#revision += 1
      this.engine.swap(this.#compiled().snapshot())
    } catch (error) {
      this.#tenants.clear()
      before.forEach((policy, tenant) => this.#tenants.set(tenant, policy))
      throw error
    }
  }

  #compiled(): Engine {
    return Engine.fromDefinitions(this.#definitions(), { revision: this.#revision })
  }

  #definitions(): object {
    const features: Record<string, unknown> = { ...this.#base.features }
    const tenants: Record<string, unknown> = { ...this.#base.tenants }
    // Values and limits that only policies name: their defaults would be on.
    const declared = new Set<string>()
    for (const [id, policy] of this.#tenants) {
      options(`tenants.${id}`, policy, KNOWN)
      const overrides: Record<string, object> = {}
      const sections = [
        ['switch', policy.features],
        ['limit', policy.limits],
        ['value', policy.values],
      ] as const
      for (const [kind, entries] of sections) {
        for (const [key, wanted] of Object.entries(entries ?? {})) {
          declare(features, key, kind, wanted)
          if (kind !== 'switch' && !Object.hasOwn(this.#base.features ?? {}, key)) {
            declared.add(key)
          }
          const value = kind === 'limit' && typeof wanted !== 'object' ? { amount: wanted } : wanted
          overrides[key] = { feature: key, op: 'set', value, ...BY }
        }
      }
      tenants[id] = tenantOf(id, policy, overrides)
    }
    for (const [id, tenant] of Object.entries(tenants)) {
      const { limits, values } = this.#tenants.get(id) ?? {}
      const named = { ...limits, ...values }
      tenants[id] = without(
        [...declared].filter((key) => !Object.hasOwn(named, key)),
        tenant,
      )
    }
    return { ...this.#base, features, tenants }
  }
}

/** A tenant for which these features are off. */
function without(features: readonly string[], tenant: unknown): object {
  const { overrides, ...others } = Object(tenant) as { overrides?: object }
  const off = features.map((key) => [`off:${key}`, { feature: key, op: 'revoke', ...BY }])
  return { ...others, overrides: { ...overrides, ...Object.fromEntries(off) } }
}

/** A feature that definitions do not have is off for whom no policy names it. */
function declare(features: Record<string, unknown>, key: string, kind: Kind, wanted: unknown): void {
  const declared = (Object.hasOwn(features, key) ? features[key] : undefined) as { kind?: Kind } | undefined
  if (declared !== undefined) {
    if (declared.kind !== kind) {
      throw new ArgumentError(
        `\`${key}\` is a ${declared.kind}, not a ${kind}: a feature has one kind, for all tenants`,
      )
    }
    return
  }
  const labels = { name: key, name2: key, group: 'test' }
  switch (kind) {
    case 'switch':
      features[key] = { kind, ...labels }
      break
    case 'limit':
      features[key] = { kind, ...labels, unit: 'unit' }
      break
    case 'value': {
      const type = typeof wanted === 'string' ? 'string' : typeof wanted === 'number' ? 'integer' : 'json'
      const empty = { string: '', integer: 0, json: null }
      features[key] = { kind, ...labels, type, default: empty[type] }
    }
  }
}

function tenantOf(id: string, { access = 'full', plan, workflows }: TenantPolicy, overrides: object): object {
  const block = { kind: 'restricted', level: access, laid_by: 'staff', since: SINCE, reason: BY.reason }
  return {
    name: id,
    name2: id,
    region: 'TEST',
    anchor: SINCE,
    overrides,
    ...(access === 'full' ? {} : { blocks: { policy: block } }),
    ...(plan === undefined ? {} : { phases: { policy: { kind: 'paid', plan, from: SINCE } } }),
    ...(workflows === undefined ? {} : { workflows }),
  }
}

function sectionsOf(definitions: object | readonly SourceFile[]): Sections {
  if (!Array.isArray(definitions)) {
    return definitions as Sections
  }
  const sections: Sections = {}
  for (const { name, content } of definitions as readonly SourceFile[]) {
    for (const [section, records] of Object.entries(parsed(name, content))) {
      if (section !== '$schema') {
        sections[section] = { ...sections[section], ...records }
      }
    }
  }
  return sections
}

function parsed(name: string, content: string | Uint8Array): Sections {
  try {
    return JSON.parse(typeof content === 'string' ? content : new TextDecoder().decode(content)) as Sections
  } catch (cause) {
    throw new ArgumentError(`\`${name}\` is not JSON: ${String(cause)}`, { cause })
  }
}

/**
 * A `LeaseholdModule` that answers by policies in memory.
 *
 * ```ts
 * imports: [LeaseholdTestingModule.forPolicies({ tenants: { acme: { features: { pdf_invoices: true } } } })]
 * …
 * app.get(TestPolicies).set('acme', { features: { pdf_invoices: false } })
 * ```
 *
 * Where the app under test imports `LeaseholdModule` itself, put the engine of {@link TestPolicies} in the place of its
 * own:
 * `.overrideProvider(Engine).useValue(new TestPolicies({ … }).engine)`.
 */
@Module({})
export class LeaseholdTestingModule {
  static forPolicies(policies: Policies | TestPolicies, options: LeaseholdCommonOptions = {}): DynamicModule {
    const used = policies instanceof TestPolicies ? policies : new TestPolicies(policies)
    return {
      module: LeaseholdTestingModule,
      global: true,
      imports: [LeaseholdModule.forRoot({ ...options, engine: used.engine })],
      providers: [{ provide: TestPolicies, useValue: used }],
      exports: [TestPolicies],
    }
  }
}
