// An engine in Node that follows HQ as it is.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Engine } from 'leasehold'
import { Hq } from './support/hq.mjs'
import { until } from './support/wait.mjs'

const TENANT = 'ae-alain-oasis'
const PHASE = '2-starter'

let hq
let engine
before(async () => {
  hq = await Hq.open()
  engine = await Engine.follow(await hq.options('node-1'))
  await until('it hears', () => engine.hearing.told)
})
after(async () => {
  await engine?.close()
  await hq?.close()
})

test('a plan that changes at HQ is in force at once, and told', async () => {
  const tenant = engine.tenant(TENANT)
  assert.equal(tenant.isEnabled('delivery'), false)
  const changes = []
  const stop = engine.on('change', (change) => changes.push(change))
  const revision = await hq.changePlan(TENANT, PHASE, 'growth')
  assert.equal(await engine.waitFor(revision, 60_000), revision)
  assert.equal(tenant.isEnabled('delivery'), true)
  assert.equal(tenant.entitlements().plan, 'growth')
  const [change] = await until('it is told', () => changes.length > 0 && changes)
  assert.deepEqual(
    change.groups.map(({ tenants }) => tenants),
    [[TENANT]],
  )
  assert.equal(change.groups[0].features.includes('delivery'), true)
  stop()
})

test('HQ knows what the engine has in force', async () => {
  const { revision } = engine.snapshot()
  const fleet = await until('it is reported', async () => {
    const { items } = await hq.asks('GET', '/v1/fleet')
    const found = items.find(({ engine }) => engine === 'node-1')
    return found?.applied === revision ? found : undefined
  })
  assert.equal(fleet.stream, 'GCC-OM')
})

test('a kill switch is in force at once', async () => {
  const since = new Date(Date.now() - 1000).toISOString()
  const kill = { feature: 'delivery', since, reason: 'wrong fees', actor: 'admin' }
  const { revision } = await hq.asks('PUT', '/v1/kills/node', kill, { 'if-none-match': '*' })
  await engine.waitFor(revision, 60_000)
  assert.equal(engine.tenant(TENANT).decide('delivery').reason, 'killed')
})

test('a token that was revoked is good for nothing, and the engine answers', async () => {
  const options = await hq.options('node-2')
  const other = await Engine.follow(options)
  await until('it hears', () => other.hearing.told)
  const { items } = await hq.asks('GET', '/v1/tokens')
  const { id } = items.find(({ name }) => name === 'node-2')
  await hq.asks('DELETE', `/v1/tokens/${id}`)
  await until('it is let go', () => !other.hearing.told)
  assert.match(other.hearing.why, /40[13]|closed/)
  assert.equal(other.tenant(TENANT).entitlements().plan, 'growth')
  await other.close()
  await assert.rejects(
    Engine.follow(options),
    (error) => error.name === 'SnapshotError' && !error.message.includes(options.token),
  )
})

test('an engine outlives HQ', async () => {
  hq.process.kill('SIGKILL')
  await until('it is noticed', () => !engine.hearing.told)
  assert.equal(engine.tenant(TENANT).entitlements().plan, 'growth')
})
