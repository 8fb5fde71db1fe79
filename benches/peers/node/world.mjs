// What everybody is asked about: 60 switches, 4 plans, 100 tenants. A tenant may use a switch when its plan grants it
// or when it was granted to the tenant alone. All of it is derived from the numbers, so that every run asks the same.

const SWITCHES = 60
const PLANS = 4
const TENANTS = 100
const GRANTS_OF_A_TENANT = 2
/** Questions in the order in which they are asked; a power of two, so that a mask walks around. */
export const QUESTIONS = 4096

const padded = (number) => String(number).padStart(3, '0')

export const switches = Array.from({ length: SWITCHES }, (_, at) => `feature_${padded(at)}`)
export const plans = Array.from({ length: PLANS }, (_, at) => `plan_${at}`)

/** Each plan grants what the one below it does, and a quarter more. */
const grantedBy = (plan, at) => at % PLANS <= plan

export const tenants = Array.from({ length: TENANTS }, (_, at) => ({
  id: `tenant_${padded(at)}`,
  plan: plans[at % PLANS],
  grants: Array.from({ length: GRANTS_OF_A_TENANT }, (_, n) => switches[(at * 7 + n * 31) % SWITCHES]),
}))

/** Of each switch: the plans and the tenants that it is granted to. */
export const grants = new Map(
  switches.map((key, at) => [
    key,
    {
      plans: plans.filter((_, plan) => grantedBy(plan, at)),
      tenants: tenants.filter((tenant) => tenant.grants.includes(key)).map((tenant) => tenant.id),
    },
  ]),
)

/** The answer that is right. */
export function isGranted(tenant, key) {
  const { plans, tenants } = grants.get(key)
  return plans.includes(tenant.plan) || tenants.includes(tenant.id)
}

/** Tenants and switches in random order, from a fixed seed. */
export const questions = (() => {
  let state = 0x9e3779b9
  const below = (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
  return Array.from({ length: QUESTIONS }, () => ({
    tenant: tenants[below(TENANTS)],
    key: switches[below(SWITCHES)],
  }))
})()

const label = (text) => ({ name: text, name2: text })
const begin = '2024-01-01T00:00:00Z'

/** The same as definitions of Leasehold's, with a limit and a workflow beside the switches. */
export const definitions = {
  features: {
    ...Object.fromEntries(switches.map((key) => [key, { kind: 'switch', ...label(key), group: 'module' }])),
    max_users: {
      kind: 'limit',
      unit: 'user',
      default: { amount: 10 },
      ...label('Users'),
      group: 'limits',
    },
  },
  plans: Object.fromEntries(
    plans.map((plan, rank) => [
      plan,
      {
        ...label(plan),
        rank,
        price: { amount: '10.000', currency: 'OMR', period: 'month' },
        versions: {
          1: {
            effective_from: begin,
            moves: 'now',
            contributions: switches
              .filter((_, at) => grantedBy(rank, at))
              .map((feature) => ({ feature, op: 'set', value: true })),
          },
        },
      },
    ]),
  ),
  guards: {
    paid: {
      ...label('Paid'),
      inputs: { invoice_issued: 'bool', balance_due_minor: 'integer' },
      expression: 'invoice_issued && balance_due_minor <= 0',
    },
  },
  workflows: {
    order: {
      ...label('Order'),
      current: 1,
      versions: {
        1: {
          stages: {
            ready: { ...label('Ready'), initial: true, order: 10 },
            delivered: { ...label('Delivered'), final: true, order: 20 },
          },
          transitions: {
            deliver: {
              ...label('Deliver'),
              from: 'ready',
              event: 'deliver',
              to: 'delivered',
              guards: { paid: {} },
            },
          },
        },
      },
    },
  },
  tenants: Object.fromEntries(
    tenants.map(({ id, plan, grants }) => [
      id,
      {
        ...label(id),
        region: 'GCC-OM',
        anchor: begin,
        utc_offset_minutes: 240,
        phases: { paid: { kind: 'paid', plan, from: begin } },
        overrides: Object.fromEntries(
          grants.map((feature) => [
            feature,
            {
              feature,
              op: 'set',
              value: true,
              reason: 'granted',
              actor: 'sales',
            },
          ]),
        ),
      },
    ]),
  ),
}
