// What is published, as somebody has it who installs it: in a clean folder, without a network.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { npm } from '../../bindings-node/scripts/npm.mjs'
import { browser, root } from './support/browser.mjs'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const { version, exports } = require('../package.json')
const entries = Object.entries(exports)
  .filter(([, to]) => to.endsWith('.js'))
  .map(([name]) => name.replace('.', 'leasehold-web'))
const builds = ['leasehold-web', 'leasehold-web/full']

/** A folder with all that the tests make. */
let home
/** Where the package is installed, and nothing else. */
let app
let environment

const node = (folder, ...args) => run(process.execPath, args, { cwd: folder, env: environment })

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'leasehold-web-'))
  app = join(home, 'app')
  // Only Node, and a cache of its own: what npm has seen is not there.
  const bin = join(home, 'bin')
  await mkdir(bin)
  await symlink(process.execPath, join(bin, 'node'))
  environment = { PATH: bin, HOME: home, npm_config_cache: join(home, 'cache'), npm_config_update_notifier: 'false' }
  const packed = join(home, 'packed')
  await run(process.execPath, [join(root, 'scripts/pack.mjs'), packed])
  assert.deepEqual(await readdir(packed), [`leasehold-web-${version}.tgz`])
  await mkdir(app)
  await writeFile(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }')
  const tarball = join(packed, `leasehold-web-${version}.tgz`)
  const [command, ...args] = npm('install', '--offline', '--no-audit', '--no-fund', tarball)
  await run(command, args, { cwd: app, env: environment })
})
after(() => rm(home, { recursive: true, force: true }))

/** The app again, with more beside the package. */
async function appWith(name, files) {
  const folder = join(home, name)
  await cp(app, folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  return folder
}

/** Puts in reach what a user of the entries would have installed. */
async function withPeers(folder) {
  for (const name of ['@openfeature', '@types', 'csstype', 'react', 'react-dom', 'scheduler']) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction')
  }
}

/** Asks a page in Chromium for what it finds, from a server for that folder alone. */
async function inChromium(folder, html) {
  const types = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://here')
    if (pathname === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end(html)
      return
    }
    readFile(join(folder, pathname)).then(
      (bytes) => response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'text/plain' }).end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const chromium = await browser()
  try {
    const page = await chromium.newPage()
    const failed = new Promise((_, reject) => page.on('pageerror', reject))
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    const found = page.waitForFunction('globalThis.found', undefined, { timeout: 60_000 })
    return await (await Promise.race([found, failed])).jsonValue()
  } finally {
    await chromium.close()
    server.closeAllConnections()
    server.close()
  }
}

const DEFINITIONS = `{
  features: {
    invoices: { kind: 'switch', name: 'Invoices', name2: 'الفواتير', default: true, group: 'module' },
  },
  tenants: {
    shop: { name: 'Shop', name2: 'متجر', region: 'GCC-OM', anchor: '2026-01-01T00:00:00Z', utc_offset_minutes: 240 },
  },
}`

/** The build `full` compiles definitions; `core` says what it is without. */
const asks = (from, tell) => `
  import { Engine, init } from '${from}'
  await init()
  let found
  try {
    found = String(Engine.fromDefinitions(${DEFINITIONS}).tenant().isEnabled('invoices'))
  } catch (error) {
    found = error.code
  }
  ${tell}`
const ANSWERS = { 'leasehold-web': 'not_in_build', 'leasehold-web/full': 'true' }

describe('the package', () => {
  test('has what is to be published, and nothing of how it is made', async () => {
    const folder = join(app, 'node_modules/leasehold-web')
    const described = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    assert.deepEqual(
      [described.devDependencies, described.scripts, described.dependencies],
      [undefined, undefined, undefined],
    )
    const files = await readdir(folder, { recursive: true })
    for (const name of ['README.md', 'LICENSE-APACHE', 'LICENSE-MIT', ...Object.values(exports)]) {
      assert.ok(files.includes(name.replace('./', '')), name)
    }
    assert.deepEqual(
      files.filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts')),
      [],
    )
    assert.deepEqual(await readdir(join(app, 'node_modules')), ['.package-lock.json', 'leasehold-web'])
  })

  for (const from of builds) {
    test(`answers in Node: ${from}`, async () => {
      const folder = await appWith(from.replace('/', '-'), { 'main.js': asks(from, 'console.log(found)') })
      assert.equal((await node(folder, 'main.js')).stdout, `${ANSWERS[from]}\n`)
    })

    test(`answers in a page, without a bundler: ${from}`, async () => {
      const map = { imports: { [from]: `/node_modules/leasehold-web/${exports[from.replace('leasehold-web', '.')]}` } }
      const html = `<!doctype html><script type="importmap">${JSON.stringify(map)}</script>
        <script type="module">${asks(from, 'globalThis.found = found')}</script>`
      assert.equal(await inChromium(app, html), ANSWERS[from])
    })
  }

  test('loads every entry on a server, where there is no page', async () => {
    const folder = await appWith('entries', {
      'main.js': entries.map((entry, at) => `import * as entry${at} from '${entry}'\n`).join(''),
    })
    await withPeers(folder)
    await node(folder, 'main.js')
  })

  test('answers in its README what its README says', async () => {
    const readme = await readFile(join(app, 'node_modules/leasehold-web/README.md'), 'utf8')
    const [, code] = /^## Two minutes\n[^]*?```js\n([^]*?)^```$/m.exec(readme)
    const told = []
    const script = code.replaceAll(/^(tenant\..*) \/\/ (true|false|'.*')$/gm, (_, question, answer) => {
      told.push(answer.replaceAll("'", ''))
      return `console.log(${question})`
    })
    assert.ok(told.length > 0)
    const folder = await appWith('readme', { 'main.js': script })
    assert.deepEqual((await node(folder, 'main.js')).stdout.trim().split('\n'), told)
  })
})

