// What pages show of a terminal is typed into one, in a folder as the page says.

import assert from 'node:assert/strict'
import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { Blocks, root } from './blocks.mjs'
import { Terminal, commandsOf, freePort } from './terminal.mjs'
import { NODE } from './workshop.mjs'

const blocks = new Blocks('console')
const DEFINITIONS = { 'examples/cleanmatex': 'examples/cleanmatex' }
const KEYS = [
  'leasehold keygen root --out root.key --issuer hq.example --environment production',
  'leasehold keygen fleet --out fleet.key',
  'leasehold certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert',
]

let terminal
/** The one of a test, closed when it ends. */
const opened = async (options) => (terminal = await Terminal.open(options))
afterEach(async () => {
  await terminal?.close()
  terminal = undefined
})

let hq
before(async () => (hq = await Hq.open({ allowedOrigins: ['http://127.0.0.1:3000'] })))
after(async () => hq?.close())

test('README.md', async () => {
  const here = await opened({ files: DEFINITIONS })
  const { outputs } = await here.types(blocks.take('README.md', 3))
  assert.match(outputs[0], /pick_up/)
  const published = await here.types(blocks.take('README.md', 4))
  assert.match(published.outputs.at(-1), /yes/)
  const replace = { 'postgresql://owner@localhost/hq': await here.database() }
  await here.types(blocks.take('README.md', 5), { replace })
  const asked = await here.types(blocks.take('README.md', 9))
  assert.match(asked.outputs[0], /yes/)
})

test('docs/definitions.md', async () => {
  const here = await opened({ files: DEFINITIONS })
  await here.types(blocks.take('docs/definitions.md', 1), { replace: { DIR: 'examples/cleanmatex' } })
})

test('crates/bindings-node/README.md: keys', async () => {
  const here = await opened({ files: DEFINITIONS })
  await here.types(blocks.take('crates/bindings-node/README.md', 7), { replace: { DIR: 'examples/cleanmatex' } })
  assert.match((await here.does('cat leasehold-keys.d.ts')).output, /pdf_invoices/)
})

test('docs/following.md', async () => {
  const here = await opened({ files: DEFINITIONS })
  const take = (number) => blocks.take('docs/following.md', number)
  const { outputs } = await here.types(take(1))
  assert.match(outputs.at(-1), /^yes\b[^]*\brevision\b/m)
  await here.types(take(3))
  // Definitions to try: as they are, but for one label.
  await cp(join(root, 'examples/cleanmatex'), here.at('../next'), { recursive: true })
  await here.does(`sed -i 's/"Delivery"/"Deliveries"/' ../next/features/modules.json`)
  await here.types(take(10))
  await here.types(take(11))
  await here.types(take(12))
  await here.types(take(13))
  // Nothing was known at the instant of the page, since it was published just now.
  const known = '--known-at 2026-11-16T00:00:00Z'
  await here.types(take(14), { replace: { [known]: `--known-at ${new Date(Date.now() + 60_000).toISOString()}` } })
  const before = await here.does(commandsOf(take(14))[0].line.replace(known, '--known-at 2000-01-01T00:00:00Z'))
  assert.equal(before.code, 4)
  assert.match(before.output, /outside_history|before/)
})

test('docs/workflows.md', async () => {
  const here = await opened({ files: DEFINITIONS })
  await here.types(blocks.take('docs/workflows.md', 1))
  assert.match((await here.does('head -c 4 order.svg')).output, /^<svg/)
})

test('docs/postgres.md', async () => {
  const here = await opened({ files: DEFINITIONS })
  const take = (number) => blocks.take('docs/postgres.md', number)
  for (const line of KEYS) {
    await here.does(line)
  }
  await here.types(take(1), {
    replace: {
      'postgresql://owner@localhost/hq': await here.database(),
      HASH: (outputs) => /binding ([0-9a-f]{64})/.exec(outputs.join())[1],
    },
  })
  const formatted = await here.does('leasehold fmt --check -d exported')
  assert.equal(formatted.code, 0, formatted.output)
  await writeFile(here.at('change.json'), '{"change": "set_preferences", "preferences": {"off": []}}')
  const versions = `SELECT row_version FROM leasehold.org_tenants_mst WHERE tenant_org_id = 'om-muscat-sparkle'`
  const { output: version } = await here.does(`psql -At "$DATABASE_URL" -c "${versions}"`)
  await here.types(take(4), { replace: { '--seen 4': `--seen ${version.trim()}` } })
  await here.types(take(6))
  await here.types(take(12))
})

