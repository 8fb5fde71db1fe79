// Builds the package into `dist/`: TypeScript as CommonJS, an ES module beside each entry that hands the same objects on, and
// the native part where cargo has left it.
//
//     node scripts/build.mjs [PATH OF THE NATIVE LIBRARY]

import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const dist = join(root, 'dist')
const library = process.argv[2]

rmSync(dist, { recursive: true, force: true })
const tsc = require.resolve('typescript/bin/tsc', { paths: [root] })
execFileSync(process.execPath, [tsc, '--project', root], { stdio: 'inherit' })

if (library !== undefined) {
  const { platform } = require(join(dist, 'platform.js'))
  copyFileSync(resolve(library), join(dist, `leasehold.${platform()}.node`))
}

// One implementation, whichever way it is loaded: classes are the same ones.
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
for (const [entry, { import: module, require: script }] of Object.entries(exports).filter(([, to]) => to.import)) {
  const declarations = join(root, script.replace(/\.js$/, '.d.ts'))
  if (!existsSync(declarations)) {
    throw new Error(`${entry}: ${declarations} was not built`)
  }
  const file = script.split('/').at(-1)
  const source = readFileSync(join(root, script), 'utf8')
  const names = [...valuesOf(join(root, script), source)].sort()
  const lines = [`import entry from './${file}'`, ...names.map((name) => `export const ${name} = entry.${name}`), '']
  writeFileSync(join(root, module), lines.join('\n'))
  writeFileSync(join(root, module.replace(/\.mjs$/, '.d.mts')), `export * from './${file}'\n`)
}

/** The names of the values that a module exports, those of the modules that it hands on included. */
function valuesOf(path, source) {
  const names = new Set([...source.matchAll(/^exports\.(\w+) = (?!void 0)/gm)].map(([, name]) => name))
  for (const [, name] of source.matchAll(/^Object\.defineProperty\(exports, "(\w+)"/gm)) {
    names.add(name)
  }
  for (const [, from] of source.matchAll(/^__exportStar\(require\("(\.[^"]+)"\), exports\)/gm)) {
    const file = [`${from}.js`, `${from}/index.js`].map((name) => resolve(dirname(path), name)).find(existsSync)
    valuesOf(file, readFileSync(file, 'utf8')).forEach((name) => names.add(name))
  }
  names.delete('__esModule')
  return names
}
