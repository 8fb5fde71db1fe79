// Flags as the specification's test data describe them, made into features of Leasehold.

import assert from 'node:assert/strict'

/** The tenant that nothing was made for. */
export const ANYBODY = 'anybody'

const named = (of) => ({ name: 'F', name2: 'F', group: 'flags', ...of })
const by = (of) => ({ reason: 'r', actor: 'a', ...of })

/**
 * Definitions, and which tenant a context is about. A flag that looks at the context becomes an override of a tenant: whoever is
 * meant by the context is a tenant of its own.
 */
export function made(flags) {
  const [features, kills, overrides, tenants] = [{}, {}, {}, new Map()]
  for (const [key, { variants, defaultVariant, disabled, contextEvaluator }] of Object.entries(flags)) {
    if (defaultVariant === undefined || defaultVariant === null) {
      // A feature always has a default. No scenario asks for these.
      continue
    }
    features[key] = feature(variants[defaultVariant], Object.values(variants))
    if (disabled === true) {
      kills[key] = by({ feature: key, since: '2026-01-01T00:00:00Z' })
    }
    if (contextEvaluator !== undefined) {
      const [, who, variant] = /(?:email|fn) == '([^']+)'.*\? '([^']+)'/.exec(contextEvaluator)
      const id = tenants.get(who) ?? `tenant-${tenants.size + 1}`
      tenants.set(who, id)
      overrides[id] ??= {}
      overrides[id][key] = by({ feature: key, op: 'set', value: setting(features[key], variants[variant]) })
    }
  }
  const tenant = (of) => ({ name: 'T', name2: 'T', region: 'R', anchor: '2026-01-01T00:00:00Z', ...of })
  const known = [...tenants.values()].map((id) => [id, tenant({ overrides: overrides[id] })])
  assert.ok(Object.keys(features).length > 0)
  return {
    definitions: { features, kills, tenants: Object.fromEntries([[ANYBODY, tenant()], ...known]) },
    tenantOf: ({ email, fn }) => tenants.get(email ?? fn) ?? ANYBODY,
  }
}

/** Switches, limits where all variants are amounts, and values. Decimals are texts. */
function feature(initial, variants) {
  if (typeof initial === 'boolean') {
    return named({ kind: 'switch', default: initial })
  }
  if (typeof initial === 'object') {
    return named({ kind: 'value', type: 'json', default: initial })
  }
  if (typeof initial === 'string' || variants.some((variant) => !Number.isInteger(variant))) {
    return named({ kind: 'value', type: 'string', default: String(initial) })
  }
  return named({ kind: 'limit', unit: 'unit', default: { amount: initial } })
}

function setting({ kind, type }, variant) {
  return kind === 'limit' ? { amount: variant } : type === 'string' ? String(variant) : variant
}
