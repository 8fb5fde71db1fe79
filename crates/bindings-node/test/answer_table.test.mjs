// A tenant answers from its table only what is true: across swaps, at every boundary, at any instant in any order.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import { Engine, LeaseholdError } from 'leasehold'

const { native } = createRequire(import.meta.url)('../dist/native.js')

/** How often a question has crossed to the native part. */
let crossings = 0
const across = native.NativeTenant.prototype.isEnabled
native.NativeTenant.prototype.isEnabled = function (...args) {
  crossings += 1
  return across.apply(this, args)
}

function crossed(ask) {
  const before = crossings
  ask()
  return crossings - before
}

const BASE = Date.parse('2026-03-01T00:00:00Z')
const STEP = 60_000
/** So many instants, a step apart, are all at which anything begins or ends. */
const INSTANTS = 16

const instant = (at) => BASE + at * STEP
const spelt = (at) => new Date(instant(at)).toISOString()

const SWITCHES = ['orders', 'delivery', 'live', 'portal']
const ASKED = [...SWITCHES, 'max_users', 'currency', 'pdf_invoice', 'Not A Key', '__proto__', 'constructor']
const TENANTS = ['t1', 't2']

const labels = { name: 'N', name2: 'ن' }
const told = { reason: 'a test', actor: 'tests' }

const at = fc.nat(INSTANTS - 1)
/** From one instant until a later one; either may be absent. */
const interval = (from = 'from') =>
  fc
    .tuple(fc.nat(INSTANTS - 2), fc.nat(INSTANTS - 2), fc.constantFrom('both', 'start', 'end', 'none'))
    .map(([start, length, ends]) => ({
      ...(ends === 'both' || ends === 'start' || from === 'since' ? { [from]: spelt(start) } : {}),
      ...(ends === 'both' || ends === 'end' ? { until: spelt(start + 1 + length) } : {}),
    }))
/** One that begins, and may have an end. */
const begun = fc
  .tuple(fc.nat(INSTANTS - 2), fc.option(fc.nat(INSTANTS - 2), { nil: undefined }))
  .map(([start, length]) => ({
    from: spelt(start),
    ...(length === undefined ? {} : { until: spelt(start + 1 + length) }),
  }))
const aSwitch = fc.constantFrom(...SWITCHES)
/** A few records, by id. */
const records = (one, minLength, maxLength) =>
  fc.array(one, { minLength, maxLength }).map((all) => Object.fromEntries(all.map((record, at) => [`r${at}`, record])))

const override = fc
  .tuple(aSwitch, fc.constantFrom(true, true, true, false, 'revoke', 'revoke of the plan'), interval())
  .map(([feature, how, when]) => ({
    feature,
    ...(typeof how === 'boolean' ? { op: 'set', value: how } : { op: 'revoke' }),
    ...(how === 'revoke of the plan' ? { plan: 'growth' } : {}),
    ...when,
    ...told,
  }))

const phase = fc
  .tuple(fc.constantFrom('trial', 'paid'), fc.constantFrom('growth', 'start'), begun, fc.nat(3), fc.boolean())
  .map(([kind, plan, when, grace, pinned]) => ({
    kind,
    plan,
    ...when,
    ...(pinned ? { version: 1 } : {}),
    ...(kind === 'paid' && when.until !== undefined && grace > 0
      ? { grace_until: new Date(Date.parse(when.until) + grace * STEP).toISOString() }
      : {}),
  }))

const tenant = fc
  .record({
    phases: records(phase, 1, 3),
    licences: records(
      begun.map((when) => ({ add_on: 'extra', quantity: 1, ...when })),
      0,
      1,
    ),
    overrides: records(override, 1, 4),
    blocks: records(
      fc
        .tuple(fc.constantFrom('warned', 'frozen', 'suspended', 'quarantined'), interval('since'))
        .map(([kind, when]) => ({ kind, laid_by: 'staff', reason: 'a test', ...when })),
      0,
      1,
    ),
    preferences: fc.constantFrom([], [], [], ['portal'], ['orders']).map((off) => ({ off })),
  })
  .map((rest) => ({ ...labels, region: 'GCC-OM', anchor: spelt(0), utc_offset_minutes: 240, ...rest }))

const contributions = fc
  .uniqueArray(fc.tuple(aSwitch, interval()), { minLength: 2, maxLength: 4, selector: ([feature]) => feature })
  .map((all) => all.map(([feature, when]) => ({ feature, op: 'set', value: true, ...when })))

