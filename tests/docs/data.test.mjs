// Documents that pages show are put to the use that the page describes, and answers are compared with those that come.

import assert from 'node:assert/strict'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { Blocks, read, root } from './blocks.mjs'
import { sameShape } from './shapes.mjs'
import { Terminal } from './terminal.mjs'
import { NODE, Workshop } from './workshop.mjs'

const blocks = new Blocks('data')
const json = (page, number) => JSON.parse(blocks.take(page, number))
/** The instant at which answers of the example are shown. */
const AT = new Date('2026-11-15T12:00:00Z')
const TENANT = 'om-muscat-sparkle'

let hq, workshop, engine, documents, client, terminal
before(async () => {
  workshop = await Workshop.open({ leasehold: NODE }, [NODE])
  const imports = `import { Engine } from 'leasehold'\nimport * as documents from 'leasehold/documents'\nimport pg from 'pg'`
  const found = await workshop.run(imports, { gives: ['Engine', 'documents', 'pg'] })
  documents = found.documents
  const folder = join(root, 'examples/cleanmatex')
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.json'))
  const files = await Promise.all(
    names.map(async (name) => ({ name, content: await readFile(join(folder, name), 'utf8') })),
  )
  engine = found.Engine.fromDefinitions(files, { revision: 0, issuedAt: AT })
  hq = await Hq.open()
  client = new found.pg.Client({ connectionString: hq.desk.environment.DATABASE_URL })
  await client.connect()
})
after(async () => {
  await client?.end()
  await hq?.close()
  await workshop?.close()
})
afterEach(async () => {
  await terminal?.close()
  terminal = undefined
})

/** A terminal in a folder with the example and what a test writes there. */
async function opened(files = {}, options = {}) {
  terminal = await Terminal.open({ files: { 'examples/cleanmatex': 'examples/cleanmatex' }, ...options })
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(terminal.at(name), '..'), { recursive: true })
    await writeFile(terminal.at(name), text)
  }
  return terminal
}

async function does(line) {
  const { output, code } = await terminal.does(line)
  assert.equal(code, 0, `$ ${line}\n${output}`)
  return output
}

test('docs/definitions.md: a file that is complete and valid, and what is said of one that is not', async () => {
  await opened({ 'own/shop.json': blocks.take('docs/definitions.md', 2) })
  await does('leasehold lint --deny-warnings -d own')
  const shown = blocks.take('docs/definitions.md', 3)
  await does(`sed -i '/email-loop-2026-03/,/}/s/"email_marketing"/"email_marketin"/' examples/cleanmatex/kills.json`)
  const { output, code } = await terminal.does('leasehold lint -d examples/cleanmatex')
  assert.equal(code, 1)
  assert.ok(output.includes(shown.trim()), output)
})

test('docs/engine.md: answers', () => {
  const page = 'docs/engine.md'
  assert.deepEqual(engine.tenant('om-seeb-express').decide('orders', AT), json(page, 2))
  assert.deepEqual(engine.tenant(TENANT).checkLimit('whatsapp_messages_per_month', 990, 30, AT), json(page, 3))
  shortened(engine.tenant(TENANT).entitlements(AT), json(page, 4))
  // Node has instants as numbers here.
  const told = (ms) => new Date(ms).toISOString().replace('.000Z', 'Z')
  const table = engine.tenant(TENANT).answerTable(AT)
  shortened({ ...table, from: told(table.from), until: told(table.until) }, json(page, 5))
})

/** Whether one is the other with members and ends of lists left out; `…` at the end of a list says that there is more. */
function shortened(actual, shown, at = '') {
  if (Array.isArray(shown) && shown.at(-1) === '…') {
    assert.deepEqual(actual.slice(0, shown.length - 1), shown.slice(0, -1), at)
    assert.ok(actual.length >= shown.length, at)
  } else if (shown !== null && typeof shown === 'object' && !Array.isArray(shown)) {
    Object.entries(shown).forEach(([key, value]) => shortened(actual[key], value, `${at}/${key}`))
  } else {
    assert.deepEqual(actual, shown, at)
  }
}

test('docs/following.md: a trust file', () => {
  const shown = json('docs/following.md', 2)
  sameShape(JSON.parse(hq.desk.trust), shown)
  assert.match(shown.roots[0], /^[0-9a-f]{64}$/)
})

