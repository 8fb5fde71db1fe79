// The whole system: HQ on its Postgres; services in Rust, Node and Python and two pages in Chromium, which follow it. They
// answer alike at every revision, and never wrongly, whatever is killed, restarted, cut or forged. See README.md.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { cp, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { browser, page, Site } from '../../crates/bindings-wasm/test/support/browser.mjs'
import { Cluster } from './support/cluster.mjs'
import { Impostor, Proxy } from './support/network.mjs'
import { pageOf, programs } from './support/services.mjs'
import { plain, Watch } from './support/watch.mjs'

/** On Starter, and with the template of orders as it is. */
const OASIS = 'ae-alain-oasis'
/** On Growth, and with a version of orders that it has pinned and patched. */
const SPARKLE = 'om-muscat-sparkle'
const TENANTS = [OASIS, SPARKLE]

const HOUR = 3_600_000
/** What is laid here begins or has begun by then, and ends at the edge. Heads and slices are fresh until long after. */
const [SOON, EDGE] = [Date.now() + HOUR, Date.now() + 2 * HOUR]
/** When every head that is signed here has expired. */
const FAR = SOON + 400 * 24 * HOUR
const INSTANTS = [SOON - 1, SOON, EDGE - 1, EDGE, FAR]
const PAST = new Date(Date.now() - 1_000).toISOString()
const iso = (instant) => new Date(instant).toISOString()
const WAIT = { call: 'wait', timeout_ms: 120_000 }

let cluster
let hq
/** With other keys, and other answers. */
let stranger
let ben
let proxy
let impostor
let site
let chromium
let services
let watch
/** Features by kind, and stages of orders. */
let keys
let stages
/** What the services answered last, as the one in Rust has it, by tenant. */
let last

before(async () => {
  cluster = await Cluster.open()
  process.env.DATABASE_URL = cluster.url
  site = await Site.open({ '/page': page("import '/workspace/tests/e2e/services/page.mjs'") })
  ;[hq, stranger] = await Promise.all([1, 2].map(() => Hq.open({ allowedOrigins: [site.url] })))
  proxy = await Proxy.open(hq.url)
  impostor = await Impostor.open(stranger)
  const password = `a password of ${randomUUID()}`
  await hq.asks('POST', '/v1/staff', { id: 'ben', role: 'tech_admin', password })
  const { token } = await hq.asks('POST', '/v1/sessions', { staff: 'ben', password })
  ben = { authorization: `Bearer ${token}` }
  const { items } = await hq.asks('GET', '/v1/features?limit=500')
  const ofKind = (kind) => items.filter(({ value }) => value.kind === kind).map(({ key }) => key)
  keys = { switches: ofKind('switch'), limits: ofKind('limit'), values: ofKind('value') }
  const { versions } = await hq.asks('GET', '/v1/workflows/order')
  stages = [...new Set(Object.values(versions).flatMap((version) => Object.keys(version.stages)))]
  assert.ok(keys.switches.length > 30 && keys.limits.length > 10 && keys.values.length > 5 && stages.length > 8)

  chromium = await browser()
  const context = await chromium.newContext()
  const behind = (options) => ({ ...options, url: proxy.url })
  services = await programs(async (name) => behind(await hq.options(name)), TENANTS)
  for (const tenant of TENANTS) {
    const opened = await context.newPage()
    await opened.goto(`${site.url}/page`)
    services.push(pageOf(opened, behind(await hq.pageOptions(tenant))))
  }
  await Promise.all(services.map(({ started }) => started))
  watch = new Watch(services, questionsOfWatch)
})

after(async () => {
  await watch?.end()
  const endings = await Promise.all((services ?? []).map(async (service) => [service.name, await service.close()]))
  await chromium?.close()
  await proxy?.close()
  await impostor?.close()
  await Promise.all([hq?.close(), stranger?.close()])
  await cluster?.close()
  await site?.close()
  assert.deepEqual(
    endings.filter(([, ending]) => ending !== 0),
    [],
  )
})

