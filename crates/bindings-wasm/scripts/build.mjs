// Builds the package into `dist/`, of what `cargo xtask web` has left in `wasm/`: the WebAssembly made small, the TypeScript
// bundled as ES modules, and its declarations. Prints what each build weighs.
//
//     node scripts/build.mjs

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { marked } from './marked.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const dist = join(root, 'dist')
const { exports, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.values(exports)
  .filter((path) => path.endsWith('.js'))
  .map((path) => path.replace(/^\.\/dist\/(.*)\.js$/, '$1'))

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)

// What wasm-opt may use: all that the browsers of the last three years have.
const FEATURES = ['bulk-memory', 'mutable-globals', 'nontrapping-float-to-int', 'reference-types', 'sign-ext']
// Twice, since the second time still finds something, and a third would not. By their names, copies of generic functions stand
// beside each other, where gzip finds them alike. Nothing lies in the first kilobyte of memory but the end of the stack, so that
// offsets may be folded into what is loaded.
const PASSES = ['--low-memory-unused', '-Oz', '-Oz', '--reorder-functions-by-name']
const wasmOpt = join(dirname(require.resolve('binaryen/package.json')), 'bin', 'wasm-opt')
const run = promisify(execFile)

/** Makes a build's WebAssembly small. */
async function small(name) {
  const [from, to] = [join(root, 'wasm', `${name}_bg.wasm`), join(dist, `${name}_bg.wasm`)]
  const features = FEATURES.map((feature) => `--enable-${feature}`)
  const stripped = ['--strip-debug', '--strip-producers', '--strip-target-features']
  await run(process.execPath, [wasmOpt, ...PASSES, ...stripped, ...features, from, '-o', to])
  writeFileSync(to, marked(readFileSync(to), `${version} ${name}`))
}

// Side by side: each takes one core for half a minute.
await Promise.all(['core', 'full'].map(small))

await build({
  absWorkingDir: root,
  entryPoints: entries.map((entry) => ({ in: source(entry), out: entry })),
  outdir: dist,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  platform: 'browser',
  jsx: 'automatic',
  // A symbolic link stands for the file where it lies: what is beside it is of this package.
  preserveSymlinks: true,
  packages: 'external',
  define: { VERSION: JSON.stringify(version) },
  chunkNames: 'chunk-[hash]',
})

execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '--project', root], { stdio: 'inherit' })
for (const name of readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.d.ts'))) {
  // Under Node's resolution, modules are named with their extension.
  const path = join(dist, name)
  const text = readFileSync(path, 'utf8').replace(/(\bfrom |import\()(['"])(\.[^'"]*?)(?:\.js)?\2/g, '$1$2$3.js$2')
  writeFileSync(path, text)
}

for (const name of ['core', 'full']) {
  const bytes = readFileSync(join(dist, `${name}_bg.wasm`))
  const kib = (length) => `${(length / 1024).toFixed(1)} KiB`
  const { length: gzip } = gzipSync(bytes, { level: 9 })
  console.log(`${name}: ${kib(bytes.length)}, ${kib(gzip)} gzip, ${kib(brotliCompressSync(bytes).length)} brotli`)
}

function source(entry) {
  const folder = readdirSync(join(root, 'lib'))
  return join('lib', folder.includes(`${entry}.tsx`) ? `${entry}.tsx` : `${entry}.ts`)
}
