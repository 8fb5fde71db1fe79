// Keeps the declarations of what is public under `types/`, where changes of them are reviewed. The package itself brings
// those in `dist/`, of which these are copies.
//
//     node scripts/declarations.mjs            writes them, from `dist/`
//     node scripts/declarations.mjs --check    fails where they differ

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keepDeclarations } from '../../bindings-node/scripts/kept.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values(exports).filter((to) => to.endsWith('.js'))
keepDeclarations(root, entries, { check: process.argv.includes('--check') })
