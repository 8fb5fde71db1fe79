// A million calls leave nothing behind.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MiB = 1024 * 1024
/**
 * What memory may differ by without anything being lost. A leak of 100 bytes a call, or of one engine in five, comes to
 * more over the calls that are measured, which are three in five; pages that allocators hold on to come to 1 MiB or so.
 */
const SLACK = { rss: 8 * MiB, heap: 2 * MiB }

test('a million calls, 2,000 engines and 2,000 swaps leave nothing behind, and the process ends', async () => {
  const file = fileURLToPath(new URL('leaks/calls.mjs', import.meta.url))
  const env = { ...process.env, NODE_OPTIONS: '', RUST_BACKTRACE: '0' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', file], { env })
  const seen = JSON.parse(stdout)
  console.log(seen.map(({ rss, heap }) => `${(rss / MiB).toFixed(1)}/${(heap / MiB).toFixed(1)}`).join(' '), 'MiB')
  for (const [what, slack] of Object.entries(SLACK)) {
    const [first, last] = [seen[0][what], seen.at(-1)[what]]
    assert.ok(last - first < slack, `${what} grew by ${((last - first) / MiB).toFixed(1)} MiB`)
  }
})