/** What is known of an order, and who wants to move it: some transitions are enabled, others are blocked. */
const ORDER = {
  workflow: 'order',
  inputs: { balance_due_minor: 7250, items_scanned: 12, items_total: 12, photos: ['front'], storage_location: 'B4' },
  roles: ['counter', 'operator'],
}

/** Everything that is compared when services stand still. */
function questionsOf(tenant) {
  const about = (call, features, more, instants = INSTANTS) =>
    instants.flatMap((now) => features.map((feature) => ({ call, tenant, feature, now, ...more })))
  const { switches, limits, values } = keys
  const all = [...switches, ...limits, ...values]
  return [
    ...about('is_enabled', [...switches, 'nothing', limits[0]]),
    ...about('is_enabled', switches, { action: 'read' }, [SOON]),
    ...about('value', values),
    ...about('check_limit', limits, { used: 3, requested: 1 }),
    ...about('check_limit', limits, { used: 0, requested: 1_000_000 }, [SOON]),
    ...about('explain', all),
    ...about('explain', all, { action: 'read' }, [SOON]),
    ...INSTANTS.map((now) => ({ call: 'entitlements', tenant, now })),
    ...[undefined, 'DRY_CLEAN', 'ALTERATION'].flatMap((category) =>
      [...stages, 'express'].map((stage) => ({
        call: 'transitions',
        tenant,
        stage,
        ...ORDER,
        ...(category && { category }),
      })),
    ),
  ]
}

/** What is asked all the time. */
function questionsOfWatch(tenant) {
  const about = (call, features, more) =>
    [SOON, EDGE].flatMap((now) => features.map((feature) => ({ call, tenant, feature, now, ...more })))
  return [
    ...about('is_enabled', keys.switches),
    ...about('value', keys.values),
    ...about('check_limit', keys.limits, { used: 3, requested: 1 }),
    ...['intake', 'ready'].map((stage) => ({ call: 'transitions', tenant, stage, ...ORDER })),
  ]
}

/** What a page has, too: a slice has definitions of its own, and no texts of who decided what, and why. */
function asInSlices(question, answer) {
  if (question.call !== 'explain') {
    return plain(answer, ['definitions'])
  }
  const { contributions, ...others } = plain(answer, ['definitions'])
  return { ...others, contributions: plain(contributions, ['author', 'reason']) }
}

/** Asks every service of a tenant the same, and gives what they agree on. */
async function compare(tenant, revision) {
  const questions = questionsOf(tenant)
  const asked = services.filter(({ tenants }) => tenants.includes(tenant))
  const said = await Promise.all(asked.map((service) => service.ask({ call: 'ask', questions })))
  const [rust] = said
  asked.forEach(({ name, page }, index) => {
    assert.equal(said[index].revision, revision, name)
    const as = page === undefined ? (_, answer) => answer : asInSlices
    questions.forEach((question, at) => {
      const [answer, wanted] = [said[index], rust].map(({ answers }) => plain(as(question, answers[at]), []))
      if (JSON.stringify(answer) !== JSON.stringify(wanted)) {
        assert.deepEqual(answer, wanted, `${name} and ${asked[0].name}: ${JSON.stringify(question)}`)
      }
    })
  })
  return questions.map((question, at) => ({ question, answer: rust.answers[at] }))
}

/** Waits until every service has a revision, and compares all that they say. */
async function agree(revision) {
  const reached = await Promise.all(services.map((service) => service.ask({ ...WAIT, revision })))
  assert.deepEqual(
    reached.map((service) => service.revision),
    services.map(() => revision),
  )
  const found = await Promise.all(TENANTS.map(async (tenant) => [tenant, await compare(tenant, revision)]))
  last = new Map(found)
  await watch.settle()
}

/** What was answered last to the first question that has these members. */
function answer(tenant, like) {
  const found = last
    .get(tenant)
    .find(({ question }) => Object.entries(like).every(([name, value]) => question[name] === value))
  assert.ok(found, `nobody was asked ${JSON.stringify(like)}`)
  return found.answer
}

