// Leasehold's package for Node beside its published peers, all in one run. A row of figures per comparison, as JSON: on
// standard output, or appended to the file that `LEASEHOLD_BENCH_ROWS` names. See README.md for what is compared.
//
//     npm run --silent bench [-- FOLDER OF THE PACKAGE leasehold]

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OpenFeature } from '@openfeature/server-sdk'
import { measure } from './measure.mjs'
import { isStaticallyOn, peers, providers, staticFlags } from './peers.mjs'
import { definitions, isGranted, questions, tenants } from './world.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const home = resolve(process.argv[2] ?? join(here, '../../../crates/bindings-node'))
const leasehold = createRequire(join(home, 'package.json'))
const { Engine } = leasehold('leasehold')
const { native } = leasehold('./dist/native.js')

/** What could not be measured, and why. */
const missing = []
const contestants = []
/** What each comparison sets beside what. */
const comparisons = []

/** Adds one whose every answer is right, or says why it is left out. */
async function contest(name, ask, { expected, answers = 'now' }) {
  for (const [n, question] of questions.entries()) {
    const answer = await ask(n)
    if (answer !== expected(question)) {
      throw new Error(`it answers ${answer} to whether ${question.tenant.id} may use ${question.key}`)
    }
  }
  contestants.push({ name, ask, answers })
}

/** What came of it; or that the peer could not be measured, and why. */
async function attempt(name, measurable) {
  try {
    return await measurable()
  } catch (error) {
    missing.push(`${name}: ${error.message}`)
    return `the peer could not be measured: ${error.message}`
  }
}

function compare(id, what, ours, peer, theirs) {
  comparisons.push({ id, what, ours, peer, theirs })
}

// Ours: one engine, the questions as texts and as handles.
const engine = Engine.fromDefinitions(definitions)
const ids = questions.map(({ tenant }) => tenant.id)
const keys = questions.map(({ key }) => key)
const handles = ids.map((id) => engine.tenant(id))
const granted = { expected: ({ tenant, key }) => isGranted(tenant, key) }
await contest('texts', (n) => engine.isEnabled(ids[n], keys[n]), granted)
await contest('handle', (n) => handles[n].isEnabled(keys[n]), granted)

// Peers that decide.
const BESIDE = {
  static: 'the peer answers everybody the same',
  tenant: 'the peer is told the plan of the tenant',
  entitled: 'the peer is handed the tenant with its entitlements',
}
for (const [name, { entry = name, load }] of Object.entries(peers)) {
  const beside = async (variant, ask) => {
    const theirs = `${name} ${variant}`
    const says = await attempt(name, async () => {
      const expected = variant === 'static' ? isStaticallyOn : granted.expected
      const loaded = await ask()
      await contest(theirs, loaded, {
        expected,
        answers: loaded(0) instanceof Promise ? 'later' : 'now',
      })
      return BESIDE[variant]
    })
    compare(`check.strings.${variant}`, `switch by tenant and key; ${says}`, 'texts', name, theirs)
    if (variant === 'static') {
      compare(`check.handle.${variant}`, `switch by tenant handle; ${says}`, 'handle', name, theirs)
    }
  }
  let asks
  try {
    asks = await load(await import(entry))
  } catch (error) {
    await beside('tenant', () => Promise.reject(error))
    continue
  }
  for (const [variant, ask] of Object.entries(asks)) {
    await beside(variant, () => ask)
  }
}

