// The code that pages show for Node, run on the built package and HQ as it is.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { Blocks, replaced, root } from './blocks.mjs'
import { NODE, Workshop, answering, asking } from './workshop.mjs'

const blocks = new Blocks('node')
const TENANT = 'om-muscat-sparkle'
const run = promisify(execFile)

let hq, workshop, admin, pg
/** How the login of a tenants' app connects. */
let appUrl
before(async () => {
  workshop = await Workshop.open({ leasehold: NODE }, [NODE])
  ;({ default: pg } = await workshop.run(`import pg from 'pg'`, { gives: ['pg as default'] }))
  hq = await Hq.open()
  await writeFile(workshop.at('trust.json'), hq.desk.trust)
  process.chdir(workshop.folder)
  admin = new pg.Client({ connectionString: hq.desk.environment.DATABASE_URL })
  await admin.connect()
  await admin.query(`
    CREATE TABLE orders (tenant_org_id text COLLATE "C" NOT NULL, id text NOT NULL, stage text NOT NULL);
    GRANT SELECT, UPDATE ON orders TO leasehold_app;
    SELECT leasehold.isolate_tenants('orders');
    INSERT INTO orders VALUES ('${TENANT}', 'ORD-1001', 'intake'), ('om-muscat-crown', 'ORD-1001', 'intake')`)
  const url = hq.desk.environment.DATABASE_URL
  appUrl = `${url}${url.includes('?') ? '&' : '?'}options=-c%20role%3Dleasehold_app`
})
after(async () => {
  process.chdir(root)
  await admin?.end()
  await hq?.close()
  await workshop?.close()
})

test('README.md: follows HQ and asks', async () => {
  const { token, trust } = await hq.options('orders-1')
  const text = replaced(blocks.take('README.md', 6, 'said = true'), { 'https://hq.example': hq.url })
  const { Engine } = await workshop.run(`import { Engine } from 'leasehold'`, { gives: ['Engine'] })
  const { engine, said } = await workshop.run(text, {
    given: { Engine, token, trust, said: false },
    gives: ['engine', 'said'],
  })
  assert.equal(said, engine.isEnabled(TENANT, 'pdf_invoices'))
  assert.equal(said, true)
  await engine.close()
})

test('crates/bindings-node/README.md: two minutes', async () => {
  const { code, told } = asking(blocks.take('crates/bindings-node/README.md', 2))
  const answers = []
  await workshop.run(code, { given: { answers } })
  assert.deepEqual(answers, told)
})

test('crates/bindings-node/README.md: following, and being told', async () => {
  const { token } = await hq.options('orders-1')
  process.env.LEASEHOLD_TOKEN = token
  const shown = blocks.take('crates/bindings-node/README.md', 3, 'told.push(changes)', 'refused.push(fault)')
  const imports = `import { readFile } from 'node:fs/promises'\nimport { Engine } from 'leasehold'\n`
  const [told, refused] = [[], []]
  const text = imports + replaced(shown, { 'https://hq.example': hq.url })
  const { engine } = await workshop.run(text, { given: { told, refused }, gives: ['engine'] })
  const revision = await hq.changePlan('ae-alain-oasis', '2-starter', 'growth')
  await engine.waitFor(revision, 60_000)
  await until('it is told', () => told.length > 0)
  assert.deepEqual(told[0].groups[0].tenants, ['ae-alain-oasis'])
  await engine.close()
})

/** An engine that knows what the example defines, without anybody to follow. */
async function ofExample() {
  const { Engine } = await workshop.run(`import { Engine } from 'leasehold'`, { gives: ['Engine'] })
  return Engine.fromDirectory(hq.desk.at('snapshots'), hq.desk.trust)
}

test('crates/bindings-node/README.md: OpenFeature', async () => {
  await hq.desk.build()
  const engine = await ofExample()
  const text = blocks.take('crates/bindings-node/README.md', 5)
  assert.ok(text.trimEnd().split('\n').at(-1).startsWith('await '), 'its last line asks')
  const given = { engine }
  const { answer, OpenFeature } = await workshop.run(answering(text), { given, gives: ['answer', 'OpenFeature'] })
  assert.equal(answer, engine.isEnabled(TENANT, 'pdf_invoices'))
  assert.equal(answer, true)
  await OpenFeature.clearProviders()
})

