// The code that pages show for Rust, where it is no doctest that runs: it needs files, a bucket, HQ or its database, or is a
// function that somebody calls. All of it is one program, which runs the block that its argument names.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { Blocks, read, replaced, root } from './blocks.mjs'
import { Terminal } from './terminal.mjs'

const blocks = new Blocks('rust')
const TENANT = 'om-muscat-sparkle'
const run = promisify(execFile)

/** What calls a function that a page shows, and has the arguments that the page takes for granted. */
const CALLS = {
  'docs/postgres.md': {
    2: 'in_runtime(async { Ok(println!("{} phases", phases(&crate::pool("leasehold_app").await?).await?)) })',
    5: 'follow(crate::trust()?).map(|following| println!("{:?}", following.following().health().revision))',
    8: `in_runtime(async {
          use leasehold::workflow::Input::{Bool, Integer, String};
          let order = [("balance_due_minor", Integer(0)), ("customer_type", String("individual"))];
          let inputs = [&order[..], &[("invoice_issued", Bool(true))]].concat();
          let context = Context { inputs: &inputs, roles: &["counter"] };
          let moved = close(&crate::pool("leasehold_hq").await?, &"${TENANT}".parse()?, &crate::engine()?, &context).await?;
          Ok(println!("{} to {}", moved.item, moved.to))
        })`,
    9: `in_runtime(async {
          let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&crate::url("EMPTY")).await?;
          Ok(install(&mut connection).await?)
        })`,
    11: `in_runtime(async {
          let (tenant, feature, now) = ("${TENANT}".parse()?, "exports_per_day".parse()?, std::time::SystemTime::now());
          let booked = book(crate::pool("leasehold_app").await?, crate::engine()?, &tenant, &feature, now.into()).await?;
          Ok(println!("{booked}"))
        })`,
  },
  'docs/workflows.md': {
    7: 'Ok(hand_over(&crate::engine()?)?)',
    13: `Ok(draw(&crate::engine()?.machine("${TENANT}", "order", None)?)?)`,
  },
  'crates/store-postgres/README.md': {
    1: 'in_runtime(async { example(crate::signer()?, crate::trust()?).await })',
  },
}

/** What stands around the blocks. */
const FRAME = `#![allow(dead_code, unused_imports)]

use leasehold::{Engine, Snapshot, build::Signer, wire::{Pack, SecretKey, Trust}};
use std::{error::Error, fs, future::Future};

pub type Ran = Result<(), Box<dyn Error>>;

pub fn in_runtime(does: impl Future<Output = Ran>) -> Ran {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(does)
}

pub fn url(name: &str) -> String {
    std::env::var(name).expect("the test names its databases")
}

pub async fn pool(role: &str) -> Result<sqlx::PgPool, sqlx::Error> {
    let options: sqlx::postgres::PgConnectOptions = url("DATABASE_URL").parse()?;
    sqlx::PgPool::connect_with(options.options([("role", role)])).await
}

pub fn trust() -> Result<Trust, Box<dyn Error>> {
    Ok(Trust::from_json(&fs::read("trust.json")?)?)
}

pub fn signer() -> Result<Signer, Box<dyn Error>> {
    let key: serde_json::Value = serde_json::from_slice(&fs::read("fleet.key")?)?;
    let secret = SecretKey::from_hex(key["secret"].as_str().ok_or("no secret")?)?;
    Ok(Signer::new(secret, fs::read("fleet.cert")?, trust()?.roots)?)
}

pub fn engine() -> Result<Engine, Box<dyn Error>> {
    Ok(Engine::new(Snapshot::from_pack(Pack::read(&fs::read("oman.pack")?)?, &trust()?)?))
}
`

const nameOf = (page, number) => `${page.replace(/^.*?([\w-]+)(\/README)?\.md$/, '$1').replaceAll('-', '_')}_${number}`

let hq, folder, program, bucket, terminal, empty
before(async () => {
  hq = await Hq.open()
  await hq.desk.build(' --pack oman.pack --stream GCC-OM')
  bucket = await Bucket.open(hq.desk.at('snapshots'))
  terminal = await Terminal.open()
  empty = await terminal.database()
  folder = await mkdtemp(join(tmpdir(), 'leasehold-docs-'))
  program = await built(join(folder, 'program'))
})
after(async () => {
  await bucket?.close()
  await terminal?.close()
  await hq?.close()
  await rm(folder, { recursive: true, force: true })
})

