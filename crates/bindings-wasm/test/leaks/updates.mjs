// Thousands of updates: through followers, by hand, and of engines that nobody closes. Says on standard output how much memory
// is held after each part, in bytes: what WebAssembly has, which never gives anything back, and the heap of JavaScript.

import { readFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { Engine, init } from 'leasehold-web'

/** Parts of the work: what the first ones fill, such as caches, fills up once. */
const PARTS = 10
/** In each part: engines that follow all slices, swaps by hand, and engines that nobody closes. */
const [FOLLOWED, SWAPS, LEFT] = [40, 600, 30]

const { slices: texts, trust, tenant } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const slices = texts.map(({ document, revision }) => ({ document: new TextEncoder().encode(document), revision }))

/** What the engine runs in: the package shows it to nobody. */
let memory
const { instantiate } = WebAssembly
WebAssembly.instantiate = async (...given) => {
  const made = await instantiate(...given)
  memory = (made.instance ?? made).exports.memory
  return made
}
await init()

const answers = new Set()
/** An engine that follows from the first slice to the last; the last is followed by one that is refused. */
async function follow() {
  let [at, tell] = [0, undefined]
  const source = {
    head: async () => slices[at].document,
    listen: (notify) => (tell = notify),
  }
  const engine = await Engine.follow({ tenant, trust, source, backoffMinMs: 1, backoffMaxMs: 1 })
  engine.subscribe(() => answers.add(engine.tenant().isEnabled('chat')))
  engine.on('change', ({ groups }) => answers.add(groups.length))
  for (at = 1; at < slices.length; at += 1) {
    tell()
    await engine.waitFor(slices[at].revision, 60_000)
  }
  at = 0
  const refused = new Promise((is) => engine.on('fault', is))
  tell()
  await refused
  await engine.close()
}

const ends = [slices[0], slices.at(-1)]
const own = await Promise.all(ends.map(async ({ document }) => Engine.follow({ tenant, trust, slice: document })))
const snapshots = own.map((engine) => engine.snapshot())
const swapped = new Engine(snapshots[0])
swapped.on('change', ({ groups }) => answers.add(groups.length))

async function held() {
  for (let times = 0; times < 5; times += 1) {
    gc()
    await turn()
  }
  const { heapUsed, external } = process.memoryUsage()
  const wasm = memory.buffer.byteLength
  return { wasm, heap: heapUsed + external - wasm }
}

const seen = []
for (let part = 0; part < PARTS; part += 1) {
  for (let round = 0; round < FOLLOWED; round += 1) {
    await follow()
  }
  for (let times = 0; times < SWAPS; times += 1) {
    swapped.swap(snapshots[times % 2])
    answers.add(swapped.tenant().isEnabled('chat'))
  }
  for (let times = 0; times < LEFT; times += 1) {
    const engine = await Engine.follow({ tenant, trust, slice: slices[0].document })
    answers.add(engine.tenant().decide('chat').enabled)
    if (times % 5 === 0) {
      gc()
      await turn()
    }
  }
  seen.push(await held())
}
if (!answers.has(true) || !answers.has(false)) {
  throw new Error('nothing was another answer')
}
console.log(JSON.stringify(seen))
