// Lines of pages that build, measure or install for minutes, typed in this clone. The suite `snippets_long` runs them.

import assert from 'node:assert/strict'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { Blocks, root } from '../blocks.mjs'
import { Terminal } from '../terminal.mjs'

const blocks = new Blocks('chores')

let terminal
afterEach(async () => {
  await terminal?.close()
  terminal = undefined
})

/** In a folder of the clone, where tools are those of whoever runs this, and direct runs of benchmarks hurry. */
async function opened(folder = '.') {
  const environment = { HOME: homedir(), LEASEHOLD_BENCH_QUICK: '1' }
  terminal = await Terminal.open({ at: join(root, folder), environment })
  return terminal
}

test('README.md', async () => {
  const here = await opened()
  // The gate is what runs this, and `bench` one of its suites.
  const leave = ['cargo xtask test', 'cargo xtask bench']
  const { outputs } = await here.types(blocks.take('README.md', 1), { leave })
  assert.match(outputs[0], /revision/)
})

test('benches/README.md', async () => {
  const here = await opened()
  const [rows, chart] = ['rows.json', 'chart.svg'].map((name) => join(here.home, name))
  const replace = { 'bench --json': 'bench --quick --only peers --json', 'rows.json': rows, 'chart.svg': chart }
  // The suite `bench` does the first two, the page of the place the third.
  const leave = ['cargo xtask bench  ', 'cargo xtask bench --quick  ', 'cargo xtask bench --only']
  await here.types(blocks.take('benches/README.md', 1), { leave, replace })
  assert.match((await here.does(`head -c 4 ${chart}`)).output, /^<svg/)
})

for (const place of ['node', 'python', 'rust', 'web']) {
  test(`benches/peers/${place}/README.md`, async () => {
    const here = await opened()
    const replace = { 'cargo xtask bench': 'cargo xtask bench --quick' }
    const { outputs } = await here.types(blocks.take(`benches/peers/${place}/README.md`, 1), { replace })
    assert.match(outputs[0], /check\.handle/)
  })
}

test('benches/peers/node/README.md, by hand', async () => {
  const here = await opened()
  const { outputs } = await here.types(blocks.take('benches/peers/node/README.md', 2))
  assert.match(outputs.at(-1), /check\.handle/)
})

test('benches/peers/python/README.md, by hand', async () => {
  const here = await opened('benches/peers/python')
  const made = await here.does(`python3 -m venv ${here.home}/venv && PATH=${here.home}/venv/bin:$PATH`)
  assert.equal(made.code, 0, made.output)
  const replace = { ' wheels': ` ${here.home}/wheels` }
  const { outputs } = await here.types(blocks.take('benches/peers/python/README.md', 2), { replace })
  assert.match(outputs.at(-1), /check\.handle/)
})

test('docs/assurance.md', async () => {
  const here = await opened()
  const { outputs } = await here.types(blocks.take('docs/assurance.md', 1))
  assert.match(outputs[0], /\d+ mutants/)
})

test('docs/properties.md', async () => {
  const here = await opened()
  const { outputs } = await here.types(blocks.take('docs/properties.md', 1))
  assert.match(outputs[0], /test result: ok\. [1-9]\d+ passed/)
})

test('docs/scale.md', async () => {
  const here = await opened()
  await here.types(blocks.take('docs/scale.md', 1))
})

test('docs/first-ten-minutes.md', async (context) => {
  const here = await opened()
  const start = performance.now()
  const { outputs } = await here.types(blocks.take('docs/first-ten-minutes.md', 1))
  context.diagnostic(`packages: ${((performance.now() - start) / 1000).toFixed()} s`)
  const lines = [...outputs[0].matchAll(/^ {2}((?:npm|pip) install .*)$/gm)].map(([, line]) => line)
  assert.equal(lines.length, 3, outputs[0])
  const app = join(here.home, 'app')
  for (const line of [`python3 -m venv ${app}/venv`, `cd ${app} && PATH=${app}/venv/bin:$PATH`, ...lines]) {
    const { code, output } = await here.does(line)
    assert.equal(code, 0, output)
  }
  const asked = await here.does(`node -p "[require('leasehold'), require('leasehold-web')].length"; pip show leasehold`)
  assert.match(asked.output, /^2\n[^]*Name: leasehold/)
})

test('docs/postgres-node.md', async () => {
  const here = await opened('crates/bindings-node')
  const { outputs } = await here.types(blocks.take('docs/postgres-node.md', 4))
  outputs.forEach((output) => assert.match(output, /pass [1-9]/))
})

test('docs/openfeature-node.md', async (context) => {
  const text = blocks.take('docs/openfeature-node.md', 4)
  const specification = process.env.OPENFEATURE_SPEC
  if (specification === undefined) {
    context.skip('OPENFEATURE_SPEC names no clone of the specification')
    return
  }
  const here = await opened('crates/bindings-node')
  await here.types(text, { replace: { '…/spec/specification': specification } })
})

test('examples/browser/README.md', async () => {
  const here = await opened()
  const { found } = await here.types(blocks.take('examples/browser/README.md', 1), { stay: /^ +address +(\S+)/m })
  assert.ok((await fetch(`${found.matches[0][1]}/readyz`)).ok)
})

test('all that is claimed was run', () => blocks.done())