async function asks(method, path, body, headers = {}) {
  const response = await fetch(hq.url + path, {
    method,
    headers: { authorization: `Bearer ${hq.staff}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { response, body: await response.json() }
}

const numbersOut = (text) => text.replace(/\d+/g, 'N')

test('docs/api.md: a problem document', async () => {
  const { body: plan } = await asks('GET', '/v1/plans/growth')
  const { record } = plan
  const changed = record ?? plan
  const { response, body } = await asks('PUT', '/v1/plans/growth', changed, { 'if-match': '"4000"' })
  assert.match(response.headers.get('content-type'), /^application\/problem\+json/)
  const shown = json('docs/api.md', 1)
  assert.deepEqual({ ...body, detail: numbersOut(body.detail) }, { ...shown, detail: numbersOut(shown.detail) })
})

test('docs/ofrep.md: an error', async () => {
  const context = { context: { targetingKey: TENANT } }
  const { secret } = await hq.asks('POST', '/v1/tokens', { name: 'errors', scopes: ['flags:evaluate'] })
  const headers = { authorization: `Bearer ${secret}` }
  const { response, body } = await asks('POST', '/ofrep/v1/evaluate/flags/nothing', context, headers)
  assert.equal(response.status, 404)
  assert.deepEqual(body, json('docs/ofrep.md', 8))
})

test('docs/browser.md, docs/ofrep.md: the origins that may ask', async () => {
  const shown = blocks.take('docs/browser.md', 4)
  assert.equal(blocks.take('docs/ofrep.md', 5), shown)
  const environment = {
    LEASEHOLD_LISTEN: '127.0.0.1:0',
    DATABASE_URL: hq.desk.environment.DATABASE_URL,
    LEASEHOLD_TRUST: hq.desk.at('trust.json'),
    LEASEHOLD_FLEET_KEY: hq.desk.at('fleet.key'),
    LEASEHOLD_CERTIFICATE: hq.desk.at('fleet.cert'),
  }
  const here = await opened({ 'leasehold.toml': shown }, { environment })
  const { found } = await here.types('$ leasehold serve --config leasehold.toml', { stay: /"address":"([^"]+)"/ })
  const [[, address]] = found.matches
  const [, origin] = /"(https:[^"]+)"/.exec(shown)
  for (const [asking, allowed] of [
    [origin, origin],
    ['https://other.example', null],
  ]) {
    for (const [path, method] of [
      [`/v1/tenants/${TENANT}/slice`, 'GET'],
      ['/ofrep/v1/evaluate/flags', 'POST'],
    ]) {
      const headers = { origin: asking, 'access-control-request-method': method }
      const response = await fetch(`http://${address}${path}`, { method: 'OPTIONS', headers })
      assert.equal(response.headers.get('access-control-allow-origin'), allowed, `${asking} ${path}`)
    }
  }
})

test('docs/operations.md: a configuration of Prometheus, and a line of the log', async () => {
  await opened()
  const shown = blocks.take('docs/operations.md', 1)
  const file = '/etc/prometheus/leasehold.token'
  assert.ok(shown.includes(file))
  await writeFile(terminal.at('leasehold.token'), 'lht_token')
  await writeFile(terminal.at('prometheus.yml'), shown.replace(file, terminal.at('leasehold.token')))
  await does('promtool check config prometheus.yml')

  const line = json('docs/operations.md', 3)
  const lines = []
  hq.process.stderr.on('data', (text) => lines.push(...String(text).split('\n')))
  hq.process.stdout.on('data', (text) => lines.push(...String(text).split('\n')))
  const { response } = await asks('GET', '/v1/tenants/nobody')
  assert.equal(response.status, line.status)
  const told = await until('it is logged', () => lines.find((one) => one.includes('"nobody"')))
  const actual = JSON.parse(told)
  sameShape(actual, line)
  const same = ({ level, status, code, message, target, span: { method, route, name } }) => [
    level,
    status,
    code,
    message,
    target,
    method,
    route,
    name,
  ]
  assert.deepEqual(same(actual), same(line))
})

