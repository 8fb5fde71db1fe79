// Runs the specification's evaluation features against a provider: as told in our own words, and as they are where there is a
// copy of the specification. Its text is not part of this repository.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { DIFFERENCES } from './differences.mjs'
import { originals, take } from './originals.mjs'
import { FLAGS, SCENARIOS } from './scenarios.mjs'
import { World } from './world.mjs'

const { OPENFEATURE_SPEC } = process.env

/** @param lacks what an SDK has not got: the beginning of scenarios' names, and why. */
export async function suite(sdk, lacks = {}) {
  const skip = (name) => Object.entries(lacks).find(([beginning]) => name.startsWith(beginning))?.[1] ?? false
  const met = new Set()

  async function run(t, flags, steps) {
    const world = new World(sdk, flags)
    try {
      await steps(world)
    } finally {
      await world.close()
    }
    const { expected } = world
    t.diagnostic(expected.met.size === 0 ? 'as it is written' : `but for: ${[...expected.met].join(', ')}`)
    expected.met.forEach((name) => met.add(name))
  }

  describe('the scenarios of the specification, in our own words', () => {
    for (const [name, steps] of Object.entries(SCENARIOS)) {
      test(name, { skip: skip(name) }, (t) =>
        run(t, FLAGS, async (world) => {
          await world.provider('stable')
          await steps(world)
        }),
      )
    }

    test('every difference is met, and documented', async () => {
      assert.deepEqual([...met].sort(), Object.keys(DIFFERENCES).sort())
      const page = await readFile(join(import.meta.dirname, '../../../../docs/openfeature-node.md'), 'utf8')
      const [, table] = page.split('| the scenarios expect |')
      const rows = Object.values(DIFFERENCES).map(({ suite, ours, why }) => `| ${suite} | ${ours} | ${why} |`)
      assert.deepEqual(table.split('\n').slice(2, 2 + rows.length), rows)
    })
  })

  if (OPENFEATURE_SPEC === undefined) {
    const why = 'set OPENFEATURE_SPEC to the folder `specification` of a clone of open-feature/spec'
    test('the scenarios of the specification, as they are', { skip: why }, () => {})
    return
  }
  const { flags, scenarios } = await originals(OPENFEATURE_SPEC)
  describe('the scenarios of the specification, as they are', () => {
    for (const { name, steps } of scenarios) {
      test(name, { skip: skip(name) }, (t) =>
        run(t, flags, async (world) => {
          for (const step of steps) {
            await take(world, step)
          }
        }),
      )
    }

    test('each of them has one in our own words', () => {
      assert.deepEqual([...new Set(scenarios.map(({ name }) => name))].sort(), Object.keys(SCENARIOS).sort())
    })
  })
}
