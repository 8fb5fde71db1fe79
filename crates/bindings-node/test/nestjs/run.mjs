// Runs the tests of leasehold/nestjs against majors of NestJS, each installed by its own lock file:
//
//     node test/nestjs/run.mjs 10 11 12 [--folder DIR]
//
// The package is built before: `node scripts/build.mjs PATH_OF_THE_NATIVE_LIBRARY`. DIR is kept, so that a second run
// need not install again; without it, a folder is made and removed.

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(here))
const { values, positionals } = parseArgs({ options: { folder: { type: 'string' } }, allowPositionals: true })
const majors = positionals.length === 0 ? ['10', '11', '12'] : positionals
for (const major of majors) {
  if (!existsSync(join(here, major, 'package-lock.json'))) {
    throw new Error(`there is no lock file for NestJS \`${major}\`: there are 10, 11 and 12`)
  }
}
if (!existsSync(join(root, 'dist/nestjs/index.js'))) {
  throw new Error('the package is not built: run `node scripts/build.mjs` with the path of the native library')
}

const folder = values.folder === undefined ? mkdtempSync(join(tmpdir(), 'leasehold-nestjs-')) : resolve(values.folder)
const failed = majors.filter((major) => !passes(major))
if (values.folder === undefined) {
  rmSync(folder, { recursive: true, force: true })
}
console.log(failed.length === 0 ? `passed with NestJS ${majors.join(', ')}` : `failed with NestJS ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

function passes(major) {
  const place = join(folder, major)
  mkdirSync(place, { recursive: true })
  install(major, place)
  // As a package that was installed: what it imports, it has to find beside itself.
  const installed = join(place, 'node_modules/leasehold')
  rmSync(installed, { recursive: true, force: true })
  cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  cpSync(join(root, 'test/nestjs.test.mjs'), join(place, 'test/nestjs.test.mjs'))
  for (const file of ['app.mts', 'tsconfig.json']) {
    cpSync(join(here, file), join(place, 'test/nestjs', file))
  }
  console.log(
    `NestJS ${JSON.parse(readFileSync(join(place, 'node_modules/@nestjs/core/package.json'), 'utf8')).version}`,
  )
  const conformance = process.env.LEASEHOLD_CONFORMANCE ?? join(root, '../../tests/conformance')
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', 'test/nestjs.test.mjs'], {
    cwd: place,
    env: { ...process.env, LEASEHOLD_NESTJS: major, LEASEHOLD_CONFORMANCE: conformance },
    stdio: 'inherit',
  })
  return status === 0
}

/** Installs what the lock file says, unless it is there. */
function install(major, place) {
  const lock = readFileSync(join(here, major, 'package-lock.json'), 'utf8')
  const at = join(place, 'package-lock.json')
  if (
    existsSync(join(place, 'node_modules/.package-lock.json')) &&
    existsSync(at) &&
    readFileSync(at, 'utf8') === lock
  ) {
    return
  }
  cpSync(join(here, major), place, { recursive: true })
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
    cwd: place,
    stdio: 'inherit',
  })
}
