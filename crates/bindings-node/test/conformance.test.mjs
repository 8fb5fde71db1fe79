// Runs every conformance vector of `tests/conformance`, and fails on what it does not know.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { askDocuments } from './conformance/documents.mjs'
import { ask, build } from './conformance/engine.mjs'
import { follow } from './conformance/following.mjs'
import { engineOf, fail, folder, onlyKeys, read, text, wrong } from './conformance/vectors.mjs'
import { askNoPack } from './conformance/workflow.mjs'

const FILE_KEYS = ['about', 'pack', 'documents', 'cases']
const CASE_KEYS = ['id', 'rule', 'needs', 'call', 'args', 'expect', 'error']
/** What a case may need: this runtime lacks none of it. A case that needs anything else fails. */
const CAPABILITIES = ['build', 'rhai', 'zstd']

test('every vector', async () => {
  const index = read('index.json')
  assert.equal(index.version, 1)
  assert.deepEqual(index.capabilities, CAPABILITIES, 'this runner does not know what vectors may need')
  const listed = ['index.json', 'trust.json', 'vectors.schema.json', ...index.files.map(({ file }) => file)]
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    assert.ok(listed.includes(file), `\`index.json\` does not list ${file}`)
  }
  const failed = []
  let passed = 0
  for (const { file, cases } of index.files) {
    const found = await outcomes(file)
    assert.equal(found.length, cases, `${file} has lost or gained cases: correct \`index.json\``)
    const wrongs = found.filter((what) => what !== undefined)
    passed += found.length - wrongs.length
    failed.push(...wrongs)
  }
  console.log(`${passed} of ${passed + failed.length} vectors passed; none was skipped`)
  assert.equal(failed.length, 0, `${failed.length} failed:\n${failed.join('\n')}`)
  assert.ok(passed >= 2_000, `only ${passed} cases`)
})

/** Of each case of a file what is wrong with it, or nothing. */
async function outcomes(file) {
  const { pack, documents = {}, cases, ...rest } = read(file)
  onlyKeys(rest, FILE_KEYS, file)
  const engine = pack === undefined ? undefined : engineOf(pack)
  const ids = new Set()
  const found = []
  for (const one of cases) {
    const id = text(one, 'id')
    assert.ok(!ids.has(id), `${file} has two cases \`${id}\``)
    ids.add(id)
    const what = await outcome(one, engine, documents).catch((error) => String(error?.stack ?? error))
    found.push(what === undefined ? undefined : `  ${file} ${id}: ${what}`)
  }
  return found
}

async function outcome(one, engine, documents) {
  onlyKeys(one, CASE_KEYS, 'case')
  for (const need of one.needs ?? []) {
    assert.ok(CAPABILITIES.includes(need), `unknown capability ${need}`)
  }
  const { args } = one
  const call = text(one, 'call')
  switch (call) {
    case 'follow':
      return follow(args, documents)
    case 'build':
      return wrong(build(args), one)
    default: {
      const asksNoPack = askDocuments(call, args) ?? askNoPack(call, args, documents)
      return wrong(asksNoPack ?? ask(engine ?? fail('it has no pack, or an unknown call'), call, args), one)
    }
  }
}
