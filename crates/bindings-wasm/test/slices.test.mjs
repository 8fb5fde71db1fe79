// A slice holds nothing that another tenant owns: of every tenant of the example the slice is cut, and searched for all that is
// any other one's.

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { Engine, init } from 'leasehold-web'
import { SliceDesk } from './support/fake_slices.mjs'

const FILES = ['gcc-om', 'gcc-sa', 'eu']

let desk
/** Tenants by id, as they are defined. */
const tenants = {}
/** By id what is this tenant's alone and in its slice, and what is nobody's to know. */
const owned = {}
const secret = {}

/**
 * Gives every tenant a plan, an add-on and words of its own, beside what it has. Its numbers are long enough to be in no hash by
 * chance.
 */
function mark(document, plans, addOns) {
  for (const [id, tenant] of Object.entries(document.tenants)) {
    const number = Object.keys(tenants).length
    const key = `custom_${id.replaceAll('-', '_')}`
    const [label, price] = [`Agreed with ${id.toUpperCase()}`, `${7_001 + number}.125`]
    const named = { name: label, name2: `اتفاق ${number + 5000}` }
    const author = `author of ${key}`
    const contributions = [{ feature: 'invoice_due_days', op: 'set', value: 910_000_001_000 + number, author }]
    const version = { effective_from: '2026-01-01T00:00:00Z', moves: 'now', contributions }
    plans[key] = {
      ...named,
      rank: 1_000 + number,
      price: { amount: price, currency: 'OMR', period: 'month' },
      versions: { 1: version },
    }
    addOns[key] = { ...named, name: `More, ${label}`, compatible_with: [key], contributions }
    const [from, until] = ['2028-01-01T00:00:00Z', '2028-02-01T00:00:00Z']
    tenant.phases = { ...tenant.phases, [key]: { kind: 'trial', plan: key, from, until } }
    tenant.licences = { ...tenant.licences, [key]: { add_on: key, quantity: 1, from } }
    const words = { reason: `because of ${key}`, actor: `actor for ${key}` }
    const value = { amount: 810_000_002_000 + number }
    tenant.overrides = { ...tenant.overrides, [key]: { feature: 'max_users', op: 'set', value, from, ...words } }
    tenants[id] = tenant
    owned[id] = [
      id,
      key,
      tenant.name,
      tenant.name2,
      label,
      named.name2,
      price,
      `${value.amount}`,
      `${910_000_001_000 + number}`,
    ]
    secret[id] = [words.reason, words.actor, author]
    for (const { reason } of [...Object.values(tenant.overrides), ...Object.values(tenant.blocks ?? {})]) {
      secret[id].push(...(reason === undefined ? [] : [reason]))
    }
  }
}

before(async () => {
  await init()
  desk = await SliceDesk.open()
  const read = async (name) => JSON.parse(await readFile(desk.at('definitions', name), 'utf8'))
  const write = async (name, document) => writeFile(desk.at('definitions', name), JSON.stringify(document))
  const [plans, addOns] = [{}, {}]
  for (const file of FILES) {
    const document = await read(`tenants/${file}.json`)
    mark(document, plans, addOns)
    await write(`tenants/${file}.json`, document)
  }
  await write('custom.json', { plans, add_ons: addOns })
  await desk.publish()
})
after(async () => desk?.close())

test('of no other tenant an id, a label, a price or a number is in it, and of nobody what is not for pages', async () => {
  assert.ok(Object.keys(tenants).length >= 25)
  for (const [id, { region }] of Object.entries(tenants)) {
    const { document } = await desk.slice(id, '', region)
    for (const mine of owned[id]) {
      assert.ok(document.includes(mine), `what is its own is not found in the slice of ${id}: ${mine}`)
    }
    for (const other of Object.keys(tenants)) {
      for (const theirs of [...(other === id ? [] : owned[other]), ...secret[other]]) {
        assert.ok(!document.includes(theirs), `the slice of ${id} has what is of ${other}: ${theirs}`)
      }
    }
    const engine = await Engine.follow({ tenant: id, trust: desk.trust, stream: region, slice: document })
    assert.deepEqual(engine.snapshot().tenantIds(), [id])
    assert.equal(engine.tenant().entitlements().status.length > 0, true)
    const [another] = Object.keys(tenants).filter((other) => other !== id && tenants[other].region === region)
    for (const ask of [() => engine.tenant(another), () => engine.isEnabled(another, 'orders')]) {
      assert.throws(ask, { name: 'QuestionError', code: 'not_in_slice' })
    }
    await engine.close()
  }
})
