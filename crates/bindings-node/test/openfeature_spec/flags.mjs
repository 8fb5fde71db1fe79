// Flags as the specification's test data describe them, made into features of Leasehold.

import assert from 'node:assert/strict'

/** The tenant that nothing was made for. */
export const ANYBODY = 'anybody'

const named = (of) => ({ name: 'F', name2: 'F', ...of })
const by = (of) => ({ reason: 'r', actor: 'a', ...of })
const PRICE = { amount: '1.000', currency: 'OMR', period: 'month' }
const SINCE = '2026-01-01T00:00:00Z'

/**
 * Definitions, and what a provider is told. A flag that looks at the context is a feature that a plan has a say in: whoever is
 * meant by the context is a tenant on that plan.
 */
export function made(flags) {
  const [features, plans, kills, overrides, tenants, said] = [{}, {}, {}, {}, new Map(), {}]
  for (const [key, flag] of Object.entries(flags)) {
    const { variants, defaultVariant, disabled, contextEvaluator, flagMetadata } = flag
    if (defaultVariant === undefined || defaultVariant === null) {
      // A feature always has a default. No scenario asks for these.
      continue
    }
    const settings = Object.values(variants)
    features[key] = feature(variants[defaultVariant], settings)
    said[key] = { variants, metadata: flagMetadata ?? {} }
    if (disabled === true) {
      kills[key] = by({ feature: key, since: SINCE })
    }
    if (contextEvaluator !== undefined) {
      const [, who, variant] = /(?:email|fn) == '([^']+)'.*\? '([^']+)'/.exec(contextEvaluator)
      const id = tenants.get(who) ?? `tenant-${tenants.size + 1}`
      tenants.set(who, id)
      const version = { effective_from: SINCE, moves: 'now', contributions: [] }
      plans[id] ??= named({ rank: 1, price: PRICE, versions: { 1: version } })
      const isSwitch = typeof variants[variant] === 'boolean'
      const value = isSwitch || setting(features[key], variants[variant])
      plans[id].versions[1].contributions.push({ feature: key, op: 'set', value })
      if (variants[variant] === false) {
        // Plans turn switches on. This tenant has it off.
        overrides[id] = { ...overrides[id], [key]: by({ feature: key, op: 'set', value: false }) }
      }
    }
  }
  const tenant = (of) => named({ region: 'R', anchor: SINCE, ...of })
  const phases = (id) => ({ paid: { plan: id, kind: 'paid', from: SINCE } })
  const known = [...tenants.values()].map((id) => [id, tenant({ phases: phases(id), overrides: overrides[id] })])
  assert.ok(Object.keys(features).length > 0)
  return {
    definitions: { features, plans, kills, tenants: Object.fromEntries([[ANYBODY, tenant()], ...known]) },
    options: { tenantOf: ({ email, fn }) => tenants.get(email ?? fn) ?? ANYBODY, flags: said },
  }
}

/** Switches, and values. Decimals are texts. */
function feature(initial, variants) {
  if (typeof initial === 'boolean') {
    return named({ group: 'flags', kind: 'switch', default: initial })
  }
  const isWhole = variants.every(Number.isInteger)
  const type = typeof initial === 'object' ? 'json' : isWhole ? 'integer' : 'string'
  return named({ group: 'flags', kind: 'value', type, default: setting({ type }, initial) })
}

function setting({ type }, variant) {
  return type === 'string' ? String(variant) : variant
}
