// Transactions of a tenant, against a Postgres in DATABASE_URL that has Leasehold's schema, as a superuser:
//
//     private_cluster --migrate node --test test/postgres.test.mjs

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { ArgumentError, DefinitionsError, Engine } from 'leasehold'
import { TransactionError, prismaWithTenant, withTenant } from 'leasehold/postgres'
import { A, B, dropOrders, makeOrders } from './support/orders.mjs'

const url = process.env.DATABASE_URL
assert.ok(url, 'set DATABASE_URL, or run this by the example `private_cluster` of the crate leasehold-postgres')

const name = `node_${randomBytes(6).toString('hex')}`
const admin = new pg.Client({ connectionString: url })
/** Pools and clients of the tenants' app, which sees what row level security lets it see. */
const made = []
let login

before(async () => {
  await admin.connect()
  login = await makeOrders(
    admin,
    name,
    'CONSTRAINT one_of_each UNIQUE (tenant_org_id, item) DEFERRABLE INITIALLY DEFERRED',
  )
})

after(async () => {
  await Promise.all(made.map((one) => (one.ended || one._ended ? undefined : one.end())))
  await admin.query(`DELETE FROM leasehold.org_usage_counters WHERE feature_key = '${name}'`)
  await dropOrders(admin, name)
  await admin.end()
})

function pool(options = {}) {
  const pool = new pg.Pool({ ...login, max: 1, ...options })
  // Pools tell of idle clients that are lost, and end the process where nobody listens.
  pool.on('error', () => {})
  made.push(pool)
  return pool
}

async function client() {
  const client = new pg.Client(login)
  made.push(client)
  await client.connect()
  return client
}

const ids = async (client) => {
  const { rows } = await client.query(`SELECT tenant_org_id || ' ' || id AS id FROM ${name}.orders ORDER BY 1`)
  return rows.map(({ id }) => id)
}
const context = async (client) => {
  const { rows } = await client.query(`SELECT current_setting('app.current_tenant_id', true) AS id`)
  return rows[0].id ?? ''
}
const backend = async (client) => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
const insert = (client, tenant, id, item) =>
  client.query(`INSERT INTO ${name}.orders VALUES ($1, $2, $3)`, [tenant, id, item])

/** What a pool's next client is like: without a context, without rows, and not in a transaction. */
async function clean(from) {
  const client = await from.connect()
  try {
    assert.deepEqual([await context(client), await ids(client)], ['', []])
    const { rows } = await client.query('SELECT now() = statement_timestamp() AS outside')
    assert.ok(rows[0].outside)
    return await backend(client)
  } finally {
    client.release()
  }
}