const plan = (rank) =>
  fc
    .tuple(contributions, contributions, fc.integer({ min: 1, max: INSTANTS - 1 }), fc.constantFrom('now', 'never'))
    .map(([first, second, effective, moves]) => ({
      ...labels,
      rank,
      price: { amount: '1.000', currency: 'OMR', period: 'month' },
      versions: {
        1: { effective_from: spelt(0), moves: 'now', contributions: first },
        2: { effective_from: spelt(effective), moves, contributions: second },
      },
    }))

/** Definitions, and what a snapshot of them says of itself. */
const snapshot = fc
  .record({
    plans: fc.record({ growth: plan(1), start: plan(2) }),
    extra: contributions,
    kills: records(
      fc.tuple(aSwitch, interval('since')).map(([feature, when]) => ({ feature, ...when, ...told })),
      0,
      2,
    ),
    tenants: fc.tuple(tenant, tenant, fc.constantFrom(TENANTS, TENANTS, TENANTS, TENANTS, ['t1'], ['t2'])),
    defaults: fc.subarray(SWITCHES),
    lacks: fc.constantFrom(undefined, undefined, 'portal'),
    stamp: fc.tuple(fc.nat(3), at, fc.option(at, { nil: undefined })),
  })
  .map(({ plans, extra, kills, tenants: [first, second, there], defaults, lacks, stamp: [revision, issued, ends] }) => {
    const features = {
      orders: { kind: 'switch' },
      delivery: { kind: 'switch', requires: ['orders'] },
      live: { kind: 'switch', staleness: 'off' },
      portal: { kind: 'switch', requires: ['live'], min_access: 'read_only' },
    }
    for (const [key, feature] of Object.entries(features)) {
      Object.assign(feature, labels, { group: 'module', default: defaults.includes(key) })
    }
    const limit = { kind: 'limit', unit: 'user', group: 'limits', ...labels }
    const currency = { kind: 'value', type: 'string', default: 'OMR', group: 'settings', ...labels }
    const definitions = {
      features: { ...features, max_users: limit, currency },
      plans,
      add_ons: { extra: { ...labels, compatible_with: ['growth'], contributions: extra } },
      kills,
      tenants: Object.fromEntries(there.map((id) => [id, id === 't1' ? first : second])),
    }
    // Without a feature, there is nothing that names it.
    const written = JSON.parse(JSON.stringify(definitions), (_, value) => without(lacks, value))
    delete written.features[lacks]
    const stamp = { revision, issuedAt: instant(issued) }
    return {
      definitions: written,
      stamp: ends === undefined ? stamp : { ...stamp, expiresAt: instant(issued + 1 + ends) },
    }
  })

function without(key, value) {
  if (key === undefined || value === null || typeof value !== 'object') {
    return value
  }
  if (Array.isArray(value)) {
    return value.filter((item) => item !== key && item?.feature !== key)
  }
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item?.feature !== key))
}

/** An instant at which something may happen, one beside it, or any other. */
const now = fc.oneof(
  fc.tuple(at, fc.constantFrom(-1, 0, 1)).map(([at, beside]) => instant(at) + beside),
  fc.integer({ min: BASE - 2 * STEP, max: BASE + 40 * STEP }),
)

const question = fc.record({
  feature: fc.oneof({ weight: 8, arbitrary: aSwitch }, { weight: 1, arbitrary: fc.constantFrom(...ASKED) }),
  beside: fc.constantFrom(0, 0, 0, 1, -1, STEP / 2),
  action: fc.constantFrom(undefined, undefined, undefined, 'use', 'use', 'read'),
  as: fc.constantFrom('number', 'number', 'date', 'fraction', 'id'),
})
/** Questions about one tenant, around one instant. */
const ask = fc.record({
  step: fc.constant('ask'),
  tenant: fc.constantFrom(...TENANTS),
  around: now,
  questions: fc.array(question, { minLength: 1, maxLength: 12 }),
})
const swap = fc.record({ step: fc.constant('swap'), to: fc.nat(5), again: fc.boolean() })
const step = fc.oneof({ weight: 6, arbitrary: ask }, { weight: 1, arbitrary: swap })
const steps = fc
  .tuple(fc.array(step, { minLength: 20, maxLength: 40 }), fc.array(step, { maxLength: 3 }))
  .map(([before, after]) => [...before, { step: 'close' }, ...after])

function outcome(ask) {
  try {
    return ask()
  } catch (error) {
    assert.ok(error instanceof LeaseholdError, error)
    return error.code
  }
}

/** What an engine says that was never asked before. */
function fresh(snapshot, { tenant, feature, now, action }) {
  return outcome(() => {
    const decided = new Engine(snapshot).tenant(tenant).decide(feature, now, action)
    return snapshot.about.features[feature] === 'switch' ? decided.enabled : 'wrong_kind'
  })
}

