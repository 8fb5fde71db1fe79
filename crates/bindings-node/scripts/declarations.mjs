// Keeps the declarations of what is public under `types/`, where changes of them are reviewed. The package itself brings
// those in `dist/`, of which these are copies.
//
//     node scripts/declarations.mjs            writes them, from `dist/`
//     node scripts/declarations.mjs --check    fails where they differ

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const types = join(root, 'types')

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values(exports).flatMap(({ require: script }) => script ?? [])
const reached = new Map()
entries.forEach((script) => reach(join(root, script.replace(/\.js$/, '.d.ts'))))
const wanted = new Map([...reached].map(([path, text]) => [nameOf(dist, path), marked(nameOf(dist, path), text)]))
const committed = new Map(filesOf(types).map((path) => [nameOf(types, path), readFileSync(path, 'utf8')]))
const differing = [...new Set([...wanted.keys(), ...committed.keys()])]
  .filter((name) => wanted.get(name) !== committed.get(name))
  .sort()

if (process.argv.includes('--check')) {
  for (const name of differing) {
    const why = !wanted.has(name) ? 'is of nothing that is public' : committed.has(name) ? 'differs' : 'is missing'
    console.error(`types/${name} ${why}`)
  }
  if (differing.length > 0) {
    console.error('build, look at what changed, and run `node scripts/declarations.mjs`')
    process.exit(1)
  }
} else {
  for (const name of differing) {
    const path = join(types, name)
    if (wanted.has(name)) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, wanted.get(name))
    } else {
      rmSync(path)
    }
    console.log(`types/${name}`)
  }
}

/** A declaration file, and all those of the package that it names. */
function reach(path) {
  if (reached.has(path)) {
    return
  }
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run \`node scripts/build.mjs\` first`)
  }
  const text = readFileSync(path, 'utf8')
  reached.set(path, text)
  for (const [, from] of text.matchAll(/\b(?:from |import\()['"](\.[^'"]+)['"]/g)) {
    const base = resolve(dirname(path), from.replace(/\.js$/, ''))
    reach([`${base}.d.ts`, join(base, 'index.d.ts')].find(existsSync) ?? `${base}.d.ts`)
  }
}

function marked(name, text) {
  return `// Generated from lib/${name.replace(/\.d\.ts$/, '.ts')} by scripts/declarations.mjs: do not edit.\n${text}`
}

function nameOf(folder, path) {
  return relative(folder, path).split(sep).join('/')
}

function filesOf(folder) {
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    : []
}