describe('rows', () => {
  test('are those of the tenant, and of nobody without one', async () => {
    const from = pool()
    assert.deepEqual(await ids(from), [])
    assert.deepEqual(await withTenant(from, A, ids), [`${A} 1`, `${A} 2`])
    assert.deepEqual(await withTenant(from, B, ids), [`${B} 1`])
    assert.deepEqual(await withTenant(from, 'nobody', ids), [])
    // Byte for byte: another case is another tenant.
    assert.deepEqual(await withTenant(from, A.toUpperCase(), ids), [])
    assert.equal(await withTenant(from, A, context), A)
    await clean(from)
  })

  test('of others are out of reach, to read and to write', async () => {
    const from = pool()
    const refused = { code: '42501' }
    await assert.rejects(
      withTenant(from, A, (client) => insert(client, B, 9, 'tie')),
      refused,
    )
    const move = `UPDATE ${name}.orders SET tenant_org_id = '${B}'`
    await assert.rejects(
      withTenant(from, A, (client) => client.query(move)),
      refused,
    )
    const sql = `UPDATE ${name}.orders SET item = 'mine' WHERE tenant_org_id = '${B}'`
    assert.equal((await withTenant(from, A, (client) => client.query(sql))).rowCount, 0)
    const gone = `DELETE FROM ${name}.orders WHERE tenant_org_id = '${B}' OR true RETURNING tenant_org_id`
    const rolledBack = withTenant(from, A, async (client) => {
      const { rows } = await client.query(gone)
      assert.deepEqual(
        rows.map((row) => row.tenant_org_id),
        [A, A],
      )
      throw new Error('as it was')
    })
    await assert.rejects(rolledBack, /as it was/)
    assert.deepEqual(await withTenant(from, B, ids), [`${B} 1`])
    await clean(from)
  })

  test('of tables of Leasehold are no others', async () => {
    const from = pool()
    const count = (client, tenant) =>
      client.query(
        `INSERT INTO leasehold.org_usage_counters (tenant_org_id, feature_key, window_start_ms, used, reserved)
         VALUES ($1, $2, 0, 1, 0)`,
        [tenant, name],
      )
    const counted = async (client) => {
      const sql = 'SELECT tenant_org_id FROM leasehold.org_usage_counters WHERE feature_key = $1'
      const { rows } = await client.query(sql, [name])
      return rows.map((row) => row.tenant_org_id)
    }
    await withTenant(from, A, (client) => count(client, A))
    await withTenant(from, B, (client) => count(client, B))
    await assert.rejects(
      withTenant(from, A, (client) => count(client, 'third')),
      { code: '42501' },
    )
    assert.deepEqual(await withTenant(from, A, counted), [A])
    assert.deepEqual(await counted(from), [])
    assert.equal((await counted(admin)).length, 2)
  })

  test('never cross between transactions of one pool at the same time', async () => {
    const from = pool({ max: 4 })
    const tenants = [A, B, 'nobody']
    const expected = { [A]: [`${A} 1`, `${A} 2`], [B]: [`${B} 1`], nobody: [] }
    const asked = Array.from({ length: 60 }, async (_, index) => {
      const tenant = tenants[index % 3]
      const work = async (client) => {
        for (let time = 0; time < 3; time += 1) {
          assert.deepEqual([await context(client), await ids(client)], [tenant, expected[tenant]])
        }
        if (index % 5 === 0) {
          throw new Error('by the way')
        }
        return tenant
      }
      return withTenant(from, tenant, work).catch((error) => {
        assert.equal(error.message, 'by the way')
        return tenant
      })
    })
    assert.deepEqual(
      await Promise.all(asked),
      Array.from(asked, (_, index) => tenants[index % 3]),
    )
    assert.deepEqual([from.totalCount, from.idleCount, from.waitingCount], [4, 4, 0])
    await Promise.all(Array.from({ length: 4 }, () => clean(from)))
  })
})

describe('what is left behind', () => {
  test('after a commit: what was done, and no context on the same connection', async () => {
    const from = pool()
    const pid = await withTenant(from, A, async (client) => {
      await insert(client, A, 3, 'tie')
      return backend(client)
    })
    assert.equal(await clean(from), pid)
    assert.equal((await withTenant(from, A, ids)).length, 3)
    await withTenant(from, A, (client) => client.query(`DELETE FROM ${name}.orders WHERE id = 3`))
  })

  test('after an error: nothing, and the error as it was thrown', async () => {
    const from = pool()
    for (const thrown of [new Error('mine'), 'a text', undefined, null]) {
      let pid
      const failed = withTenant(from, A, async (client) => {
        pid = await backend(client)
        await insert(client, A, 4, 'tie')
        throw thrown
      })
      assert.equal(await failed.then(assert.fail, (error) => error), thrown)
      assert.equal(await clean(from), pid)
    }
    const thrower = () => {
      throw new RangeError('at once')
    }
    await assert.rejects(withTenant(from, A, thrower), RangeError)
    await assert.rejects(
      withTenant(from, A, (client) => client.query('SELEKT')),
      { code: '42601' },
    )
    await clean(from)
    assert.equal((await withTenant(from, A, ids)).length, 2)
  })

  test('where a statement has failed and its error was kept: nothing, and it is told', async () => {
    const from = pool()
    const kept = withTenant(from, A, async (client) => {
      await insert(client, A, 4, 'tie')
      await client.query('SELECT 1 / 0').catch(() => {})
      return 'as if'
    })
    await assert.rejects(kept, (error) => error instanceof TransactionError && error.code === 'rolled_back')
    await clean(from)
    assert.equal((await withTenant(from, A, ids)).length, 2)
  })

  test('where the commit fails: nothing', async () => {
    const from = pool()
    await assert.rejects(
      withTenant(from, A, (client) => insert(client, A, 4, 'shirt')),
      {
        code: '23505',
        constraint: 'one_of_each',
      },
    )
    await clean(from)
  })

  test('what a plain SET has left on a connection goes as well', async () => {
    const set = [`SET app.current_tenant_id = '${B}'`, `SELECT set_config('app.current_tenant_id', '${B}', false)`]
    for (const how of set) {
      for (const ends of ['commits', 'rolls back']) {
        const from = pool()
        // From before, which would let the next one see rows of a tenant.
        await from.query(how)
        assert.equal((await ids(from)).length, 1)
        const asked = withTenant(from, A, async (client) => {
          assert.equal((await ids(client)).length, 2)
          await client.query(how)
          if (ends === 'rolls back') {
            throw new Error(ends)
          }
        })
        await asked.catch((error) => assert.equal(error.message, 'rolls back'))
        await clean(from)
      }
    }
  })

  test('a transaction that the function ends itself: no context any more, and an error', async () => {
    const from = pool()
    for (const end of ['COMMIT', 'ROLLBACK']) {
      let seen
      const ended = withTenant(from, A, async (client) => {
        await client.query(end)
        seen = await ids(client)
      })
      await assert.rejects(ended, (error) => error instanceof TransactionError && error.code === 'context_lost')
      assert.deepEqual(seen, [])
      await clean(from)
    }
  })

  test('a query that nobody waited for still belongs to the tenant', async () => {
    const from = pool()
    let late
    await withTenant(from, A, (client) => void (late = ids(client)))
    assert.equal((await late).length, 2)
    await clean(from)
  })
})