// Limits and moves, beside calls that cross and do nothing. The public calls answer objects, so the texts of the empty
// ones are parsed as well; below them the native parts alone, text beside text.
const tenant = engine.tenant(tenants[0].id)
const machine = tenant.machine('order')
const inner = new native.NativeEngine(engine.snapshot().inner).tenant(tenants[0].id)
const innerMachine = inner.machine('order')
const contexts = Array.from({ length: 2 }, (_, n) => ({
  inputs: { invoice_issued: true, balance_due_minor: -n },
}))
const written = contexts.map((context) => JSON.stringify(context))
const always = { expected: () => true }
await contest('limit', (n) => tenant.checkLimit('max_users', n & 7, 1).outcome === 'allow', always)
await contest('limit native', (n) => inner.checkLimit('max_users', n & 7, 1, Date.now()).length > 0, always)
await contest('move', (n) => machine.check('ready', 'delivered', contexts[n & 1]).transition !== null, always)
await contest('move native', (n) => innerMachine.check('ready', 'delivered', written[n & 1]).length > 0, always)
const outcome = (answer) => JSON.parse(answer).outcome === 'allow'
const move = (answer) => JSON.parse(answer).transition !== null
await contest('empty limit', (n) => outcome(inner.emptyLimit('max_users', n & 7, 1, Date.now())), always)
await contest('empty limit native', (n) => inner.emptyLimit('max_users', n & 7, 1, Date.now()).length > 0, always)
await contest(
  'empty move',
  (n) => move(innerMachine.emptyCheck('ready', 'delivered', JSON.stringify(contexts[n & 1]))),
  always,
)
const emptyMove = (n) => innerMachine.emptyCheck('ready', 'delivered', written[n & 1])
await contest('empty move native', (n) => emptyMove(n).length > 0, always)
for (const [ours, id, what] of [
  ['limit', 'limit.check', 'limit check, answered as an object'],
  ['limit native', 'limit.native', 'limit check, the native part alone'],
  ['move', 'transition.guarded', 'transition check, guard over two inputs, answered as an object'],
  ['move native', 'transition.native', 'transition check, guard over two inputs, the native part alone'],
]) {
  compare(id, what, ours, 'empty napi call', `empty ${ours}`)
}

// OpenFeature: the same client, over our provider and over others.
const folder = mkdtempSync(join(tmpdir(), 'leasehold-peers-'))
const flagsFile = join(folder, 'flags.json')
writeFileSync(flagsFile, JSON.stringify(staticFlags))
const targets = questions.map(({ tenant }) => ({ targetingKey: tenant.id }))
async function contestProvider(name, provider, expected) {
  await OpenFeature.setProviderAndWait(name, provider)
  const client = OpenFeature.getClient(name)
  const ask = (n) => client.getBooleanValue(keys[n], false, targets[n])
  await contest(`provider ${name}`, ask, { expected, answers: 'later' })
}
const { LeaseholdProvider } = leasehold('leasehold/openfeature')
await contestProvider('leasehold', new LeaseholdProvider(engine), granted.expected)
for (const [name, make] of Object.entries(providers)) {
  const says = await attempt(name, async () => {
    await contestProvider(name, make(await import(name), { flagsFile }), isStaticallyOn)
    return BESIDE.static
  })
  const what = `boolean flag through OpenFeature; ${says}`
  compare('openfeature.boolean', what, 'provider leasehold', name, `provider ${name}`)
}

const figures = await measure(contestants)
await OpenFeature.close()
await engine.close()
rmSync(folder, { recursive: true, force: true })

const median = (name) => figures.get(name)?.median ?? null
const row = ({ id, what, peer, ours, theirs }) => {
  const peer_version = versionOf(peer === 'empty napi call' ? 'leasehold' : peer)
  const ratio = theirs === null ? null : theirs / ours
  return {
    id,
    runtime: 'node',
    what,
    ours,
    peer,
    peer_version,
    theirs,
    ratio,
    unit: 'ns',
  }
}
const rows = comparisons.map((one) => row({ ...one, ours: median(one.ours), theirs: median(one.theirs) }))
const overhead = (provider, direct) =>
  figures.has(provider) && figures.has(direct) ? median(provider) - median(direct) : null
rows.push(
  row({
    id: 'openfeature.overhead',
    what: 'what OpenFeature and the provider add to a boolean flag',
    ours: overhead('provider leasehold', 'texts'),
    peer: '@openfeature/flagd-provider',
    theirs: overhead('provider @openfeature/flagd-provider', '@openfeature/flagd-core static'),
  }),
)
const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
if (process.env.LEASEHOLD_BENCH_ROWS === undefined) {
  process.stdout.write(lines)
} else {
  appendFileSync(process.env.LEASEHOLD_BENCH_ROWS, lines)
}
console.error(`${'ns per call'.padEnd(48)} ${'median'.padStart(12)} ${'least'.padStart(12)}`)
for (const [name, { median, least }] of [...figures].sort(([, one], [, other]) => one.median - other.median)) {
  console.error(`${name.padEnd(48)} ${median.toFixed(1).padStart(12)} ${least.toFixed(1).padStart(12)}`)
}
for (const line of missing) {
  console.error(`missing: ${line}`)
}

/** The version that is installed; null where it is not. */
function versionOf(name) {
  try {
    const folder = name === 'leasehold' ? home : join(here, 'node_modules', name)
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
  } catch {
    return null
  }
}