/** What an engine says, by id or by the handle that is held. */
function said(engine, handles, { tenant, feature, now, action, as }) {
  const when = as === 'date' ? new Date(now) : as === 'fraction' ? now + 0.5 : now
  if (as === 'id') {
    return engine.isEnabled(tenant, feature, when, action)
  }
  handles.set(tenant, handles.get(tenant) ?? engine.tenant(tenant))
  return handles.get(tenant).isEnabled(feature, when, action)
}

/** What is to happen at least so often for the property to say something. */
const ENOUGH = { asked: 9_000, on: 1_500, off: 1_500, refused: 500, fromTable: 2_000, swapped: 300, closed: 100 }

test('a table is never stale', () => {
  const counts = { asked: 0, on: 0, off: 0, refused: 0, fromTable: 0, swapped: 0, closed: 0 }
  const property = fc.property(fc.array(snapshot, { minLength: 2, maxLength: 4 }), steps, (made, steps) => {
    const compiled = ({ definitions, stamp }) => Engine.fromDefinitions(definitions, stamp).snapshot()
    const snapshots = made.map(compiled)
    let current = snapshots[0]
    let closed = false
    const engine = new Engine(current)
    // A handle on a tenant outlives the tenant, which may come back.
    const handles = new Map()
    for (const step of steps) {
      switch (step.step) {
        case 'swap': {
          const to = step.to % made.length
          // The same once more is another snapshot, of the same revision; or it is signed again, later.
          const { definitions, stamp } = made[to]
          const issuedAt = stamp.issuedAt + STEP
          current = step.again ? compiled({ definitions, stamp: { ...stamp, issuedAt } }) : snapshots[to]
          if (closed) {
            assert.equal(
              outcome(() => engine.swap(current)),
              'closed',
            )
          } else {
            engine.swap(current)
          }
          counts.swapped += 1
          break
        }
        case 'close':
          engine.close()
          closed = true
          counts.closed += 1
          break
        default:
          for (const question of step.questions) {
            const asked = { ...question, tenant: step.tenant, now: step.around + question.beside }
            const before = crossings
            const found = outcome(() => said(engine, handles, asked))
            const crossed = crossings > before
            assert.equal(found, closed ? 'closed' : fresh(current, asked), JSON.stringify(asked))
            counts.asked += 1
            counts[found === true ? 'on' : found === false ? 'off' : 'refused'] += 1
            counts.fromTable += typeof found === 'boolean' && !crossed ? 1 : 0
          }
      }
    }
  })
  fc.assert(property, { seed: 20260310, numRuns: 120, endOnFailure: false })
  // What never happens is not tested.
  const short = Object.entries(ENOUGH).filter(([what, least]) => counts[what] < least)
  assert.deepEqual(short, [], JSON.stringify(counts))
})

/** One switch, on from one instant until another. */
function lit(overrides, stamp) {
  const definitions = {
    features: {
      light: { kind: 'switch', group: 'module', ...labels },
      live: { kind: 'switch', group: 'module', default: true, staleness: 'off', ...labels },
    },
    tenants: { t: { ...labels, region: 'GCC-OM', anchor: spelt(0), overrides } },
  }
  return Engine.fromDefinitions(definitions, stamp)
}

const lightIsOn = (from, until) => ({
  light: { feature: 'light', op: 'set', value: true, from: spelt(from), until: spelt(until), ...told },
})

/** Asks until a table is there. */
function warmed(tenant, now) {
  for (let times = 0; times < 3; times += 1) {
    tenant.isEnabled('light', now)
  }
  return tenant
}

test('a boundary is exact, on both sides of it', () => {
  const [from, until] = [instant(4), instant(8)]
  const tenant = warmed(lit(lightIsOn(4, 8), { issuedAt: instant(5) }).tenant('t'), instant(5))
  const says = (now, on, crossing) =>
    assert.equal(
      crossed(() => assert.equal(tenant.isEnabled('light', now), on, `at ${now}`)),
      crossing,
      `at ${now}`,
    )
  for (const now of [from, from + 1, until - 1, until - 0.5, new Date(until - 1)]) {
    says(now, true, 0)
  }
  for (const now of [until, from - 0.5]) {
    says(now, false, 1)
  }
  // After three answers from beyond it, a table for that time is there, in place of the other.
  says(new Date(until), false, 1)
  says(until, false, 0)
  says(until + 1, false, 0)
  says(until - 1, true, 1)
})