describe('connections', () => {
  test('that are lost: an error, no uncaught one, and another connection', async () => {
    const from = pool()
    let pid
    const lost = withTenant(from, A, async (client) => {
      pid = await backend(client)
      const ended = new Promise((resolve) => client.once('end', resolve))
      await admin.query('SELECT pg_terminate_backend($1)', [pid])
      // Nothing is under way when it happens.
      await ended
      return ids(client)
    })
    await assert.rejects(lost, /not queryable|terminat/)
    assert.equal(from.totalCount, 0)
    assert.notEqual(await clean(from), pid)
  })

  test('whose rollback fails are not used again', async () => {
    const from = pool()
    let pid
    const failed = withTenant(from, A, async (client) => {
      pid = await backend(client)
      const { query } = client
      client.query = (text, ...more) =>
        String(text).startsWith('ROLLBACK') ? Promise.reject(new Error('no')) : query.call(client, text, ...more)
      throw new Error('first')
    })
    await assert.rejects(failed, /first/)
    assert.notEqual(await clean(from), pid)
  })

  test('of a pool that are in a transaction are refused, and not used again', async () => {
    for (const leave of ['BEGIN', 'BEGIN; SELECT 1', 'broken']) {
      const from = pool()
      const careless = await from.connect()
      const pid = await backend(careless)
      await careless.query(leave === 'broken' ? 'BEGIN' : leave)
      if (leave === 'broken') {
        await careless.query('SELECT 1 / 0').catch(() => {})
      }
      careless.release()
      let called = false
      const refused = withTenant(from, A, () => void (called = true))
      await assert.rejects(refused, (error) => error.code === 'already_in_transaction')
      assert.equal(called, false)
      assert.notEqual(await clean(from), pid)
    }
  })

  test('are released, whatever happens, and by nobody else', async () => {
    const from = pool()
    await assert.rejects(
      withTenant(from, A, (client) => client.release()),
      ArgumentError,
    )
    await clean(from)
    const held = await withTenant(from, A, (client) => client)
    assert.throws(() => held.release(), /already been released/)
    await assert.rejects(withTenant(pool({ port: 1, host: '127.0.0.1' }), A, ids), { code: 'ECONNREFUSED' })
  })

  test('of one client: given back as they were, and ended where they cannot be', async () => {
    const own = await client()
    assert.deepEqual(await withTenant(own, A, ids), [`${A} 1`, `${A} 2`])
    assert.deepEqual([await context(own), await ids(own), own.listenerCount('error')], ['', [], 0])
    await assert.rejects(
      withTenant(own, A, () => Promise.reject(new Error('mine'))),
      /mine/,
    )
    assert.equal(await context(own), '')

    const from = pool()
    const pooled = await from.connect()
    assert.equal((await withTenant(pooled, B, ids)).length, 1)
    assert.equal(await context(pooled), '')
    pooled.release()
    await clean(from)

    const ended = new Promise((resolve) => own.once('end', resolve))
    const { query } = own
    const failed = withTenant(own, A, (client) => {
      client.query = (text, ...more) =>
        String(text).startsWith('ROLLBACK') ? Promise.reject(new Error('no')) : query.call(client, text, ...more)
      throw new Error('first')
    })
    await assert.rejects(failed, /first/)
    await ended
  })

  test('on which two begin at once: one has it, and the other is refused', async () => {
    const one = await client()
    const seen = async (tenant) =>
      withTenant(one, tenant, async (given) => {
        const found = await context(given)
        await given.query('SELECT pg_sleep(0.01)')
        return [found, await context(given)]
      })
    const [first, second] = await Promise.allSettled([seen(A), seen(B)])
    assert.deepEqual(first.value, [A, A])
    assert.deepEqual([second.status, second.reason?.code], ['rejected', 'already_in_transaction'])
    // Afterwards it is there for the other one.
    assert.deepEqual(await seen(B), [B, B])
  })

  test('that are in a transaction are left as they are', async () => {
    for (const says of [true, false]) {
      const own = await client()
      if (!says) {
        // As before pg 8.21, which did not say.
        own.getTransactionStatus = undefined
      }
      const refused = (error) => error instanceof TransactionError && error.code === 'already_in_transaction'
      await own.query('BEGIN')
      await own.query(`SELECT set_config('app.current_tenant_id', '${B}', true)`)
      await assert.rejects(withTenant(own, A, ids), refused)
      assert.deepEqual([await context(own), await ids(own)], [B, [`${B} 1`]])
      await own.query('SELECT 1 / 0').catch(() => {})
      await assert.rejects(withTenant(own, A, ids), refused)
      await own.query('ROLLBACK')
      // One within another on the same client is one of these.
      let inner
      const outer = await withTenant(own, A, async (client) => {
        inner = await withTenant(client, B, ids).catch((error) => error)
        return ids(client)
      })
      assert.ok(refused(inner))
      assert.equal(outer.length, 2)
      const ended = withTenant(own, A, (client) => client.query('COMMIT'))
      await assert.rejects(ended, (error) => error.code === 'context_lost')
      assert.equal(await context(own), '')
      await own.end()
    }
    await assert.rejects(withTenant(new pg.Client(login), A, ids), /not connected/)
  })
})

