// What is published, as somebody has it who installs it: in a clean folder, without a network and without a toolchain.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { npm } from '../scripts/npm.mjs'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const targets = require('../targets.json')
const { version, exports } = require('../package.json')
const entries = Object.entries(exports)
  .filter(([, to]) => to.import)
  .map(([name]) => name.replace('.', 'leasehold'))

/** A folder with all that the tests make. */
let home
/** Where both packages are installed, and nothing else. */
let app
let environment
let tarballs

const node = (folder, ...args) => run(process.execPath, args, { cwd: folder, env: environment })

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'leasehold-package-'))
  app = join(home, 'app')
  // Only Node: whatever an installation wanted to build with is not there. A cache of its own: nor is what npm has seen.
  const bin = join(home, 'bin')
  await mkdir(bin)
  await symlink(process.execPath, join(bin, 'node'))
  environment = { PATH: bin, HOME: home, npm_config_cache: join(home, 'cache'), npm_config_update_notifier: 'false' }

  const packed = join(home, 'packed')
  await run(process.execPath, [join(root, 'scripts/pack.mjs'), packed])
  tarballs = (await readdir(packed)).sort().map((name) => join(packed, name))
  await mkdir(app)
  await writeFile(join(app, 'package.json'), '{ "name": "app", "private": true }')
  const [command, ...args] = npm('install', '--offline', '--no-audit', '--no-fund', ...tarballs)
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
  for (const name of ['@nestjs', '@openfeature', '@opentelemetry', '@types', 'pg', 'reflect-metadata', 'rxjs']) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction')
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

describe('packages', () => {
  test('there is one for everybody and one for this platform', async () => {
    const names = tarballs.map((path) => path.split(/[\\/]/).at(-1))
    assert.equal(names.length, 2)
    assert.ok(names.includes(`leasehold-${version}.tgz`))
    const [platform] = targets.filter(({ name }) => names.includes(`leasehold-${name}-${version}.tgz`))
    assert.equal(platform.os, process.platform)
    assert.equal(platform.cpu, process.arch)
    const installed = join(app, `node_modules/leasehold-${platform.name}/package.json`)
    const described = JSON.parse(await readFile(installed, 'utf8'))
    assert.deepEqual(described.os, [platform.os])
    assert.deepEqual(described.cpu, [platform.cpu])
    assert.deepEqual(described.libc, platform.libc === undefined ? undefined : [platform.libc])
    assert.equal(described.version, version)
  })

  test('the package names those of all platforms at its version, and has no native part itself', async () => {
    const folder = join(app, 'node_modules/leasehold')
    const described = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    const platforms = targets.map(({ name }) => [`leasehold-${name}`, version])
    assert.deepEqual(described.optionalDependencies, Object.fromEntries(platforms))
    assert.equal(described.devDependencies, undefined)
    assert.deepEqual([described.scripts, described.private], [undefined, undefined])
    const files = await readdir(folder, { recursive: true })
    assert.deepEqual(
      files.filter((name) => name.endsWith('.node')),
      [],
    )
    for (const name of ['README.md', 'LICENSE-APACHE', 'LICENSE-MIT']) {
      assert.ok(files.includes(name), name)
    }
  })
})

