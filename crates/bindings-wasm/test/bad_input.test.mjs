// Whatever is passed in: the cases of the package for Node, and what only this one has.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ArgumentError, ClosedError, init } from 'leasehold-web/full'
import * as engine from 'leasehold-web/full'
import * as documents from 'leasehold-web/documents'
import { engineOf, use } from '../../bindings-node/test/conformance/corpus.mjs'
import { badInput } from '../../bindings-node/test/support/bad_input.mjs'
import { modulesOf } from './support/browser.mjs'

const folder = new URL('../../../tests/conformance/', import.meta.url)
const modules = await Promise.all(modulesOf('full.js').map(async (name) => import(`../dist/${name}`)))

await init()
const inside = Object.assign(
  {},
  ...['native', 'told'].map((name) => ({ [name]: modules.find((module) => name in module)[name] })),
)
use({
  names: readdirSync(folder),
  file: (name) => new Uint8Array(readFileSync(new URL(name, folder))),
  engine,
  documents,
  inside,
  lacks: { capabilities: ['zstd'], calls: [] },
})

badInput()

test('the one tenant of a snapshot that has several', async () => {
  const engine = engineOf('shop')
  assert.throws(
    () => engine.tenant(),
    (error) => error instanceof ArgumentError && /name one/.test(error.message),
  )
  const version = engine.version
  await engine.close()
  assert.throws(() => engine.tenant(), ClosedError)
  // Whoever compares versions, or has come too late, is told nothing any more.
  assert.equal(engine.version >= version, true)
  let called = 0
  engine.subscribe(() => (called += 1))()
  assert.equal(called, 0)
})
