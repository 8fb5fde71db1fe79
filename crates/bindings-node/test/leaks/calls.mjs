// A million calls of all sorts, engines that come and go, snapshots that are swapped. Says on standard output how much
// memory is held after each part, once what fills up once has filled up.

import { setImmediate as turn } from 'node:timers/promises'
import { Engine, LeaseholdError } from 'leasehold'
import { engineOf } from '../conformance/vectors.mjs'

const NOW = Date.parse('2026-03-10T12:00:00Z')
const CALLS = 1_000_000
const ENGINES = 2_000
const SWAPS = 2_000
/** Parts of the work: what the first ones fill, such as caches, fills up once. */
const PARTS = 20
const WARM = 8

const labels = { name: 'N', name2: 'ن' }
const definitions = (on) => ({
  features: { light: { kind: 'switch', group: 'module', default: on, ...labels } },
  tenants: { t: { ...labels, region: 'GCC-OM', anchor: '2026-01-01T00:00:00Z' } },
})
const snapshots = [true, false].map((on) => Engine.fromDefinitions(definitions(on)).snapshot())

const swapped = new Engine(snapshots[0])
const shop = engineOf('shop')
const tenant = shop.tenant('t1')
const machine = engineOf('guards').tenant('t').machine('guards')
const fits = { inputs: { n: 5 } }
const not = { inputs: { n: 4, s: 'x'.repeat(100) } }

function refused(ask) {
  try {
    ask()
  } catch (error) {
    if (error instanceof LeaseholdError) {
      return
    }
    throw error
  }
  throw new Error('it was to be refused')
}

/** What is asked, and how many of a thousand calls ask it. */
const asks = [
  [500, () => tenant.isEnabled('orders', NOW)],
  [150, () => tenant.isEnabled('orders', NOW, 'read')],
  [100, () => shop.isEnabled('t1', 'orders', NOW, 'read')],
  [100, () => tenant.checkLimit('max_users', 1, 1, NOW)],
  [20, () => tenant.decide('orders', NOW)],
  [10, () => tenant.value('theme', NOW)],
  [10, () => tenant.explain('orders', NOW)],
  [2, () => tenant.entitlements(NOW)],
  [2, () => tenant.evaluateAll(NOW)],
  [1, () => tenant.whatIf({}, {}, NOW)],
  [50, () => machine.check('start', 'integer_equal', fits)],
  [10, () => refused(() => machine.check('start', 'integer_equal', not))],
  [5, () => tenant.machine('none'), refused],
  [20, () => tenant.isEnabled('no_such_feature', NOW), refused],
  [10, () => shop.tenant('nobody'), refused],
  [5, () => tenant.checkLimit('max_users', -1, 1, NOW), refused],
  [4, () => Engine.fromPack(new Uint8Array(64), '{}'), refused],
  [1, () => Engine.fromDefinitions({ features: { a: 1 } }), refused],
]
const thousand = asks.reduce((sum, [share]) => sum + share, 0)
if (thousand !== 1_000) {
  throw new Error(`${thousand} are not a thousand`)
}

function calls(many) {
  for (let round = 0; round < many / 1_000; round += 1) {
    for (const [share, ask, around = (ask) => ask()] of asks) {
      for (let times = 0; times < share; times += 1) {
        around(ask)
      }
    }
  }
}

async function part() {
  for (let turns = 0; turns < 10; turns += 1) {
    calls(CALLS / PARTS / 10)
    for (let times = 0; times < ENGINES / PARTS / 10; times += 1) {
      const engine = times % 2 === 0 ? Engine.fromDefinitions(definitions(true)) : engineOf('shop')
      engine.tenant(engine.snapshot().tenantIds()[0]).decide(times % 2 === 0 ? 'light' : 'orders', NOW)
      if (times % 3 === 0) {
        await engine.close()
      }
    }
    for (let times = 0; times < SWAPS / PARTS / 10; times += 1) {
      swapped.swap(times % 3 === 0 ? Engine.fromDefinitions(definitions(true)).snapshot() : snapshots[times % 2])
      swapped.tenant('t').isEnabled('light', NOW)
    }
    // What nobody holds is freed natively once the collector is through and the event loop has turned.
    gc()
    await turn()
  }
}

/** Memory that is held, in bytes. */
async function held() {
  for (let times = 0; times < 5; times += 1) {
    gc()
    await turn()
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed + external }
}

const seen = []
for (let parts = 1; parts <= PARTS; parts += 1) {
  await part()
  if (parts >= WARM) {
    seen.push(await held())
  }
}
console.log(JSON.stringify(seen))