/** One program of all blocks, with the versions that the workspace is tested with. */
async function built(at) {
  const modules = [...blocks.all.values()].map(({ page, number, text }) => {
    const code = replaced(text.replaceAll(/^# /gm, ''), STANDS_FOR[page]?.[number]?.() ?? {})
    const call = CALLS[page]?.[number] ?? 'main()'
    const name = nameOf(page, number)
    return { name, text: `mod ${name} {\nuse crate::in_runtime;\n${code}\npub fn run() -> crate::Ran { ${call} }\n}\n` }
  })
  const arms = modules.map(({ name }) => `Some("${name}") => ${name}::run(),\n`).join('')
  const main = `fn main() -> Ran {\nmatch std::env::args().nth(1).as_deref() {\n${arms}_ => Err("no such block".into()),\n}\n}\n`
  const version = (crate) => new RegExp(`^${crate} = .*$`, 'm').exec(read('Cargo.toml'))[0]
  const own = (crate, features) =>
    `{ path = ${JSON.stringify(join(root, crate))}, features = ${JSON.stringify(features)} }`
  const manifest = `[package]
name = "pages"
version = "0.0.0"
edition = "2024"

[dependencies]
leasehold = ${own('crates/core', ['http', 'object-store', 'rhai'])}
leasehold-postgres = ${own('crates/store-postgres', ['hq'])}
${['serde_json', 'sqlx', 'tokio'].map(version).join('\n')}

[profile.dev]
debug = false

[workspace]
`
  await mkdir(join(at, 'src'), { recursive: true })
  await writeFile(join(at, 'Cargo.toml'), manifest)
  await writeFile(join(at, 'src/main.rs'), [FRAME, ...modules.map(({ text }) => text), main].join('\n'))
  await copyFile(join(root, 'Cargo.lock'), join(at, 'Cargo.lock'))
  const target = join(root, 'target/snippets')
  await run('cargo', ['build', '--quiet', '--offline'], { cwd: at, env: { ...process.env, CARGO_TARGET_DIR: target } })
  return join(target, 'debug/pages')
}

/** Where what the page names is another thing here. */
const STANDS_FOR = {
  'docs/following.md': {
    6: () => ({ 'https://hq.example': hq.url }),
    8: () => ({ 'https://cdn.example': bucket.url }),
  },
  'docs/postgres.md': {
    5: () => ({
      'postgresql://my_service@localhost/hq': hq.desk.environment.DATABASE_URL,
      '/var/lib/app/': '',
    }),
  },
  'crates/store-postgres/README.md': {
    1: () => ({ 'postgresql://my_backend@localhost/hq': hq.desk.environment.DATABASE_URL }),
  },
}

/** A bucket: objects that are put, and behind them the files of a folder. Nobody's signature is verified. */
class Bucket {
  #objects = new Map()

  static async open(folder) {
    const bucket = new Bucket()
    bucket.server = createServer(async (request, response) => {
      const path = new URL(request.url, 'http://bucket').pathname
      if (request.method === 'PUT') {
        const parts = []
        for await (const part of request) {
          parts.push(part)
        }
        bucket.#objects.set(path, Buffer.concat(parts))
        response.writeHead(200, { etag: '"1"' }).end()
        return
      }
      const body = bucket.#objects.get(path) ?? (await readFile(join(folder, path)).catch(() => undefined))
      const found = { etag: '"1"', 'last-modified': 'Wed, 21 Oct 2026 07:28:00 GMT', 'content-length': body?.length }
      response.writeHead(body === undefined ? 404 : 200, body === undefined ? {} : found)
      response.end(request.method === 'HEAD' ? undefined : body)
    })
    await new Promise((ready) => bucket.server.listen(0, '127.0.0.1', ready))
    bucket.url = `http://127.0.0.1:${bucket.server.address().port}`
    return bucket
  }

  get names() {
    return [...this.#objects.keys()]
  }

  async close() {
    this.server.closeAllConnections()
    await new Promise((closed) => this.server.close(closed))
  }
}

/** Runs a block in a folder that has what was published; gives what it prints, and the folder. */
async function runs(page, number, environment = {}) {
  blocks.take(page, number)
  const name = nameOf(page, number)
  const cwd = join(folder, name)
  await mkdir(cwd)
  for (const file of ['trust.json', 'fleet.key', 'fleet.cert', 'oman.pack', 'snapshots']) {
    await cp(hq.desk.at(file), join(cwd, file), { recursive: true })
  }
  const env = { ...process.env, DATABASE_URL: hq.desk.environment.DATABASE_URL, EMPTY: empty, ...environment }
  const { stdout } = await run(program, [name], { cwd, env })
  return { said: stdout.trim(), cwd }
}

const sql = async (statement) => {
  const database = hq.desk.environment.DATABASE_URL
  const { stdout } = await run('psql', ['--no-psqlrc', '-qAt', database, '--command', statement])
  return stdout.trim()
}

test('docs/following.md: a pack, a directory, HQ', async () => {
  await runs('docs/following.md', 4)
  const { said } = await runs('docs/following.md', 5)
  assert.match(said, /^Some\(Revision\(1\)\) Some\(Fresh\) \[\]$/)
  const { token } = await hq.options('checkout-1')
  const followed = await runs('docs/following.md', 6, { LEASEHOLD_TOKEN: token })
  assert.match(followed.said, /freshness: Some\(Fresh\)/)
})

test('docs/following.md: a bucket, and one behind a CDN', async () => {
  const allowed = { AWS_ENDPOINT: bucket.url, AWS_ALLOW_HTTP: 'true' }
  const secrets = { AWS_ACCESS_KEY_ID: 'somebody', AWS_SECRET_ACCESS_KEY: 'something-secret' }
  const { said } = await runs('docs/following.md', 7, { ...allowed, ...secrets })
  const chunks = bucket.names.filter((name) => name.includes('/chunks/'))
  assert.equal(said, `${chunks.length} new contents`)
  assert.ok(bucket.names.includes('/snapshots/production/heads/GCC-OM.head'), bucket.names.join())
  assert.match((await runs('docs/following.md', 8, { AWS_ALLOW_HTTP: 'true' })).said, /^Some\(Revision\(1\)\)$/)
})

test('docs/following.md: another host', async () => {
  assert.match((await runs('docs/following.md', 9)).said, /^asks again in \d+ ms$/)
})

test('docs/postgres.md', async () => {
  const phases = await sql(`SELECT count(*) FROM leasehold.org_subscriptions_mst WHERE tenant_org_id = '${TENANT}'`)
  assert.equal((await runs('docs/postgres.md', 2)).said, `${phases} phases`)
  const { said, cwd } = await runs('docs/postgres.md', 5)
  assert.match(said, /tenants\nSome\(/)
  assert.ok((await readFile(join(cwd, 'last-known-good/heads/GCC-OM.head'))).length > 0)
})

test('docs/postgres.md: an item, and the ledger', async () => {
  await sql(`
    BEGIN;
    SELECT set_config('app.current_tenant_id', '${TENANT}', true);
    SELECT * FROM leasehold.hq_create_item('ORD-1001', 'order', 'DRY_CLEAN', 'counter-2', 'create-ORD-1001');
    UPDATE leasehold.org_workflow_items SET stage = 'ready', row_version = 7;
    COMMIT`)
  assert.equal((await runs('docs/postgres.md', 8)).said, 'ORD-1001 to closed')
  await runs('docs/postgres.md', 9)
  assert.equal((await runs('docs/postgres.md', 11)).said, 'true')
})

test('docs/workflows.md', async () => {
  assert.match((await runs('docs/workflows.md', 7)).said, /^pick_up_by_manager$/)
  const { cwd } = await runs('docs/workflows.md', 13)
  assert.match(await readFile(join(cwd, 'order.svg'), 'utf8'), /^<svg/)
})

test('crates/store-postgres/README.md', async () => {
  await hq.changePlan(TENANT, 'trial', 'business')
  const { said } = await runs('crates/store-postgres/README.md', 1)
  assert.match(said, /^in revision \d+$/)
})

test('all that is claimed was run', () => blocks.done())
