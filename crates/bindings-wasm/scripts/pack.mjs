// Makes the tarball that is published, of what `build.mjs` left in `dist/`.
//
//     node scripts/pack.mjs DIR

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fail, pack, sameVersion } from '../../bindings-node/scripts/tarball.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const described = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const [folder] = process.argv.slice(2)
if (folder === undefined) {
  fail('usage: node scripts/pack.mjs DIR')
}
if (!existsSync(join(dist, 'core_bg.wasm'))) {
  fail('`dist/` has no WebAssembly: run `cargo xtask web` first')
}
sameVersion(described)
mkdirSync(folder, { recursive: true })
const { private: _private, scripts: _scripts, devDependencies: _devDependencies, ...published } = described
pack(folder, published, (staging) => {
  cpSync(dist, join(staging, 'dist'), { recursive: true })
  copyFileSync(join(root, 'README.md'), join(staging, 'README.md'))
})
