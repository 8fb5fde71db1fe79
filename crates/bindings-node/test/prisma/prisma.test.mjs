// Transactions of a tenant by the real Prisma, from npm alone: its client has no engine of its own and speaks through pg.
//
//     npm ci && private_cluster --migrate npm test

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { TransactionError, prismaWithTenant } from '../../dist/postgres.mjs'
import { A, B, dropOrders, makeOrders } from '../support/orders.mjs'

const url = process.env.DATABASE_URL
assert.ok(url, 'set DATABASE_URL, or run this by the example `private_cluster` of the crate leasehold-postgres')

const name = `prisma_${randomBytes(6).toString('hex')}`
const admin = new pg.Client({ connectionString: url })
const made = []
let login
let PrismaClient

/** Makes Prisma's client out of its schema, and compiles it with what a user writes. */
async function generate() {
  const require = createRequire(import.meta.url)
  const run = async (script, ...args) => {
    // Without one that it is told of, Prisma fetches an engine for migrations, which nothing here uses.
    const env = { ...process.env, CHECKPOINT_DISABLE: '1', PRISMA_SCHEMA_ENGINE_BINARY: process.execPath }
    const options = { cwd: import.meta.dirname, env }
    const ran = promisify(execFile)(process.execPath, [require.resolve(script), ...args], options)
    await ran.catch(({ stdout, stderr }) => assert.fail(`${script}: ${stdout}${stderr}`))
  }
  await run('prisma/build/index.js', 'generate', '--schema', 'schema.prisma')
  const target = ['--target', 'es2022', '--module', 'nodenext', '--strict', '--skipLibCheck', '--types', 'node']
  await run('typescript/bin/tsc', ...target, '--rootDir', '.', '--outDir', 'generated/compiled', 'typed.ts')
  return import('./generated/compiled/generated/client.js')
}

before(async () => {
  ;({ PrismaClient } = await generate())
  await admin.connect()
  login = await makeOrders(admin, name)
})

after(async () => {
  for (const { prisma, pool } of made) {
    await prisma.$disconnect()
    await pool.end()
  }
  await dropOrders(admin, name)
  await admin.end()
})

/** A client of Prisma's with so many connections. */
function client(max = 1) {
  const pool = new pg.Pool({ ...login, max, options: '-c default_transaction_isolation=serializable' })
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { schema: name, disposeExternalPool: false }) })
  made.push({ prisma, pool })
  return prisma
}

const ids = async (prisma) => {
  const orders = await prisma.order.findMany({ orderBy: [{ tenantOrgId: 'asc' }, { id: 'asc' }] })
  return orders.map(({ tenantOrgId, id }) => `${tenantOrgId} ${id}`)
}
const context = async (prisma) => {
  const [{ id }] = await prisma.$queryRaw`SELECT current_setting('app.current_tenant_id', true) AS id`
  return id ?? ''
}
/** Nothing is seen where nobody is the tenant. */
const clean = async (prisma) => assert.deepEqual([await context(prisma), await ids(prisma)], ['', []])
const is = (code) => (error) => error instanceof TransactionError && error.code === code

