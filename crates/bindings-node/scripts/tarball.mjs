// Tarballs that are published, for the packages for Node and for browsers.

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { npm } from './npm.mjs'

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
export const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT']

/** Makes a tarball in a folder, of a package that is described so, with the licences and what `fill` puts beside them. */
export function pack(folder, published, fill) {
  const staging = mkdtempSync(join(tmpdir(), 'leasehold-pack-'))
  try {
    writeFileSync(join(staging, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
    LICENCES.forEach((licence) => copyFileSync(join(workspace, licence), join(staging, licence)))
    fill(staging)
    const [command, ...args] = npm('pack', '--ignore-scripts', '--silent', '--pack-destination', resolve(folder))
    const name = execFileSync(command, args, { cwd: staging, encoding: 'utf8' }).trim()
    console.log(join(folder, name))
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}

/** Crates and packages are released as one. */
export function sameVersion(described) {
  const manifest = readFileSync(join(workspace, 'Cargo.toml'), 'utf8')
  const version = /^\[workspace\.package\]$[^[]*?^version = "([^"]+)"$/m.exec(manifest)?.[1]
  if (version !== described.version) {
    fail(`package.json says ${described.version}, the Cargo workspace ${version}: give both the same version`)
  }
}

export function fail(message) {
  console.error(message)
  process.exit(1)
}
