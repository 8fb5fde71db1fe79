// Leasehold's package for browsers beside published packages that run as WebAssembly, in one run: in Node, then in Chromium.
// A row of figures per comparison, as JSON: on standard output, or appended to the file that `LEASEHOLD_BENCH_ROWS` names.
//
//     npm run --silent bench

import { appendFileSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { browser, page, Site } from '../../../crates/bindings-wasm/test/support/browser.mjs'
import * as leasehold from '../../../crates/bindings-wasm/dist/full.js'
import { contest } from './contest.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const rules = '@schematichq/schematic-typescript-node'

await leasehold.init()
const inNode = await contest(leasehold, {
  '@cedar-policy/cedar-wasm': () => import('@cedar-policy/cedar-wasm/nodejs'),
  [rules]: () => import(rules),
})
report('node (wasm)', inNode)
report('chromium', await inChromium())

async function inChromium() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ['page.mjs'],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    external: ['leasehold-web/full'],
    inject: ['process.mjs'],
    alias: { 'schematic-rules-engine': join(here, 'node_modules', rules, 'dist/wasm/rulesengine.js') },
    logLevel: 'error',
  })
  const cedar = readFileSync(join(here, 'node_modules/@cedar-policy/cedar-wasm/web/cedar_wasm_bg.wasm'))
  const sent = (type, bytes) => (_request, response) => response.writeHead(200, { 'content-type': type }).end(bytes)
  const site = await Site.open({
    '/': page('import "/bench.js"'),
    '/bench.js': sent('text/javascript', outputFiles[0].contents),
    '/cedar.wasm': sent('application/wasm', cedar),
  })
  const chromium = await browser()
  try {
    const tab = await chromium.newPage()
    tab.on('pageerror', (error) => console.error(String(error)))
    await tab.goto(`${site.url}/${process.env.LEASEHOLD_BENCH_QUICK === '1' ? '?quick=1' : ''}`)
    await tab.waitForFunction(() => globalThis.contested !== undefined)
    return await tab.evaluate(async () => globalThis.contested)
  } finally {
    await chromium.close()
    await site.close()
  }
}

function report(runtime, { comparisons, figures, missing }) {
  const median = (name) => figures[name]?.median ?? null
  const lines = comparisons.map(({ id, ours, peer, theirs, says }) => {
    const row = { id, runtime, what: `switch; ${says}`, ours: median(ours), peer, peer_version: versionOf(peer) }
    return `${JSON.stringify({ ...row, theirs: median(theirs), ratio: median(theirs) / median(ours), unit: 'ns' })}\n`
  })
  if (process.env.LEASEHOLD_BENCH_ROWS === undefined) {
    process.stdout.write(lines.join(''))
  } else {
    appendFileSync(process.env.LEASEHOLD_BENCH_ROWS, lines.join(''))
  }
  console.error(`${`${runtime}, ns per call`.padEnd(56)} ${'median'.padStart(12)} ${'least'.padStart(12)}`)
  for (const [name, { median, least }] of Object.entries(figures).sort(([, one], [, other]) => one.median - other.median)) {
    console.error(`${name.padEnd(56)} ${median.toFixed(1).padStart(12)} ${least.toFixed(1).padStart(12)}`)
  }
  missing.forEach((line) => console.error(`missing: ${line}`))
}

function versionOf(name) {
  return JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version
}