describe('transactions of Prisma', () => {
  test('see the rows of their tenant, and leave no context behind', async () => {
    const prisma = client()
    await clean(prisma)
    assert.deepEqual(await prismaWithTenant(prisma, A, ids), [`${A} 1`, `${A} 2`])
    await clean(prisma)
    assert.deepEqual(await prismaWithTenant(prisma, B, ids), [`${B} 1`])
    assert.deepEqual(await prismaWithTenant(prisma, 'nobody', ids), [])
    assert.equal(await prismaWithTenant(prisma, A, context), A)
    assert.equal(await prismaWithTenant(prisma, A, () => 7), 7)
    await clean(prisma)
  })

  test('change the rows of their tenant alone', async () => {
    const prisma = client()
    const order = { data: { tenantOrgId: B, id: 9, item: 'tie' } }
    await assert.rejects(
      prismaWithTenant(prisma, A, (transaction) => transaction.order.create(order)),
      /42501|security/,
    )
    const mine = (transaction) => transaction.order.updateMany({ where: { tenantOrgId: B }, data: { item: 'mine' } })
    assert.equal((await prismaWithTenant(prisma, A, mine)).count, 0)
    const ours = { data: { tenantOrgId: A, id: 3, item: 'tie' } }
    await prismaWithTenant(prisma, A, (transaction) => transaction.order.create(ours))
    assert.equal((await prismaWithTenant(prisma, A, ids)).length, 3)
    await prismaWithTenant(prisma, A, (transaction) => transaction.order.deleteMany({ where: { id: 3 } }))
    await clean(prisma)
  })

  test('that fail are undone, and throw what was thrown', async () => {
    const prisma = client()
    const thrown = new RangeError('mine')
    const failed = prismaWithTenant(prisma, A, async (transaction) => {
      await transaction.order.deleteMany()
      throw thrown
    })
    assert.equal(await failed.then(assert.fail, (error) => error), thrown)
    await clean(prisma)
    // Prisma by itself would say that all went well.
    const kept = prismaWithTenant(prisma, A, async (transaction) => {
      await transaction.order.deleteMany()
      await transaction.$executeRaw`SELECT 1 / 0`.catch(() => {})
    })
    await assert.rejects(kept, is('rolled_back'))
    await clean(prisma)
    assert.equal((await prismaWithTenant(prisma, A, ids)).length, 2)
  })

  test('at the same time keep apart', async () => {
    const prisma = client(3)
    const expected = { [A]: [`${A} 1`, `${A} 2`], [B]: [`${B} 1`], nobody: [] }
    const asked = Array.from({ length: 30 }, async (_, index) => {
      const tenant = [A, B, 'nobody'][index % 3]
      const seen = await prismaWithTenant(prisma, tenant, ids, { maxWaitMs: 60_000, timeoutMs: 60_000 })
      assert.deepEqual(seen, expected[tenant])
    })
    await Promise.all(asked)
    await Promise.all([clean(prisma), clean(prisma), clean(prisma)])
  })

  test('that end themselves or take another context are told, and nothing more is seen', async () => {
    const prisma = client()
    let seen
    const ended = prismaWithTenant(prisma, A, async (transaction) => {
      await transaction.$executeRaw`COMMIT`
      seen = await ids(transaction)
    })
    await assert.rejects(ended, is('context_lost'))
    assert.deepEqual(seen, [])
    await clean(prisma)
    const set = (transaction) => transaction.$executeRaw`SET app.current_tenant_id = 'other'`
    await assert.rejects(prismaWithTenant(prisma, A, set), is('context_lost'))
    await clean(prisma)
  })

  test('within another one are refused: a savepoint would hand its context on', async () => {
    const prisma = client()
    const outer = await prismaWithTenant(prisma, A, async (transaction) => {
      await assert.rejects(prismaWithTenant(transaction, B, ids), is('already_in_transaction'))
      return ids(transaction)
    })
    assert.equal(outer.length, 2)
    await prisma.$transaction(async (transaction) => {
      await assert.rejects(prismaWithTenant(transaction, B, ids), is('already_in_transaction'))
      await clean(transaction)
    })
  })

  test('begin as they are told to', async () => {
    const prisma = client()
    const shown = async (transaction) => {
      const [row] = await transaction.$queryRaw`SELECT current_setting('transaction_isolation') AS isolation,
        current_setting('transaction_read_only') AS only`
      return [row.isolation, row.only]
    }
    for (const [options, expected] of [
      [undefined, ['read committed', 'off']],
      [{ isolation: 'repeatable read' }, ['repeatable read', 'off']],
      [{ isolation: 'serializable', readOnly: true }, ['serializable', 'on']],
    ]) {
      assert.deepEqual(await prismaWithTenant(prisma, A, shown, options), expected)
    }
    const endless = async (transaction) => {
      for (;;) {
        await ids(transaction)
      }
    }
    await assert.rejects(prismaWithTenant(prisma, A, endless, { timeoutMs: 50 }), { code: 'P2028' })
    await clean(prisma)
  })

  test('are those of a client with extensions as well', async () => {
    const prisma = client().$extends({ result: { order: { label: { compute: ({ item }) => `a ${item}` } } } })
    const labels = async (transaction) => (await transaction.order.findMany()).map(({ label }) => label).sort()
    assert.deepEqual(await prismaWithTenant(prisma, A, labels), ['a coat', 'a shirt'])
    await clean(prisma)
  })
})