describe('an app', () => {
  test('decides', async () => {
    const script = `
      import { Engine } from 'leasehold'
      const engine = Engine.fromDefinitions(${DEFINITIONS})
      console.log(engine.isEnabled('shop', 'invoices'))`
    const folder = await appWith('decides', { 'main.mjs': script })
    assert.equal((await node(folder, 'main.mjs')).stdout, 'true\n')
  })

  test('of the README answers what the README says', async () => {
    const readme = await readFile(join(app, 'node_modules/leasehold/README.md'), 'utf8')
    const [, code] = /^## Two minutes\n\n```js\n([^]*?)^```$/m.exec(readme)
    const told = []
    const script = code.replaceAll(/^(tenant\..*) \/\/ (true|false|'.*')$/gm, (_, question, answer) => {
      told.push(answer.replaceAll("'", ''))
      return `console.log(${question})`
    })
    assert.ok(told.length > 0)
    const folder = await appWith('readme', { 'main.mjs': script })
    assert.deepEqual((await node(folder, 'main.mjs')).stdout.trim().split('\n'), told)
  })

  test('has the same classes by import and by require', async () => {
    const script = `
      import * as imported from 'leasehold'
      import { createRequire } from 'node:module'
      const required = createRequire(import.meta.url)('leasehold')
      const names = Object.keys(required).sort()
      if (!names.includes('Engine') || !names.includes('LeaseholdError')) throw new Error(names.join())
      const differing = names.filter((name) => imported[name] !== required[name])
      console.log(JSON.stringify({ differing, more: Object.keys(imported).filter((name) => !names.includes(name)) }))`
    const folder = await appWith('both', { 'main.mjs': script })
    assert.deepEqual(JSON.parse((await node(folder, 'main.mjs')).stdout), { differing: [], more: [] })
  })

  test('loads every entry both ways', async () => {
    const folder = await appWith('entries', {
      'main.mjs': entries.map((entry, at) => `import * as entry${at} from '${entry}'\n`).join(''),
      'main.cjs': entries.map((entry) => `require('${entry}')\n`).join(''),
    })
    await withPeers(folder)
    await node(folder, 'main.mjs')
    await node(folder, 'main.cjs')
  })

  test('without the package of its platform is told which one to install', async () => {
    const folder = await appWith('without', {
      'main.cjs': `try { require('leasehold') } catch (error) { console.log(error.name, error.code, error.message) }`,
    })
    const modules = await readdir(join(folder, 'node_modules'))
    const [platform] = modules.filter((name) => name.startsWith('leasehold-'))
    await rm(join(folder, 'node_modules', platform), { recursive: true })
    const { stdout } = await node(folder, 'main.cjs')
    assert.match(stdout, /^InternalError internal /)
    assert.ok(stdout.includes(`install the package \`${platform}\``), stdout)
  })

  test('is bundled with the package left outside', async () => {
    const { build } = await import('esbuild')
    const folder = await appWith('bundled', {
      'main.js': `import { Engine } from 'leasehold'
        console.log(Engine.fromDefinitions(${DEFINITIONS}).isEnabled('shop', 'invoices'))`,
    })
    for (const [format, outfile] of [
      ['esm', 'out.mjs'],
      ['cjs', 'out.cjs'],
    ]) {
      await build({
        absWorkingDir: folder,
        entryPoints: ['main.js'],
        bundle: true,
        platform: 'node',
        external: ['leasehold'],
        format,
        outfile,
      })
      assert.equal((await node(folder, outfile)).stdout, 'true\n')
    }
  })
})

describe('declarations', () => {
  const consumer = `
    import { Engine, LeaseholdError, TransitionError } from 'leasehold'
    ${entries.map((entry, at) => `import * as entry${at} from '${entry}'`).join('\n')}
    export const all = [${entries.map((_, at) => `entry${at}`).join()}]
    export function mayInvoice(engine: Engine): boolean {
      try {
        return engine.tenant('shop').isEnabled('invoices', new Date())
      } catch (error) {
        if (error instanceof TransitionError) {
          return error.blockers.length === 0
        }
        throw error instanceof LeaseholdError ? new Error(error.code) : error
      }
    }
    // @ts-expect-error Neither a switch nor a text.
    export const wrong: number = mayInvoice(1)
  `
  const MODULES = ['main.mts', 'main.cts']
  const CHECKS = [
    { name: 'node20', files: MODULES, options: ['--module', 'node20'] },
    // It does not know that modules can be required, which NestJS 12 has to be.
    { name: 'node16', files: MODULES, options: ['--module', 'node16', '--skipLibCheck'] },
    // It knows no `exports`, and finds entries by `typesVersions`.
    {
      name: 'node10',
      files: ['main.ts'],
      options: ['--module', 'commonjs', '--moduleResolution', 'node10', '--skipLibCheck'],
    },
    { name: 'bundler', files: ['main.ts'], options: ['--module', 'esnext', '--moduleResolution', 'bundler'] },
  ]
  for (const { name, files, options } of CHECKS) {
    test(`compile under --strict: ${name}`, async () => {
      const folder = await appWith(`types-${name}`, Object.fromEntries(files.map((file) => [file, consumer])))
      await withPeers(folder)
      const tsc = require.resolve('typescript/bin/tsc')
      const target = ['--target', 'es2022', '--strict', '--noEmit', '--types', 'node']
      await node(folder, tsc, ...target, ...options, ...files).catch(({ stdout }) => assert.fail(stdout))
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