test('crates/bindings-node/README.md: Postgres', async () => {
  const pool = new pg.Pool({ connectionString: appUrl })
  const { rows } = await workshop.run(blocks.take('crates/bindings-node/README.md', 6), {
    given: { pool },
    gives: ['rows'],
  })
  await pool.end()
  assert.deepEqual(
    rows.map((row) => row.tenant_org_id),
    [TENANT],
  )
})

test('docs/postgres-node.md: pg', async () => {
  process.env.DATABASE_URL = appUrl
  const gives = ['pool', 'order']
  const { pool, order } = await workshop.run(blocks.take('docs/postgres-node.md', 1), { gives })
  await pool.end()
  assert.deepEqual(order, { tenant_org_id: TENANT, id: 'ORD-1001', stage: 'ready' })
  const { rows } = await admin.query('SELECT stage FROM orders ORDER BY stage')
  assert.deepEqual(
    rows.map(({ stage }) => stage),
    ['intake', 'ready'],
  )
})

/** The models of a client of Prisma's, over pg. `crates/bindings-node/test/prisma` runs Prisma itself. */
const PRISMA = `
  import type { Pool } from 'pg'
  const modelsOf = (query: (text: string, values: readonly unknown[]) => Promise<{ rows: unknown[]; rowCount: number | null }>) => {
    const sql = (parts: TemplateStringsArray) => parts.reduce((before, part, at) => \`\${before}$\${at}\${part}\`)
    return {
      order: {
        async findMany({ where }: { where: { stage: string } }) {
          return (await query('SELECT * FROM orders WHERE stage = $1', [where.stage])).rows as { tenant_org_id: string }[]
        },
      },
      $executeRaw: async (parts: TemplateStringsArray, ...values: unknown[]) => (await query(sql(parts), values)).rowCount ?? 0,
      $queryRaw: async <T,>(parts: TemplateStringsArray, ...values: unknown[]) => (await query(sql(parts), values)).rows as T,
    }
  }
  export const clientOf = (pool: Pool) => ({
    ...modelsOf((text, values) => pool.query(text, [...values])),
    async $connect(): Promise<void> {},
    async $transaction<T>(work: (transaction: ReturnType<typeof modelsOf>) => Promise<T>): Promise<T> {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        const result = await work(modelsOf((text, values) => client.query(text, [...values])))
        await client.query('COMMIT')
        return result
      } finally {
        client.release()
      }
    },
  })
`

test('docs/postgres-node.md: Prisma', async () => {
  const text = `import { clientOf } from './prisma.mjs'
    import pg from 'pg'
    const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] })
    const prisma = clientOf(pool)
    ${blocks.take('docs/postgres-node.md', 2)}
    await pool.end()
    export const tenants: string[] = orders.map((order) => order.tenant_org_id)`
  await writeFile(workshop.at('prisma.mts'), PRISMA)
  await writeFile(workshop.at('shown.mts'), text)
  const options = { target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: true, types: ['node'] }
  const config = { compilerOptions: options, files: ['prisma.mts', 'shown.mts'] }
  await writeFile(workshop.at('tsconfig.json'), JSON.stringify(config))
  await compiled(workshop)
  process.env.DATABASE_URL = appUrl
  const { tenants } = await import(workshop.at('shown.mjs'))
  assert.deepEqual(tenants, [TENANT])
})

/** Compiles what `tsconfig.json` names; what does not compile fails with what the compiler says. */
async function compiled({ folder }) {
  const tsc = join(folder, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [tsc], { cwd: folder }).catch(({ stdout }) => assert.fail(stdout))
}

