// Walks as a new user would, from an empty folder to the first decision, by docs/first-ten-minutes.md; says what it takes.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { promisify } from 'node:util'
import { browser } from '../../crates/bindings-wasm/test/support/browser.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { Blocks, blocksOf, read, replaced, root } from './blocks.mjs'
import { Terminal, commandsOf, freePort } from './terminal.mjs'
import { NODE, WEB } from './workshop.mjs'

const PAGE = 'docs/first-ten-minutes.md'
const blocks = new Blocks('minutes')
const take = (number) => blocks.take(PAGE, number)
/** What pages say to install, and how a program shows that it is there. */
const INSTALLED = [
  ['crates/bindings-node/README.md', 'node --eval "require(\'leasehold\').Engine.name"'],
  ['crates/bindings-python/README.md', 'python -c "import leasehold"'],
  ['crates/bindings-wasm/README.md', 'node --eval "require(\'leasehold-web\').Engine.name"'],
  ['docs/browser.md', 'node --eval "require(\'leasehold-web\').Engine.name"'],
]
/** The code below that heading. */
const twoMinutes = (page) => /^## Two minutes\n[^]*?^```\w+\n([^]*?)^```$/m.exec(read(page))[1]

let packed, terminal
before(async () => {
  packed = await mkdtemp(join(tmpdir(), 'leasehold-packed-'))
  for (const folder of [NODE, WEB]) {
    await promisify(execFile)(process.execPath, [join(folder, 'scripts/pack.mjs'), packed])
  }
})
after(() => rm(packed, { recursive: true, force: true }))
afterEach(async () => terminal.close())

/** What is installed in place of what npm would fetch. */
async function tarballs(isOurs) {
  const names = (await readdir(packed)).filter((name) => name.startsWith('leasehold-web-') === isOurs)
  return `npm install --offline --no-audit --no-fund ${names.map((name) => join(packed, name)).join(' ')}`
}
const wheel = () =>
  `pip install --no-index --find-links ${process.env.LEASEHOLD_WHEELS ?? join(root, 'target/python/wheels')} leasehold`

/** In an empty folder; `commands` blocks are counted, and have to be as many as the page says. */
async function walks(context, heading, commands, files, walking) {
  const kept = (name, folder) => process.env[name] ?? join(homedir(), folder)
  const environment = {
    CARGO_HOME: kept('CARGO_HOME', '.cargo'),
    RUSTUP_HOME: kept('RUSTUP_HOME', '.rustup'),
    CARGO_TARGET_DIR: join(root, 'target/snippets'),
  }
  terminal = await Terminal.open({ environment })
  const row = new RegExp(`^\\| \\[${heading}\\]\\(#\\w+\\) \\| (\\d+) \\| (\\d+) \\| [\\d.]+ \\|$`, 'm').exec(
    read(PAGE),
  )
  const count = commands.flatMap((number) => commandsOf(take(number))).length
  assert.deepEqual(
    [count, Object.keys(files).length],
    [Number(row[1]), Number(row[2])],
    `${PAGE}: the row of ${heading}`,
  )
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(terminal.at(name), '..'), { recursive: true })
    await writeFile(terminal.at(name), text)
  }
  const start = performance.now()
  await walking(terminal)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  context.diagnostic(`${heading}: ${count} commands, ${Object.keys(files).length} files, ${seconds} s`)
}

test('Rust', async (context) => {
  const { text } = blocksOf('docs/definitions.md').find(({ text }) => text.includes('"tenants"'))
  const files = { 'shop/src/main.rs': take(1), 'shop/definitions/shop.json': text }
  await walks(context, 'Rust', [2], files, async (here) => {
    // The versions that the workspace is tested with, which are there already.
    await copyFile(join(root, 'Cargo.lock'), here.at('shop/Cargo.lock'))
    await here.types(take(2), {
      replace: { 'cargo add leasehold': `cargo add --quiet --offline --path ${join(root, 'crates/core')}` },
    })
  })
})

test('Node', async (context) => {
  const files = { 'shop.mjs': twoMinutes('crates/bindings-node/README.md') + take(3) }
  await walks(context, 'Node', [4], files, async (here) => {
    await here.types(take(4), { replace: { 'npm install leasehold': await tarballs(false) } })
  })
})

test('Python', async (context) => {
  const files = { 'shop.py': twoMinutes('crates/bindings-python/README.md') + take(5) }
  await walks(context, 'Python', [6], files, async (here) => {
    await here.types(take(6), { replace: { 'pip install leasehold': wheel() } })
  })
})

test('browser', async (context) => {
  const files = { 'index.html': replaced(take(7), { '// the code': twoMinutes('crates/bindings-wasm/README.md') }) }
  const port = await freePort()
  const chromium = await browser()
  try {
    await walks(context, 'browser', [8], files, async (here) => {
      const replace = { 'npm install leasehold-web': await tarballs(true), 8000: String(port) }
      await here.types(take(8), { replace, stay: /$/ })
      const url = `http://127.0.0.1:${port}`
      await until('files are served', async () =>
        fetch(url).then(
          (answer) => answer.ok,
          () => false,
        ),
      )
      const page = await chromium.newPage()
      await page.goto(url)
      await page.getByText('true', { exact: true }).waitFor()
    })
  } finally {
    await chromium.close()
  }
})

test('HQ', async (context) => {
  const { text } = blocksOf('docs/definitions.md').find(({ text }) => text.includes('"tenants"'))
  await walks(context, 'HQ', [9, 10], { 'definitions/shop.json': text }, async (here) => {
    const checked = await here.does('leasehold check laundry-1 orders -d definitions')
    assert.equal(checked.code, 0, checked.output)
    const database = await here.database()
    const replace = {
      'postgresql://hq@127.0.0.1/leasehold': database,
      HASH: (outputs) => /binding ([0-9a-f]{64})/.exec(outputs.join())[1],
      'LEASEHOLD_TRUST=trust.json LEASEHOLD_FLEET_KEY':
        'LEASEHOLD_LISTEN=127.0.0.1:0 LEASEHOLD_TRUST=trust.json LEASEHOLD_FLEET_KEY',
    }
    const stay = [/"address":"([^"]+)"/, /password +(\S+)/]
    const { found } = await here.types(take(9), { replace, stay })
    const [[, address], [, password]] = found.matches
    await here.types(take(10), {
      replace: {
        'http://127.0.0.1:8750': `http://${address}`,
        '"password":"…"': `"password":"${password}"`,
        'lhs_…': (outputs) => JSON.parse(outputs[0]).token,
      },
    })
  })
})

for (const [page, shows] of INSTALLED) {
  test(`what ${page} installs`, async () => {
    terminal = await Terminal.open()
    await terminal.does('python3 -m venv venv && PATH=$PWD/venv/bin:$PATH')
    const installs = {
      'npm install leasehold-web': await tarballs(true),
      'npm install leasehold': await tarballs(false),
      'pip install leasehold': wheel(),
    }
    const text = blocks.take(page, 1)
    const [said] = Object.keys(installs).filter((line) => text.includes(line))
    await terminal.types(text, { replace: { [said]: installs[said] } })
    const { code, output } = await terminal.does(shows)
    assert.equal(code, 0, output)
  })
}

test('all that is claimed was run', async () => {
  terminal = await Terminal.open()
  blocks.done()
})