test('docs/postgres-node.md, docs/postgres.md: the context of a transaction', async () => {
  await client.query('BEGIN')
  await client.query({ text: blocks.take('docs/postgres-node.md', 3), values: [TENANT] })
  const context = async () =>
    (await client.query(`SELECT current_setting('app.current_tenant_id', true) AS id`)).rows[0].id
  assert.equal(await context(), TENANT)
  await client.query('COMMIT')
  assert.ok(!(await context()))

  await client.query('SET ROLE leasehold_app')
  const phases = `SELECT DISTINCT tenant_org_id FROM leasehold.org_subscriptions_mst;`
  const results = await client.query(blocks.take('docs/postgres.md', 3, phases))
  await client.query('RESET ROLE')
  assert.deepEqual(results[2].rows, [{ tenant_org_id: 'om-muscat-crown' }])
})

test('docs/postgres.md: an item moves by SQL', async () => {
  await client.query('SET ROLE leasehold_app')
  const results = await client.query(blocks.take('docs/postgres.md', 7))
  await client.query('RESET ROLE')
  const [created, moved] = results
    .filter(({ command, rows }) => command === 'SELECT' && rows[0].row_version)
    .map(({ rows }) => rows[0])
  assert.equal(created.item_id, 'ORD-1001')
  assert.equal(moved.transition, 'photograph')
})

test('docs/postgres.md: the login of an app', async () => {
  const role = `docs_${process.pid}_${Date.now()}`
  await client.query(`CREATE ROLE ${role}`)
  const statement = blocks.take('docs/postgres.md', 10)
  assert.ok(statement.includes('my_app'))
  await client.query(statement.replace('my_app', role))
  const { rows } = await client.query(`SELECT pg_has_role('${role}', 'leasehold_app', 'USAGE') AS has`)
  await client.query(`DROP ROLE ${role}`)
  assert.equal(rows[0].has, true)
})

const defined = (file) => JSON.parse(read(`examples/cleanmatex/${file}`))

test('docs/workflows.md: definitions', async () => {
  const page = 'docs/workflows.md'
  await opened({ 'own/order.json': blocks.take(page, 2) })
  await does('leasehold lint -d own')
  assert.deepEqual(json(page, 3), defined('tenants/gcc-om.json').tenants[TENANT].workflows)
  const guard = json(page, 4)
  assert.deepEqual(guard.guards.requires_manager_approval, defined('guards.json').guards.requires_manager_approval)

  // Of the typed form, Postgres is given what is left when settings are filled in.
  const shown = json(page, 6)
  const { rows } = await client.query(
    `SELECT conditions FROM leasehold.sys_machine_guards WHERE guard_key = 'requires_manager_approval'`,
  )
  assert.ok(rows.length > 0)
  for (const { conditions } of rows) {
    assert.equal(conditions.length, 1)
    const [{ form }] = conditions
    const comparison = form.or[0].compare
    assert.deepEqual(Object.keys(comparison.right), ['constant'])
    comparison.right = shown.or[0].compare.right
    assert.deepEqual(form, shown)
  }
})

test('docs/workflows.md: a blocker', () => {
  const inputs = { invoice_issued: true, balance_due_minor: 7250, customer_type: 'individual' }
  const machine = engine.tenant(TENANT).machine('order', 'DRY_CLEAN')
  const { blockers } = machine
    .transitions('ready', { inputs, roles: ['counter'] })
    .find(({ transition }) => transition === 'pick_up')
  assert.deepEqual(blockers, [json('docs/workflows.md', 9)])
})

test('docs/workflows.md: conflicts, and logs of moves', async () => {
  const page = 'docs/workflows.md'
  await opened({ 'moves.csv': blocks.take(page, 11), 'moves.jsonl': blocks.take(page, 12) })
  const { output, code } = await terminal.does(
    'leasehold workflow upgrade sa-makkah-pilgrim order --to 3 -d examples/cleanmatex',
  )
  assert.equal(code, 1)
  for (const conflict of blocks.take(page, 10).split('\n\n')) {
    assert.ok(output.includes(conflict.trim()), `${conflict}\nis not in\n${output}`)
  }
  const replayed = (log) => does(`leasehold workflow replay ${log} order --version 3 --json -d examples/cleanmatex`)
  assert.equal(await replayed('moves.csv'), await replayed('moves.jsonl'))
})

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

