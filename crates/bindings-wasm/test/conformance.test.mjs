// Runs every vector of `tests/conformance` against both builds, in Node and in Chromium, with the runner that the package for
// Node has, and says which ones a build was not made to answer.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { browser, modulesOf, page, Site, workspace } from './support/browser.mjs'

/** What each build leaves out: capabilities, and calls that answer `not_in_build`. */
const BUILDS = {
  core: {
    entry: 'index.js',
    lacks: {
      capabilities: ['build', 'rhai', 'zstd'],
      calls: [
        'canonical',
        'compare_versions',
        'covering_paths',
        'definitions_hash',
        'diff',
        'diff_tenants',
        'follow: open',
        'key_id',
        'merge',
        'open_chunk',
        'picture',
        'place',
        'replay',
        'staging',
        'upgrade',
        'verify_certificate',
        'verify_head',
        'what_if',
      ],
    },
  },
  // Of pages, nothing compressed is asked that the browser has not unpacked already.
  full: { entry: 'full.js', lacks: { capabilities: ['zstd'], calls: [] } },
}

const corpus = `${workspace}/tests/conformance`
// Runners read packs, never the fixtures that they were made from.
const inFolder = (folder, ends) => readdirSync(`${corpus}/${folder}`).filter((name) => name.endsWith(ends))
const names = [...inFolder('', '.json'), ...inFolder('packs', '.pack').map((name) => `packs/${name}`)]

/** What is found of a build. */
async function inNode({ entry, lacks }) {
  const folder = pathToFileURL(`${corpus}/`).href
  const worker = new Worker(new URL('conformance/worker.mjs', import.meta.url), {
    workerData: { entry, lacks, modules: modulesOf(entry), names, folder },
  })
  const [found] = await once(worker, 'message')
  await worker.terminate()
  return found
}

let site
let chromium

before(async () => {
  ;[site, chromium] = await Promise.all([Site.open({ '/page': page('') }), browser()])
})

after(async () => {
  await Promise.all([chromium?.close(), site?.close()])
})

async function inChromium({ entry, lacks }) {
  const tab = await chromium.newPage()
  await tab.goto(`${site.url}/page`)
  const given = { entry, lacks, modules: modulesOf(entry), names, folder: '/workspace/tests/conformance/' }
  const found = await tab.evaluate(async (given) => {
    const { runPage } = await import('/workspace/crates/bindings-wasm/test/conformance/page.mjs')
    return runPage(given)
  }, given)
  await tab.close()
  return found
}

for (const [name, build] of Object.entries(BUILDS)) {
  for (const [place, find] of Object.entries({ Node: inNode, Chromium: inChromium })) {
    test(`every vector, of the build ${name}, in ${place}`, async () => {
      const { passed, failed, lacks } = await find(build)
      const lacking = Object.values(lacks).reduce((sum, cases) => sum + cases, 0)
      const total = passed + failed.length + lacking
      const told = Object.entries(lacks).map(([what, cases]) => `${what}: ${cases}`)
      console.log(`${name} in ${place}: ${passed} of ${total} vectors passed; left out ${lacking} (${told.join(', ')})`)
      assert.equal(failed.length, 0, `${failed.length} failed:\n${failed.join('\n')}`)
      assert.ok(total >= 2_000, `only ${total} cases`)
    })
  }
}