test('docs/openfeature-node.md: a provider that follows', async () => {
  const { token, trust } = await hq.options('shop-1')
  const text = replaced(blocks.take('docs/openfeature-node.md', 1), { 'https://hq.example': hq.url })
  const gives = ['OpenFeature', 'delivery', 'branches', 'client', 'LeaseholdProvider']
  const shown = await workshop.run(text, { given: { token, trust }, gives })
  assert.equal(shown.delivery, true)
  assert.equal(shown.branches.variant, 'on')
  assert.equal(shown.branches.flagMetadata.kind, 'limit')

  await hq.desk.build()
  const other = { engine: await ofExample(), LeaseholdProvider: shown.LeaseholdProvider }
  const { answer } = await workshop.run(answering(blocks.take('docs/openfeature-node.md', 2)), {
    given: other,
    gives: ['answer'],
  })
  await shown.OpenFeature.setProviderAndWait(answer)
  assert.equal(await shown.client.getBooleanValue('delivery', false, { shop: { tenant: TENANT } }), true)

  const { named } = await workshop.run(`const named = ${blocks.take('docs/openfeature-node.md', 3).trim()}`, {
    given: { ...other, engine: await ofExample() },
    gives: ['named'],
  })
  await shown.OpenFeature.setProviderAndWait(named)
  const context = { targetingKey: TENANT }
  const layout = await shown.client.getObjectDetails('receipt_layout', {}, context)
  assert.equal(layout.flagMetadata.owner, 'billing')
  assert.equal((await shown.client.getStringDetails('late_fee_rate', '', context)).variant, 'usual')
  assert.equal((await shown.client.getNumberDetails('late_fee_rate', 0, context)).variant, 'usual')
  await shown.OpenFeature.close()
})

test('docs/ofrep.md: the clients of OpenFeature', async () => {
  // Where the suite `ofrep` installs them.
  const clients = await Workshop.open({}, [join(root, 'target/ofrep/node')])
  try {
    const { secret } = await hq.asks('POST', '/v1/tokens', { name: 'shop', scopes: ['flags:evaluate'] })
    process.env.LEASEHOLD_TOKEN = secret
    const address = { 'https://hq.example': hq.url }
    const server = replaced(blocks.take('docs/ofrep.md', 3), address) + blocks.take('docs/ofrep.md', 7)
    const gives = ['OpenFeature', 'delivery', 'branches', 'details', 'rate']
    const asked = await clients.run(server, { gives })
    assert.equal(asked.delivery, true)
    assert.equal(asked.branches.variant, 'on')
    assert.equal(asked.rate, asked.details.variant === 'off' ? '0.015' : asked.details.value)
    assert.equal(asked.details.errorCode, undefined)
    await asked.OpenFeature.close()

    const bound = { name: 'page', scopes: ['flags:evaluate'], tenant: TENANT }
    const { secret: token } = await hq.asks('POST', '/v1/tokens', bound)
    const page = replaced(blocks.take('docs/ofrep.md', 4), address)
    const shown = await clients.run(page, { given: { token }, gives: ['OpenFeature', 'delivery'] })
    assert.equal(shown.delivery, true)
    await shown.OpenFeature.close()
  } finally {
    await clients.close()
  }
})

test('crates/bindings-node/README.md: bundlers', async () => {
  const parts = blocks.take('crates/bindings-node/README.md', 8, options(), `entry: './main.js'`).split(/^\/\/ /m)
  const [esbuild, webpack, rollup, next] = ['esbuild', 'webpack', 'rollup, vite', 'next.config.js'].map((name) => {
    const part = parts.find((part) => part.startsWith(`${name}\n`))
    assert.ok(part !== undefined, name)
    return part.slice(name.length)
  })
  await writeFile(
    workshop.at('main.js'),
    `import { Engine } from 'leasehold'\nimport 'leasehold/openfeature'\nconsole.log(typeof Engine)`,
  )
  await workshop.run(`import { build } from 'esbuild'${esbuild}`)
  const bundle = await readFile(workshop.at('bundle.mjs'), 'utf8')
  assert.match(bundle, /from "leasehold\/openfeature"|import "leasehold\/openfeature"/)
  assert.equal((await run(process.execPath, [workshop.at('bundle.mjs')])).stdout, 'function\n')

  const configuration = async (text) => (await workshop.run(text)).default
  const { externals } = await configuration(webpack)
  const { external } = (await configuration(rollup)).build.rollupOptions
  for (const [pattern] of [externals, external]) {
    for (const name of ['leasehold', 'leasehold/nestjs']) {
      assert.match(name, pattern)
    }
    assert.doesNotMatch('leasehold-web', pattern)
  }
  const { name } = JSON.parse(await readFile(join(NODE, 'package.json'), 'utf8'))
  assert.deepEqual((await configuration(next)).serverExternalPackages, [name])
})

function options() {
  return `entryPoints: ['main.js'], bundle: true, format: 'esm', outfile: 'bundle.mjs'`
}

test('all that is claimed was run', () => blocks.done())