test('the default of `now` is the clock, read anew for every question', () => {
  let clock = instant(7)
  mock.method(Date, 'now', () => clock)
  try {
    const tenant = warmed(lit(lightIsOn(4, 8), { issuedAt: instant(5) }).tenant('t'))
    const says = (now, on) => {
      clock = now
      return crossed(() => assert.equal(tenant.isEnabled('light'), on))
    }
    assert.equal(says(instant(7), true), 0)
    assert.equal(says(instant(8) - 1, true), 0)
    assert.equal(says(instant(8), false), 1)
    // Clocks are set back, too.
    assert.equal(says(instant(8) - 1, true), 0)
  } finally {
    mock.restoreAll()
  }
})

test('the end of a head is a boundary', () => {
  const tenant = warmed(lit({}, { issuedAt: instant(0), expiresAt: instant(9) }).tenant('t'), instant(1))
  const ends = instant(9)
  assert.equal(
    crossed(() => assert.equal(tenant.isEnabled('live', ends - 1), true)),
    0,
  )
  assert.equal(tenant.isEnabled('live', ends), false)
  assert.equal(tenant.isEnabled('live', ends - 1), true)
})

test('what holds for ever holds as far as instants go', () => {
  const tenant = warmed(lit({}, { issuedAt: instant(0) }).tenant('t'), instant(1))
  const [first, last] = ['0000-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z'].map(Date.parse)
  for (const now of [first, last]) {
    assert.equal(
      crossed(() => assert.equal(tenant.isEnabled('light', now), false)),
      0,
    )
  }
  for (const now of [first - 1, last + 1, -8.64e15, 8.64e15, 8.64e15 + 1, Infinity, -Infinity]) {
    const refused = (ask) => assert.throws(ask, (error) => error instanceof LeaseholdError, String(now))
    refused(() => tenant.isEnabled('light', now))
    refused(() => tenant.decide('light', now))
  }
})

test('a table ends with a swap and with the engine', async () => {
  const engine = lit(lightIsOn(0, 15), { revision: 3 })
  const tenant = warmed(engine.tenant('t'), instant(5))
  assert.equal(
    crossed(() => tenant.isEnabled('light', instant(5))),
    0,
  )
  engine.swap(lit({}, { revision: 3 }).snapshot())
  assert.equal(tenant.isEnabled('light', instant(5)), false)
  warmed(tenant, instant(5))
  engine.swap(lit(lightIsOn(0, 15), { revision: 2 }).snapshot())
  assert.equal(tenant.isEnabled('light', instant(5)), true)
  warmed(tenant, instant(5))
  await engine.close()
  assert.equal(
    outcome(() => tenant.isEnabled('light', instant(5))),
    'closed',
  )
})

test('`read` is never answered from the table of `use`', () => {
  const definitions = {
    features: { light: { kind: 'switch', group: 'module', default: true, ...labels } },
    tenants: {
      t: {
        ...labels,
        region: 'GCC-OM',
        anchor: spelt(0),
        blocks: { frozen: { kind: 'frozen', laid_by: 'staff', since: spelt(0), reason: 'a test' } },
      },
    },
  }
  const tenant = warmed(Engine.fromDefinitions(definitions).tenant('t'), instant(1))
  assert.equal(tenant.isEnabled('light', instant(1)), false)
  assert.equal(tenant.isEnabled('light', instant(1), 'use'), false)
  assert.equal(tenant.isEnabled('light', instant(1), 'read'), true)
})

test('tenants that are alike have one table between them', () => {
  const of = (count, one) => Object.fromEntries(Array.from({ length: count }, (_, index) => one(index)))
  const features = of(300, (n) => [`feature_${n}`, { kind: 'switch', ...labels, group: 'module' }])
  const override = (feature) => ({ [feature]: { feature, op: 'set', value: true, ...told } })
  const tenants = of(2_000, (n) => [
    `t${n}`,
    { ...labels, region: 'R', anchor: '2026-01-01T00:00:00Z', overrides: override(`feature_${n % 2}`) },
  ])
  const engine = Engine.fromDefinitions({ features, tenants })
  const ids = Object.keys(tenants)
  const ask = () =>
    ids.forEach((id, n) => {
      for (let times = 0; times < 4; times++) {
        assert.equal(engine.isEnabled(id, 'feature_0', BASE), n % 2 === 0)
        assert.equal(engine.isEnabled(id, 'feature_1', BASE), n % 2 === 1)
      }
    })
  // A table is made of the entries of an object.
  const made = mock.method(Object, 'entries')
  try {
    ask()
    assert.equal(made.mock.callCount(), 2)
    engine.swap(Engine.fromDefinitions({ features, tenants }, { revision: 2 }).snapshot())
    made.mock.resetCalls()
    ask()
    assert.equal(made.mock.callCount(), 2, 'those of the next snapshot are others')
  } finally {
    made.mock.restore()
  }
})
