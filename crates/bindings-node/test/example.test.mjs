// The example's app over HTTP, with the engine that follows HQ as it is.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Hq } from './support/hq.mjs'
import { until } from './support/wait.mjs'

const TENANT = 'ae-alain-oasis'
const PHASE = '2-starter'
const require = createRequire(import.meta.url)

let hq
let app
let folder
let url

/** Builds the example beside the packages that are here, as npm would install them. */
async function build() {
  const example = resolve(import.meta.dirname, '../../../examples/nestjs')
  folder = await mkdtemp(join(tmpdir(), 'leasehold-example-'))
  for (const name of ['package.json', 'tsconfig.json', 'src']) {
    await cp(join(example, name), join(folder, name), { recursive: true })
  }
  const installed = resolve(import.meta.dirname, '../node_modules')
  await mkdir(join(folder, 'node_modules'))
  for (const name of await readdir(installed)) {
    await symlink(join(installed, name), join(folder, 'node_modules', name))
  }
  await symlink(dirname(installed), join(folder, 'node_modules/leasehold'))
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
  execFileSync(process.execPath, [tsc], { cwd: folder, stdio: 'inherit' })
  return import(pathToFileURL(join(folder, 'dist/app.js')))
}

before(async () => {
  const { createApp } = await build()
  hq = await Hq.open()
  const follow = await hq.options('laundry-1')
  app = await createApp({ leasehold: () => ({ follow }), logger: false })
  await app.listen(0, '127.0.0.1')
  url = await app.getUrl()
})
after(async () => {
  await app?.close()
  await hq?.close()
  await rm(folder, { recursive: true, force: true })
})

async function asks(method, path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(url + path, {
    method,
    headers: { 'x-tenant-id': TENANT, 'content-type': 'application/json', ...headers },
    ...sent,
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, type: response.headers.get('content-type'), body: isJson ? JSON.parse(text) : text }
}

test('users are let in while there is room', async () => {
  const { max_users: room } = (await asks('GET', '/entitlements')).body
  assert.equal(Number.isInteger(room) && room > 0, true)
  for (let user = 0; user < room; user += 1) {
    assert.equal((await asks('POST', '/users', { name: `user ${user}` })).status, 201)
  }
  const refused = await asks('POST', '/users', { name: 'one more' })
  assert.deepEqual([refused.status, refused.body.code], [403, 'limit_reached'])
  assert.equal((await asks('DELETE', '/users/user%200')).status, 204)
  assert.equal((await asks('POST', '/users', { name: 'one more' })).status, 201)
})

test('a plan that changes at HQ opens an endpoint, without a restart', async () => {
  const { body: order } = await asks('POST', '/orders', { balance_due_minor: 1250 })
  const issued = await asks('POST', `/orders/${order.id}/invoice`)
  assert.equal(issued.status, 201, JSON.stringify(issued.body))
  const closed = await asks('GET', `/orders/${order.id}/invoice.pdf`)
  assert.equal(closed.status, 403)
  assert.match(closed.type, /^application\/problem\+json/)
  assert.deepEqual([closed.body.code, closed.body.feature], ['feature_off', 'pdf_invoices'])

  await hq.changePlan(TENANT, PHASE, 'growth')
  const opened = await until('it is open', async () => {
    const answer = await asks('GET', `/orders/${order.id}/invoice.pdf`)
    return answer.status === 200 && answer
  })
  assert.match(opened.type, /^application\/pdf/)
  assert.match(opened.body, /^%PDF/)
})

test('an order moves through its workflow, and is told what stands against it', async () => {
  const { body: order } = await asks('POST', '/orders', { discount_percent: 0, approved_by_manager: false })
  const move = { from: order.stage, to: 'preparation' }
  const refused = await asks('POST', `/orders/${order.id}/moves`, move)
  assert.deepEqual([refused.status, refused.body.code], [403, 'guard_failed'])
  assert.deepEqual([...new Set(refused.body.blockers.map(({ code }) => code))], ['role_required'])
  const moved = await asks('POST', `/orders/${order.id}/moves`, move, { 'x-roles': 'counter' })
  assert.deepEqual([moved.status, moved.body.stage], [201, 'preparation'])
  const nowhere = await asks('POST', `/orders/${order.id}/moves`, { from: 'preparation', to: 'intake' })
  assert.notEqual(nowhere.status, 201)
})

test('whoever names no laundry, or one that is not there, is refused; health needs none', async () => {
  assert.equal((await asks('GET', '/orders', undefined, { 'x-tenant-id': '' })).body.code, 'tenant_required')
  assert.equal((await asks('GET', '/orders', undefined, { 'x-tenant-id': 'nobody' })).body.code, 'unknown_tenant')
  const health = await fetch(`${url}/health`)
  assert.equal(health.status, 200)
  const { info } = await health.json()
  assert.equal(info.leasehold.status, 'up')
})

test('it answers while HQ is down', async () => {
  hq.process.kill('SIGKILL')
  await hq.ended
  assert.equal((await asks('GET', '/entitlements')).body.plan, 'growth')
})