/** Why a feature is on or off, by instant. */
function reasons(tenant, feature, instants = INSTANTS) {
  return instants.map((now) => {
    const { decision } = answer(tenant, { call: 'explain', feature, now })
    const isEnabled = answer(tenant, { call: 'is_enabled', feature, now })
    assert.equal(isEnabled, decision.enabled, `${feature} is decided and explained differently`)
    return `${decision.enabled ? 'on' : 'off'}: ${decision.block ?? decision.source ?? decision.reason}`
  })
}

const plans = (tenant) => INSTANTS.map((now) => answer(tenant, { call: 'entitlements', now }).plan)
const moves = (tenant, stage) => {
  const answers = answer(tenant, { call: 'transitions', stage })
  return Object.fromEntries(
    answers.map(({ transition, state, blockers = [] }) => [transition, [state, ...blockers.map(({ code }) => code)]]),
  )
}

const revisionOf = async () => (await services[0].ask({ call: 'ask', questions: [] })).revision

/**
 * Changes something at HQ, and gives the revision that has it. Where HQ cannot now, or has not published it yet, it is asked
 * again: under the same key it is the same change.
 */
async function write(method, path, body, headers = {}) {
  const once = { 'idempotency-key': randomUUID(), ...headers }
  return until(`HQ publishes ${method} ${path}`, async () => {
    const written = await hq.asks(method, path, body, once).catch((error) => assert.match(error.message, /: 503 /))
    return written?.revision
  })
}

/** Changes something at HQ, and waits until everybody answers as it says. */
async function change(...written) {
  watch.expectChange()
  const revision = await write(...written)
  await agree(revision)
  return revision
}

const subscribe = (plan) => [
  'PUT',
  `/v1/tenants/${OASIS}/subscriptions/2-starter`,
  { kind: 'paid', plan, from: iso(Date.now() - 1_000) },
]
const override = (id, feature, value, more = {}) => [
  'PUT',
  `/v1/tenants/${SPARKLE}/overrides/${id}`,
  { feature, op: 'set', value, reason: 'Pilot customer', actor: 'sales', ...more },
]

/** Waits until this holds for every service. */
async function each(what, holds) {
  await until(what, async () => {
    watch.check()
    const all = await Promise.all(services.map((service) => service.ask({ call: 'health' })))
    return all.every(holds)
  })
}
const live = async () => each('everybody hears of news', ({ told, health }) => told && health.failures === 0)
const alone = async () => each('everybody notices', ({ told, health }) => !told && health.failures > 0)

const at = (...answers) => answers
const always = (answer) => INSTANTS.map(() => answer)

test('all begin with the same', async () => {
  await agree(await revisionOf())
  assert.deepEqual([plans(OASIS), plans(SPARKLE)], [always('starter'), always('growth')])
  assert.deepEqual(reasons(OASIS, 'delivery'), always('off: not_granted'))
  assert.deepEqual(reasons(SPARKLE, 'delivery'), always('on: plan'))
  assert.deepEqual(answer(OASIS, { call: 'is_enabled', feature: 'nothing' }), { error: 'unknown_feature' })
  await live()
})

test('a plan changes', async () => {
  await change(...subscribe('growth'))
  assert.deepEqual([plans(OASIS), plans(SPARKLE)], [always('growth'), always('growth')])
  assert.deepEqual(reasons(OASIS, 'delivery'), always('on: plan'))
  // Of Growth 10, and 3 of its extra branch.
  assert.equal(answer(OASIS, { call: 'check_limit', feature: 'max_users', used: 3 }).remaining, 10)
})

test('an override begins and ends', async () => {
  const before = 'off: not_granted'
  const others = reasons(OASIS, 'loyalty')
  assert.deepEqual(reasons(SPARKLE, 'loyalty'), always(before))
  await change(...override('pilot', 'loyalty', true, { from: iso(SOON), until: iso(EDGE) }))
  assert.deepEqual(reasons(SPARKLE, 'loyalty'), at(before, 'on: tenant', 'on: tenant', before, before))
  assert.deepEqual(reasons(OASIS, 'loyalty'), others)
})

