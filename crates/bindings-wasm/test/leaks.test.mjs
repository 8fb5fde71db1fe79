// Ten thousand updates leave nothing behind.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SliceDesk, STREAM } from './support/fake_slices.mjs'
import { small } from './support/small.mjs'

const MiB = 1024 * 1024
const WARM = 4
/**
 * What JavaScript's heap may differ by without anything being lost: a leak of 300 bytes an update comes to more over those that
 * are measured. The WebAssembly's memory never shrinks, and finalizers of what nobody closed run when they run: it may want
 * some more pages of 64 KiB. A snapshot that is held costs kilobytes, and thousands of them dozens of MiB.
 */
const SLACK = { wasm: MiB, heap: 2 * MiB }

let desk

before(async () => {
  desk = await SliceDesk.open()
  await rm(desk.at('definitions'), { recursive: true })
  await mkdir(desk.at('definitions'))
})
after(async () => desk?.close())

/** Slices that differ in what the tenant may do. */
async function made() {
  const slices = []
  for (let number = 0; number < 11; number += 1) {
    const told = { reason: 'r', actor: 'a' }
    const overrides = { o: { feature: 'chat', op: 'set', value: number % 2 === 0, ...told } }
    const definitions = small({ overrides })
    Object.values(definitions.tenants).forEach((tenant) => (tenant.region = STREAM))
    await writeFile(desk.at('definitions/all.json'), JSON.stringify(definitions))
    await desk.publish()
    const { document, revision } = await desk.slice('a')
    slices.push({ document: document.toString(), revision })
  }
  return slices
}

test('10,000 updates leave nothing behind', async () => {
  const file = desk.at('slices.json')
  await writeFile(file, JSON.stringify({ slices: await made(), trust: desk.trust, tenant: 'a' }))
  const script = fileURLToPath(new URL('leaks/updates.mjs', import.meta.url))
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, file], { env })
  const seen = JSON.parse(stdout)
  console.log(seen.map(({ wasm, heap }) => `${(wasm / MiB).toFixed(2)}/${(heap / MiB).toFixed(2)}`).join(' '), 'MiB')
  for (const [what, slack] of Object.entries(SLACK)) {
    const [first, last] = [seen[WARM][what], seen.at(-1)[what]]
    assert.ok(last - first <= slack, `${what} grew by ${((last - first) / MiB).toFixed(2)} MiB`)
  }
})
