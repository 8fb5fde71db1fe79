// Walks as a new user would, from an empty folder to the first decision, by docs/first-ten-minutes.md; says what it takes.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
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
/** What other pages say to install, the folder of packages that stands for it, and a program that needs it. */
const INSTALLED = [
  ['crates/bindings-node/README.md', 'npm install leasehold', 'node', `node -e "require('leasehold').Engine.name"`],
  ['crates/bindings-python/README.md', 'pip install leasehold', 'python', 'python -c "import leasehold"'],
  ...['crates/bindings-wasm/README.md', 'docs/browser.md'].map((page) => [
    ...[page, 'npm install leasehold-web', 'web', `node -e "require('leasehold-web').Engine.name"`],
  ]),
]
/** The code below that heading. */
const twoMinutes = (page) => /^## Two minutes\n[^]*?^```\w+\n([^]*?)^```$/m.exec(read(page))[1]

let packed, terminal
before(async () => {
  packed = await mkdtemp(join(tmpdir(), 'leasehold-packed-'))
  for (const [name, folder] of Object.entries({ node: NODE, web: WEB })) {
    await promisify(execFile)(process.execPath, [join(folder, 'scripts/pack.mjs'), join(packed, name)])
  }
})
after(() => rm(packed, { recursive: true, force: true }))
afterEach(async () => terminal.close())

/** A folder of packages as the tests have built them, in place of the one that `cargo xtask packages` fills. */
const folderOf = (name) =>
  name === 'python' ? (process.env.LEASEHOLD_WHEELS ?? join(root, 'target/python/wheels')) : join(packed, name)
const OFFLINE = { npm: 'npm install --offline --no-audit --no-fund', pip: 'pip install --no-index' }
/** What stands for the line of the page that installs a package. */
const installing = (name, program) => ({
  [`${program} install`]: OFFLINE[program],
  [`~/leasehold/target/packages/${name}`]: folderOf(name),
})

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
  const files = { 'shop/src/main.rs': take(2), 'shop/definitions/shop.json': text }
  await walks(context, 'Rust', [3], files, async (here) => {
    // The versions that the workspace is tested with, which are there already.
    await copyFile(join(root, 'Cargo.lock'), here.at('shop/Cargo.lock'))
    await here.types(take(3), {
      replace: { 'cargo add': 'cargo add --quiet --offline', '~/leasehold': root },
    })
  })
})

test('Node', async (context) => {
  const files = { 'shop.mjs': twoMinutes('crates/bindings-node/README.md') + take(4) }
  await walks(context, 'Node', [5], files, async (here) => {
    await here.types(take(5), { replace: installing('node', 'npm') })
  })
})

test('Python', async (context) => {
  const files = { 'shop.py': twoMinutes('crates/bindings-python/README.md') + take(6) }
  await walks(context, 'Python', [7], files, async (here) => {
    await here.types(take(7), { replace: installing('python', 'pip') })
  })
})

test('browser', async (context) => {
  const files = { 'index.html': replaced(take(8), { '// the code': twoMinutes('crates/bindings-wasm/README.md') }) }
  const port = await freePort()
  const chromium = await browser()
  try {
    await walks(context, 'browser', [9], files, async (here) => {
      const replace = { ...installing('web', 'npm'), 8000: String(port) }
      await here.types(take(9), { replace, stay: /$/ })
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
  await walks(context, 'HQ', [10, 11], { 'definitions/shop.json': text }, async (here) => {
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
    const { found } = await here.types(take(10), { replace, stay })
    const [[, address], [, password]] = found.matches
    await here.types(take(11), {
      replace: {
        'http://127.0.0.1:8750': `http://${address}`,
        '"password":"…"': `"password":"${password}"`,
        'lhs_…': (outputs) => JSON.parse(outputs[0]).token,
      },
    })
  })
})

for (const [page, line, folder, shows] of INSTALLED) {
  test(`what ${page} installs`, async () => {
    terminal = await Terminal.open()
    await terminal.does('python3 -m venv venv && PATH=$PWD/venv/bin:$PATH')
    const stands = `${OFFLINE[line.slice(0, 3)]} ${folderOf(folder)}/*`
    await terminal.types(blocks.take(page, 1), { replace: { [line]: stands } })
    const { code, output } = await terminal.does(shows)
    assert.equal(code, 0, output)
  })
}

test('all that is claimed was run', async () => {
  terminal = await Terminal.open()
  blocks.done()
})