test('a kill switch closes a feature for everybody', async () => {
  const kill = { feature: 'delivery', since: PAST, until: iso(EDGE), reason: 'wrong fees', actor: 'admin' }
  await change('PUT', '/v1/kills/fees', kill, { 'if-none-match': '*' })
  for (const tenant of TENANTS) {
    const [off, on] = ['off: killed', 'on: plan']
    assert.deepEqual(reasons(tenant, 'delivery'), at(off, off, off, on, on))
  }
})

test('a block closes a tenant, and is lifted', async () => {
  const block = { kind: 'suspended', laid_by: 'billing', since: PAST, until: iso(EDGE), reason: 'Ninety days overdue' }
  const access = () => INSTANTS.map((now) => answer(SPARKLE, { call: 'entitlements', now }).access)
  await change('PUT', `/v1/tenants/${SPARKLE}/blocks/unpaid`, block)
  const [closed, open] = ['off: suspended', 'on: plan']
  assert.deepEqual(reasons(SPARKLE, 'orders'), at(closed, closed, closed, open, open))
  assert.deepEqual(reasons(OASIS, 'orders'), always(open))
  assert.deepEqual(access(), at('billing_only', 'billing_only', 'billing_only', 'full', 'full'))
  await change('POST', `/v1/tenants/${SPARKLE}/blocks/unpaid/lift`, { at: PAST, by: 'billing', reason: 'Paid' })
  assert.deepEqual(reasons(SPARKLE, 'orders'), always(open))
  assert.deepEqual(access(), always('full'))
})

test('a new version of a workflow is in force once somebody else has approved it, until it is rolled back', async () => {
  const named = { name: 'Express', name2: 'سريع' }
  const before = await change(...subscribe('business'))
  const workflow = await hq.asks('GET', '/v1/workflows/order')
  const next = structuredClone(workflow.versions[workflow.current])
  next.stages.express = { ...named, order: 15 }
  const way = { ...named, role: 'counter' }
  next.transitions.hurry = { ...way, from: 'intake', event: 'hurry', to: 'express' }
  next.transitions.slow_down = { ...way, from: 'express', event: 'slow_down', to: 'intake' }
  const versions = { ...workflow.versions, 4: next }
  const written = await hq.asks(
    'PUT',
    '/v1/workflows/order',
    { ...workflow, versions, current: 4 },
    { 'if-match': '*' },
  )
  assert.equal(written.revision, null)
  const { id, binding } = await hq.asks('POST', '/v1/proposals', { title: 'Express orders' })
  const approve = `/v1/proposals/${id}/approve`
  await assert.rejects(hq.asks('POST', approve, { binding }), /409 .*not_approved/)
  await hq.asks('POST', approve, { binding }, ben)
  // Nothing of it is in force yet.
  await watch.rounds()

  await change('POST', `/v1/proposals/${id}/publish`)
  assert.deepEqual(moves(OASIS, 'intake').hurry, ['enabled'])
  assert.deepEqual(moves(OASIS, 'express').slow_down, ['enabled'])
  // It has pinned another version.
  assert.equal(moves(SPARKLE, 'intake').hurry, undefined)
  assert.deepEqual(answer(SPARKLE, { call: 'transitions', stage: 'express' }), { error: 'unknown_stage' })

  await change('POST', '/v1/rollbacks', { revision: before })
  assert.equal(moves(OASIS, 'intake').hurry, undefined)
  assert.deepEqual(answer(OASIS, { call: 'transitions', stage: 'express' }), { error: 'unknown_stage' })
  // Tenants stay as they are, and kill switches stand.
  assert.deepEqual(plans(OASIS), always('business'))
  assert.equal(reasons(OASIS, 'delivery')[0], 'off: killed')
})

