// Makes the tarballs that are published, of what `build.mjs` left in `dist/`.
//
//     node scripts/pack.mjs DIR                     the package, and the one for this platform
//     node scripts/pack.mjs DIR main                the package alone
//     node scripts/pack.mjs DIR PLATFORM LIBRARY    the one for a platform of targets.json, with this native library

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fail, LICENCES, pack, sameVersion } from './tarball.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

const described = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const targets = JSON.parse(readFileSync(join(root, 'targets.json'), 'utf8'))

const [folder, what, library] = process.argv.slice(2)
if (folder === undefined || (what !== undefined && what !== 'main' && library === undefined)) {
  fail('usage: node scripts/pack.mjs DIR [main | PLATFORM LIBRARY]')
}
sameVersion(described)
mkdirSync(folder, { recursive: true })
if (what === undefined) {
  const target = targets.find(({ name }) => existsSync(join(dist, `leasehold.${name}.node`)))
  if (target === undefined) {
    fail('`dist/` has no native part: run `node scripts/build.mjs LIBRARY` first, or pack `main` alone')
  }
  packMain()
  packPlatform(target, join(dist, `leasehold.${target.name}.node`))
} else if (what === 'main') {
  packMain()
} else {
  const target = targets.find(({ name }) => name === what)
  if (target === undefined) {
    fail(`there is no platform \`${what}\`: targets.json has ${targets.map(({ name }) => name).join(', ')}`)
  }
  packPlatform(target, resolve(library))
}

/** JavaScript and declarations. The native part comes from the package of the platform, which npm picks. */
function packMain() {
  if (!existsSync(join(dist, 'index.js'))) {
    fail('`dist/` has no JavaScript: run `node scripts/build.mjs` first')
  }
  const { private: _private, scripts: _scripts, devDependencies: _devDependencies, ...published } = described
  const platforms = targets.map(({ name }) => [`leasehold-${name}`, described.version])
  pack(folder, { ...published, optionalDependencies: Object.fromEntries(platforms) }, (staging) => {
    cpSync(dist, join(staging, 'dist'), { recursive: true, filter: (path) => !path.endsWith('.node') })
    copyFileSync(join(root, 'README.md'), join(staging, 'README.md'))
  })
}

/** One native library. */
function packPlatform({ name, os, cpu, libc }, library) {
  const file = `leasehold.${name}.node`
  const { version, license, engines } = described
  const published = {
    name: `leasehold-${name}`,
    version,
    description: `The native part of leasehold for ${name}.`,
    license,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    main: file,
    files: [file, ...LICENCES],
  }
  pack(folder, published, (staging) => {
    copyFileSync(library, join(staging, file))
    const readme = [`# ${published.name}`, '', `${published.description} Install \`leasehold\`: it brings this.`, '']
    writeFileSync(join(staging, 'README.md'), readme.join('\n'))
  })
}