/** HQ, as docs/serving.md says, and what docs/operations.md does with it. */
test('docs/serving.md, docs/operations.md', async () => {
  const here = await opened({ environment: { LEASEHOLD_LISTEN: '127.0.0.1:0' } })
  const replace = { 'postgresql://hq@127.0.0.1/leasehold': await here.database() }
  const stay = [/"address":"([^"]+)"/, /password +(\S+)/]
  const { found } = await here.types(blocks.take('docs/serving.md', 1), { replace, stay })
  const [[, address], [, password]] = found.matches
  const signIn = { 'http://127.0.0.1:8750': `http://${address}`, '…': password }
  const { outputs } = await here.types(blocks.take('docs/serving.md', 2), { replace: signIn })
  assert.match(JSON.parse(outputs[0]).token, /^lhs_/)
  await here.types(blocks.take('docs/operations.md', 2))
})

test('docs/ofrep.md', async () => {
  const { secret } = await hq.asks('POST', '/v1/tokens', { name: 'all', scopes: ['flags:evaluate'] })
  const here = await opened({ environment: { SESSION: hq.staff, TOKEN: secret } })
  const replace = { 'https://hq.example': hq.url }
  const { outputs } = await here.types(blocks.take('docs/ofrep.md', 1), { replace })
  assert.match(JSON.parse(outputs[0]).secret, /^lht_/)
  // The revision is another one, and so is what says which definitions answered.
  const shown = blocks
    .take('docs/ofrep.md', 2)
    .replace(/"revision": \d+/, '"revision": …')
    .replace('"5c1f…"', '"…"')
  await here.types(shown, { replace })
})

test('examples/browser/README.md', async () => {
  const port = await freePort()
  const here = await opened({ at: root, environment: { PORT: String(port), LEASEHOLD_STREAM: 'GCC-OM' } })
  const address = { 'http://127.0.0.1:8750': hq.url }
  const replace = { ...address, '…/trust.json': hq.desk.at('trust.json'), 'TOKEN=…': `TOKEN=${hq.staff}` }
  const stay = /the page: (\S+)/
  await hq.signs('ae-alain-oasis')
  // The suite has done it.
  const leave = ['cargo xtask web']
  const { found } = await here.types(blocks.take('examples/browser/README.md', 2), { replace, leave, stay })
  const [[, url]] = found.matches
  const session = await (await fetch(`${url}/session?tenant=ae-alain-oasis`)).json()
  assert.ok(session.token, JSON.stringify(session))
  await here.types(blocks.take('examples/browser/README.md', 3), {
    replace: { ...address, 'TOKEN=…': `TOKEN=${hq.staff}` },
  })
  assert.equal((await hq.asks('GET', '/v1/tenants/ae-alain-oasis/entitlements')).plan, 'business')
})

test('examples/nestjs/README.md', async () => {
  const port = await freePort()
  const here = await opened({ files: { '.': 'examples/nestjs' }, environment: { PORT: String(port) } })
  const modules = join(NODE, 'node_modules')
  await mkdir(here.at('node_modules'))
  for (const name of await readdir(modules)) {
    await symlink(join(modules, name), here.at('node_modules', name))
  }
  await symlink(NODE, here.at('node_modules/leasehold'))
  await asksTheExample(here, 'examples/nestjs/README.md', port, { 'npm install && ': `PATH="$PATH:${modules}/.bin" ` })
})

test('examples/fastapi/README.md', async () => {
  const python = process.env.LEASEHOLD_PYTHON ?? join(root, 'target/python/tested/bin/python')
  const here = await opened({ files: { '.': 'examples/fastapi' }, path: [dirname(python)] })
  await asksTheExample(here, 'examples/fastapi/README.md', await freePort(), {}, ['pip install .'])
})

/** Starts an example by its first block, and asks it by its second. */
async function asksTheExample(here, page, port, more, leave = []) {
  await writeFile(here.at('trust.json'), hq.desk.trust)
  const { token } = await hq.options('laundry-1')
  const start = blocks.take(page, 1)
  const replace = { 'http://127.0.0.1:8750': hq.url, 'TOKEN=…': `TOKEN=${token}`, ...more }
  const ports = start.includes('--port 3000') ? { '--port 3000': `--port ${port}` } : {}
  await here.types(start, { replace: { ...replace, ...ports }, leave, stay: /$/ })
  await until('it listens', async () =>
    fetch(`http://localhost:${port}/health`).then(
      (answer) => answer.ok,
      () => false,
    ),
  )
  await here.types(blocks.take(page, 2), { replace: { 'localhost:3000': `localhost:${port}` } })
}

test('all that is claimed was run', () => blocks.done())