describe('options', () => {
  const shown = async (client) => {
    const { rows } = await client.query(
      `SELECT current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS only`,
    )
    return [rows[0].isolation, rows[0].only]
  }

  test('isolation and read only hold for the transaction alone, whatever the login has', async () => {
    const from = pool({ options: '-c default_transaction_isolation=serializable' })
    for (const [options, expected] of [
      [undefined, ['read committed', 'off']],
      [{}, ['read committed', 'off']],
      [{ isolation: 'repeatable read', readOnly: false }, ['repeatable read', 'off']],
      [{ isolation: 'serializable', readOnly: true }, ['serializable', 'on']],
      [{ readOnly: true }, ['read committed', 'on']],
    ]) {
      assert.deepEqual(await withTenant(from, A, shown, options), expected)
      assert.deepEqual(await shown(from), ['serializable', 'off'])
    }
    const written = withTenant(from, A, (client) => insert(client, A, 5, 'tie'), { readOnly: true })
    await assert.rejects(written, { code: '25006' })
  })

  test('arguments that cannot be meant are refused before anything is asked', async () => {
    const from = pool()
    for (const isolation of ['read uncommitted', 'SERIALIZABLE', '', 'x; DROP TABLE orders', '__proto__', null, 7]) {
      await assert.rejects(withTenant(from, A, ids, { isolation }), ArgumentError)
    }
    for (const options of [
      null,
      'serializable',
      { readonly: true },
      { readOnly: 1 },
      { readOnly: 'true' },
      { isolation: 'serializable', timeoutMs: 5 },
    ]) {
      await assert.rejects(withTenant(from, A, ids, options), ArgumentError)
    }
    for (const other of [undefined, null, {}, 'pool', { query: 1 }]) {
      await assert.rejects(withTenant(other, A, ids), ArgumentError)
    }
    for (const work of [undefined, null, 'SELECT 1', {}]) {
      await assert.rejects(withTenant(from, A, work), ArgumentError)
    }
    assert.equal(from.totalCount, 0)
  })
})