test('docs/snapshot-format.md: hashes, places and shares', () => {
  const page = 'docs/snapshot-format.md'
  assert.deepEqual(json(page, 2), { hash: sha256('{}'), length: 2 })
  const text = read(page)
  const [, node, shard] = /For `laundry-1`[^\n]*= (\d+), shard[^\n]* = (\d+)\.\n/.exec(text)
  const place = documents.placeOf('laundry-1')
  assert.deepEqual([place.node, place.shard], [Number(node), Number(shard)])
  const [, candidate, share] =
    /For engine `engine-1` and the candidate `([0-9a-f]{64})`.*from a share of (\d+) permille on/.exec(text)
  assert.equal(documents.isStaged('engine-1', candidate, Number(share)), true)
  assert.equal(documents.isStaged('engine-1', candidate, Number(share) - 1), false)
})

test('docs/snapshot-format.md: the example, put together of its parts', async () => {
  const page = 'docs/snapshot-format.md'
  const [text, definitions] = [read(page), blocks.take(page, 9)]
  const content = (number) => blocks.take(page, number).slice(0, -1)
  const contents = [10, 11, 12, 13, 14, 15].map(content)
  const [manifest, index, features, plans, node, shard] = contents
  // Each stands behind a line that says its length and hash.
  const said = [...text.matchAll(/\((\d+) bytes\), `([0-9a-f]{64})`:/g)].map(([, length, hash]) => [
    Number(length),
    hash,
  ])
  assert.deepEqual(
    contents.map((one) => [Buffer.byteLength(one), sha256(one)]),
    said,
  )
  for (const one of contents) {
    documents.checkCanonical(Buffer.from(one))
  }

  // They are what the command line makes of the definitions.
  await opened({ 'own/shop.json': definitions })
  for (const line of [
    'leasehold keygen root --out root.key --issuer hq.example --environment test',
    'leasehold keygen fleet --out fleet.key',
    'leasehold certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert',
    'leasehold build -d own --out snapshots --fleet fleet.key --certificate fleet.cert --trust trust.json --uncompressed --pack own.pack --stream GCC-OM',
  ]) {
    await does(line)
  }
  const packed = await readFile(terminal.at('own.pack'), 'utf8')
  for (const one of [manifest, index, features, plans, node, shard]) {
    assert.ok(packed.includes(`\n${sha256(one)} raw ${Buffer.byteLength(one)}\n${one}\n`), one)
  }

  // The head verifies by the keys that it names, and says how long it is and which hash it has.
  const [certificate, statement] = [blocks.take(page, 16), blocks.take(page, 17)]
  const head = certificate + statement
  const [, certified] = /The certificate, (\d+) bytes/.exec(text)
  assert.equal(Buffer.byteLength(certificate), Number(certified))
  const [, length, hash] = /Both together have (\d+) bytes, and the document hash `([0-9a-f]{64})`/.exec(text)
  assert.deepEqual([Buffer.byteLength(head), sha256(head)], [Number(length), hash])
  const payload = (document) => JSON.parse(document.split('\n')[1])
  assert.ok(isSigned(statement, payload(certificate).key))

  const pack = blocks.take(page, 18, ...[head, ...contents].map((one, at) => (at === 0 ? one.slice(0, -1) : one)))
  const [, packLength, packHash] = /The pack, (\d+) bytes, SHA-256 `([0-9a-f]{64})`/.exec(text)
  assert.deepEqual([Buffer.byteLength(pack), sha256(pack)], [Number(packLength), packHash])

  const slice = blocks.take(page, 19)
  const whole = head + slice
  const [, sliceLength, sliceHash, etag] =
    /It has (\d+) bytes and SHA-256 `([0-9a-f]{64})`; its ETag is `([0-9a-f]{64})`/.exec(text)
  assert.deepEqual([Buffer.byteLength(whole), sha256(whole)], [Number(sliceLength), sliceHash])
  assert.equal(sha256(slice.split('\n')[2]), etag)
  assert.ok(isSigned(slice, payload(statement).slice_keys[0].key))
})

/** Whether the two lines of a statement are signed by a key. */
function isSigned(statement, key) {
  const [first, payload] = statement.split('\n')
  const [kind, , signature] = first.split(' ')
  const x = Buffer.from(key, 'hex').toString('base64url')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verify(null, Buffer.from(`${kind}\n${payload}`), publicKey, Buffer.from(signature, 'hex'))
}

test('all that is claimed was run', () => blocks.done())