test('HQ is killed, and started again', async () => {
  await hq.kill()
  await alone()
  await watch.rounds()
  await hq.restart()
  await change(...subscribe('starter'))
  assert.deepEqual(plans(OASIS), always('starter'))
  await live()
})

test('Postgres crashes, and is started again', async () => {
  const isReady = async () => (await fetch(`${hq.url}/readyz`)).ok
  await cluster.crash()
  await until('HQ says that it is not ready', async () => !(await isReady()))
  await watch.rounds()
  await cluster.resume()
  await until('HQ is ready', isReady)
  await change(...override('after-crash', 'sandbox', true))
  assert.deepEqual(reasons(SPARKLE, 'sandbox'), always('on: tenant'))
  await live()
})

test('the network is cut: connections are refused', async () => {
  await proxy.refuse()
  await alone()
  // It is published, and reaches nobody.
  const revision = await write(...subscribe('growth'))
  await watch.rounds()
  watch.expectChange()
  await proxy.heal()
  await agree(revision)
  assert.deepEqual(plans(OASIS), always('growth'))
  await live()
})

test('the network is cut: nothing gets through, and nobody is told', async () => {
  proxy.blackhole()
  const revision = await write(...subscribe('enterprise'))
  await watch.rounds()
  await alone()
  await watch.rounds()
  watch.expectChange()
  await proxy.heal()
  await agree(revision)
  assert.deepEqual(plans(OASIS), always('enterprise'))
  await live()
})

test('HQ does not start with keys that its root does not certify', async () => {
  await cp(stranger.desk.at('fleet.key'), hq.desk.at('strange.key'))
  await cp(stranger.desk.at('fleet.cert'), hq.desk.at('strange.cert'))
  const publisher = '[publisher]\nfleet_key = "strange.key"\ncertificate = "strange.cert"\n'
  await writeFile(hq.desk.at('strange.toml'), `listen = "127.0.0.1:0"\ntrust = "trust.json"\n${publisher}`)
  await assert.rejects(hq.desk.does('serve --config strange.toml'), ({ code, stderr }) => {
    assert.match(stderr, /\[unknown_key\]/)
    return code === 3
  })
})

test('somebody else publishes, with keys that nobody trusts', async () => {
  // It has other answers about both tenants, and is ahead.
  await stranger.asks(...override('pilot', 'loyalty', true), { 'idempotency-key': randomUUID() })
  const current = await revisionOf()
  for (let ahead = 0; ahead <= current; ahead = await stranger.changePlan(OASIS, '2-starter', 'business')) {
    await stranger.changePlan(OASIS, '2-starter', 'growth')
  }
  await Promise.all(TENANTS.map((tenant) => stranger.signs(tenant)))
  proxy.lead(impostor.url)
  const refused = ({ health }) => health.faults.some(({ code }) => code === 'unknown_key')
  await each('everybody refuses it', refused)
  await watch.rounds()
  await each('everybody goes on refusing it', refused)
  // Nobody went away without having been shown something that looks right.
  for (const path of ['/v1/snapshots/events', ...TENANTS.map((tenant) => `/v1/tenants/${tenant}/slice`)]) {
    assert.ok(
      impostor.asked.some((asked) => asked.startsWith(path)),
      path,
    )
  }
  proxy.lead(hq.url)
  await change(...subscribe('starter'))
  assert.deepEqual(plans(OASIS), always('starter'))
  await live()
})

test('nobody was ever wrong, and everybody has recovered', async () => {
  await watch.rounds()
  await each('nothing is wrong any more', ({ health, told }) => {
    return told && health.freshness === 'fresh' && health.faults.length === 0
  })
  const revision = await revisionOf()
  const fleet = await until('HQ knows that they have it all', async () => {
    const { items } = await hq.asks('GET', '/v1/fleet')
    return items.every(({ applied }) => applied === revision) && items
  })
  assert.deepEqual(fleet.map(({ engine }) => engine).sort(), ['node', 'python', 'rust'])
})