describe('ids of tenants', () => {
  const hostile = [
    ...['', ' ', ` ${A}`, `${A} `, `${A}\n`, `\n${A}`, `${A}\0`, `${A}\0${B}`, `${A}' OR '1'='1`],
    ...[`${A}'; DROP TABLE x; --`, `${A}', false); --`, '%', '_', '*', '.a', ':a', '-a', 'a/b', 'a\\b'],
    ...['a"b', 'a$b', '$1', 'ａ', 'é', 'e\u0301', '١'],
    ...['а', 'a\u200b', 'a\ud800', '\ud800', 'x'.repeat(129), 'x'.repeat(1_000_000), 'a\tb', 'a,b', '{a}', "E'a'"],
  ]
  const uuid = '00000000-0000-0000-0000-000000000000'
  const good = ['a', 'A', '0', 'x'.repeat(128), 'a.b:c-d_e', '0:0', A, 'undefined', 'null', 'default', uuid]

  test('that are none are refused before anything is asked', async () => {
    const from = pool()
    for (const id of [
      ...hostile,
      undefined,
      null,
      7,
      7n,
      true,
      [A],
      { toString: () => A },
      Symbol('a'),
      new String(A),
    ]) {
      const refused = (error) => error instanceof ArgumentError && error.message.length < 400
      await assert.rejects(withTenant(from, id, ids), refused)
      await assert.rejects(prismaWithTenant({}, id, ids), refused)
    }
    assert.equal(from.totalCount, 0)
  })

  test('are those of the engine', async () => {
    const from = pool()
    const tenant = { name: 'T', name2: 'T', region: 'R', anchor: '2026-01-01T00:00:00Z' }
    const engine = (id) => Engine.fromDefinitions({ features: {}, tenants: { [id]: tenant } })
    for (const id of good) {
      assert.equal(engine(id).tenant(id).id, id)
      assert.equal(await withTenant(from, id, context), id)
    }
    for (const id of hostile) {
      assert.throws(() => engine(id), DefinitionsError, JSON.stringify(id))
    }
  })
})

describe('Prisma, with pg behind its interface', () => {
  /** What Prisma does with pg, of what is asked of it. `test/prisma` has the real one. */
  class Client {
    constructor(from) {
      this.from = from
    }
    async $connect() {}
    async $transaction(work, { isolationLevel }) {
      const client = await this.from.connect()
      const sql = (parts) => parts.reduce((before, part, at) => `${before}$${at}${part}`)
      const run = async (parts, ...values) => client.query(sql(parts), values)
      try {
        await client.query('BEGIN')
        await client.query(`SET TRANSACTION ISOLATION LEVEL ${isolationLevel.replace(/(?<=[a-z])(?=[A-Z])/, ' ')}`)
        const result = await work({
          $executeRaw: async (...query) => (await run(...query)).rowCount,
          $queryRaw: async (...query) => (await run(...query)).rows,
        })
        await client.query('COMMIT')
        return result
      } catch (error) {
        await client.query('ROLLBACK')
        throw error
      } finally {
        client.release()
      }
    }
  }
  const shown = (transaction) => transaction.$queryRaw`
    SELECT current_setting('app.current_tenant_id') AS id, current_setting('transaction_isolation') AS isolation,
           current_setting('transaction_read_only') AS only`

  test('the context holds for the transaction alone', async () => {
    const from = pool()
    const prisma = new Client(from)
    const usual = { id: A, isolation: 'read committed', only: 'off' }
    assert.deepEqual(await prismaWithTenant(prisma, A, shown), [usual])
    const options = { isolation: 'repeatable read', readOnly: true }
    const chosen = { id: B, isolation: 'repeatable read', only: 'on' }
    assert.deepEqual(await prismaWithTenant(prisma, B, shown, options), [chosen])
    await clean(from)
    await assert.rejects(
      prismaWithTenant(prisma, A, () => Promise.reject(new Error('mine'))),
      /mine/,
    )
    await clean(from)
    const ended = prismaWithTenant(prisma, A, (transaction) => transaction.$executeRaw`COMMIT`)
    await assert.rejects(ended, (error) => error instanceof TransactionError && error.code === 'context_lost')
    const set = (transaction) => transaction.$executeRaw`SET app.current_tenant_id = 'other'`
    const other = prismaWithTenant(prisma, A, set)
    await assert.rejects(other, (error) => error.code === 'context_lost')
    await clean(from)
  })

  test('what is no client is refused', async () => {
    for (const prisma of [undefined, null, {}, pool(), { $transaction: () => {} }]) {
      await assert.rejects(prismaWithTenant(prisma, A, ids), ArgumentError)
    }
    const within = { $executeRaw: async () => 0, $transaction: async () => {} }
    await assert.rejects(prismaWithTenant(within, A, ids), (error) => error.code === 'already_in_transaction')
  })
})
