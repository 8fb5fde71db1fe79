// Declarations as they are checked in: for the packages for Node and for browsers.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

/**
 * Keeps the declarations of a package's entries, which lie in its `dist/`, under `types/`, where changes of them are reviewed;
 * or only checks that they are those. `entries` are the JavaScript files, from the package's folder on.
 */
export function keepDeclarations(root, entries, { check }) {
  const dist = join(root, 'dist')
  const types = join(root, 'types')
  const reached = new Map()
  entries.forEach((script) => reach(reached, join(root, script.replace(/\.js$/, '.d.ts'))))
  const marked = ([path, text]) => {
    const name = nameOf(dist, path)
    const source = ['.ts', '.tsx']
      .map((end) => name.replace(/\.d\.ts$/, end))
      .find((it) => existsSync(join(root, 'lib', it)))
    return [name, `// Generated from lib/${source} by scripts/declarations.mjs: do not edit.\n${text}`]
  }
  const wanted = new Map([...reached].map(marked))
  const committed = new Map(filesOf(types).map((path) => [nameOf(types, path), readFileSync(path, 'utf8')]))
  const differing = [...new Set([...wanted.keys(), ...committed.keys()])]
    .filter((name) => wanted.get(name) !== committed.get(name))
    .sort()
  if (check) {
    tell(differing, wanted, committed)
  } else {
    write(differing, wanted, types)
  }
}

function tell(differing, wanted, committed) {
  for (const name of differing) {
    const why = !wanted.has(name) ? 'is of nothing that is public' : committed.has(name) ? 'differs' : 'is missing'
    console.error(`types/${name} ${why}`)
  }
  if (differing.length > 0) {
    console.error('build, look at what changed, and run `node scripts/declarations.mjs`')
    process.exit(1)
  }
}

function write(differing, wanted, types) {
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
function reach(reached, path) {
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
    reach(reached, [`${base}.d.ts`, join(base, 'index.d.ts')].find(existsSync) ?? `${base}.d.ts`)
  }
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
