// A few features, a workflow and two tenants, one of which tries the plan until noon.

export const NOON = Date.parse('2026-03-01T12:00:00Z')
export const MORNING = NOON - 10_000

const named = { name: 'F', name2: 'م' }
const feature = (of) => ({ ...named, group: 'x', ...of })
const set = (key, value) => ({ feature: key, op: 'set', value, reason: 'r', actor: 'a' })
const stage = (of) => ({ name: 'S', name2: 'م', ...of })

const features = {
  pdf: feature({ kind: 'switch' }),
  chat: feature({ kind: 'switch', default: true }),
  seats: feature({ kind: 'limit', unit: 'seat', default: { amount: 5 } }),
  endless: feature({ kind: 'limit', unit: 'seat', default: { amount: 'unlimited' } }),
  calls: feature({ kind: 'limit', unit: 'call', window: 'day', default: { amount: 100 } }),
  vans: feature({ kind: 'limit', unit: 'van', default: { amount: 2 }, requires: ['pdf'] }),
  theme: feature({ kind: 'value', type: 'json', default: { accent: 'teal' } }),
  locked: feature({ kind: 'value', type: 'string', default: 'x', requires: ['pdf'] }),
}

const plans = {
  growth: {
    ...named,
    rank: 1,
    price: { amount: '1.000', currency: 'OMR', period: 'month' },
    versions: {
      1: {
        effective_from: '2026-01-01T00:00:00Z',
        moves: 'now',
        contributions: [{ feature: 'pdf', op: 'set', value: true }],
      },
    },
  },
}

const guards = {
  paid: { name: 'Paid', name2: 'مدفوع', inputs: { due: 'integer' }, expression: 'due == 0' },
}

const workflows = {
  order: {
    ...named,
    versions: {
      1: {
        stages: { ready: stage({ initial: true, order: 1 }), closed: stage({ final: true, order: 2 }) },
        transitions: {
          deliver: {
            name: 'Deliver',
            name2: 'تسليم',
            from: 'ready',
            event: 'deliver',
            to: 'closed',
            role: 'driver',
            guards: { paid: { guard: 'paid' } },
          },
          cancel: { name: 'Cancel', name2: 'إلغاء', from: 'ready', event: 'cancel', to: 'closed' },
        },
      },
    },
  },
}

const tenant = (of) => ({
  ...named,
  region: 'R',
  anchor: '2026-01-01T00:00:00Z',
  workflows: { order: {} },
  ...of,
})

/** With other features or overrides of the first tenant, where they are named. */
export function small({ more = {}, without = [], overrides = {} } = {}) {
  const kept = Object.entries({ ...features, ...more }).filter(([key]) => !without.includes(key))
  return {
    features: Object.fromEntries(kept),
    plans,
    guards,
    workflows,
    tenants: {
      a: tenant({
        phases: {
          trial: { kind: 'trial', plan: 'growth', from: '2026-02-01T00:00:00Z', until: '2026-03-01T12:00:00Z' },
        },
        overrides,
      }),
      b: tenant({}),
    },
  }
}

export { feature, set }