describe('bundled with esbuild', () => {
  const page = '<!doctype html><script type="module" src="/out/assets/main.js"></script>'
  const options = { bundle: true, format: 'esm', target: 'es2022', outdir: 'out/assets', logLevel: 'silent' }

  for (const splitting of [false, true]) {
    test(`with the WebAssembly beside the bundle${splitting ? ', in chunks' : ''}`, async () => {
      const files = splitting
        ? {
            'main.js': "await import('./later.js')",
            'later.js': asks('leasehold-web/full', 'globalThis.found = found'),
          }
        : { 'main.js': asks('leasehold-web/full', 'globalThis.found = found') }
      const folder = await appWith(`beside-${splitting}`, files)
      await build({ ...options, splitting, absWorkingDir: folder, entryPoints: ['main.js'] })
      const dist = join(folder, 'node_modules/leasehold-web/dist')
      await cp(join(dist, 'full_bg.wasm'), join(folder, 'out/assets/full_bg.wasm'))
      assert.equal(await inChromium(folder, page), 'true')
    })
  }

  test('with the WebAssembly as a file of the bundle', async () => {
    const script = asks('leasehold-web/full', 'globalThis.found = found')
      .replace('await init()', 'await init({ module: new URL(wasm, import.meta.url) })')
      .replace('import', "import wasm from 'leasehold-web/full.wasm'\n  import")
    const folder = await appWith('as-file', { 'main.js': script })
    await build({ ...options, absWorkingDir: folder, entryPoints: ['main.js'], loader: { '.wasm': 'file' } })
    assert.equal(await inChromium(folder, page), 'true')
    const files = await readdir(join(folder, 'out/assets'))
    assert.ok(
      files.some((name) => /^full_bg-[A-Z0-9]+\.wasm$/.test(name)),
      files.join(),
    )
  })

  test('React and OpenFeature stay outside where a page has none of them', async () => {
    const folder = await appWith('lean', { 'main.js': asks('leasehold-web', 'globalThis.found = found') })
    const { metafile } = await build({ ...options, metafile: true, absWorkingDir: folder, entryPoints: ['main.js'] })
    const inputs = Object.keys(metafile.inputs).map((path) => path.replace(/^.*\/dist\//, ''))
    for (const entry of ['react.js', 'elements.js', 'openfeature.js', 'full.js']) {
      assert.ok(!inputs.includes(entry), entry)
    }
  })
})

describe('declarations', () => {
  const consumer = `
    import { Engine, LeaseholdError, TransitionError, init } from 'leasehold-web'
    import type { FollowOptions } from 'leasehold-web'
    ${entries.map((entry, at) => `import * as entry${at} from '${entry}'`).join('\n')}
    export const all = [${entries.map((_, at) => `entry${at}`).join()}]
    export async function mayInvoice(options: FollowOptions): Promise<boolean> {
      await init()
      try {
        const engine = await Engine.follow(options)
        return engine.tenant().isEnabled('invoices', new Date())
      } catch (error) {
        if (error instanceof TransitionError) {
          return error.blockers.length === 0
        }
        throw error instanceof LeaseholdError ? new Error(error.code) : error
      }
    }
    // @ts-expect-error Neither a switch nor a text.
    export const wrong: Promise<number> = mayInvoice(1)
  `
  const CHECKS = {
    node16: ['--module', 'node16'],
    node20: ['--module', 'node20'],
    bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
  }
  for (const [name, options] of Object.entries(CHECKS)) {
    test(`compile under --strict: ${name}`, async () => {
      const folder = await appWith(`types-${name}`, { 'main.ts': consumer })
      await withPeers(folder)
      const tsc = require.resolve('typescript/bin/tsc')
      const target = ['--target', 'es2022', '--lib', 'es2022,dom', '--strict', '--noEmit', '--types', 'react']
      await node(folder, tsc, ...target, ...options, 'main.ts').catch(({ stdout }) => assert.fail(stdout))
    })
  }

  test('those that are committed are those that are published', async () => {
    const check = [join(root, 'scripts/declarations.mjs'), '--check']
    await run(process.execPath, check).catch(({ stderr }) => assert.fail(stderr))
  })

  test('say what everything is', async () => {
    const names = (await readdir(join(root, 'types'), { recursive: true })).filter((name) => name.endsWith('.d.ts'))
    assert.ok(names.includes('index.d.ts'))
    for (const name of names) {
      const code = (await readFile(join(root, 'types', name), 'utf8')).replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
      assert.doesNotMatch(code, /\bany\b/, name)
    }
  })
})
