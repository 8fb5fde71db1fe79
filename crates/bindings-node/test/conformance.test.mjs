// Runs every vector of `tests/conformance`, and fails on what it does not know.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './conformance/run.mjs'
import './conformance/vectors.mjs'

test('every vector', async () => {
  const { passed, failed, lacks } = await run()
  console.log(`${passed} of ${passed + failed.length} vectors passed; none was skipped`)
  assert.equal(failed.length, 0, `${failed.length} failed:\n${failed.join('\n')}`)
  assert.deepEqual(lacks, {}, 'this runtime lacks nothing')
  assert.ok(passed >= 2_000, `only ${passed} cases`)
})
