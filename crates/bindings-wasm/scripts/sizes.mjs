// What each build weighs, and of that what weighs what.
//
//     node scripts/sizes.mjs            prints the table
//     node scripts/sizes.mjs --write    writes `sizes.json`: what may be weighed from now on, 3 % above what is

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'

const root = resolve(import.meta.dirname, '..')
const BUDGETS = join(root, 'scripts/sizes.json')
const BUILDS = ['core', 'full']
const ROOM = 1.03

/** What was asked for, in bytes after gzip. Neither build is there: what the engine does takes more; see the table. */
const ASKED = { core: 120 * 1024, full: 270 * 1024 }

/** What a function belongs to, by its name: the first that fits. What was inlined counts where it ended up. */
const GROUPS = [
  ['rhai', /\b(rhai|smartstring|thin_vec|ahash)\b/],
  ['crypto', /\b(sha2|curve25519_dalek|ed25519_dalek|ed25519|subtle|digest)\b/],
  ['serde', /\b(serde(_core|_json)?|zmij|itoa)\b/],
  ['fmt', /\bcore(\[\w+\])?::fmt\b|\balloc::fmt\b/],
  ['std: sorting', /::slice::sort::/],
  ['std: BTreeMap', /::btree::/],
  ['std: HashMap', /\b(hashbrown|rapidhash)\b/],
  ['std: iterators', /::iter::|spec_from_iter|spec_extend|SpecExtend/],
  ['std: dropping', /drop_in_place|::drop::Drop|drop_slow/],
  ['time', /\bjiff\b|\bleasehold::time\b/],
  ['bindings', /\b(leasehold_wasm|wasm_bindgen|js_sys)\b|\bleasehold::bindings\b|^(?!mem)[a-zA-Z]+(_\w+)?$|__wb/],
  ['workflow', /\bleasehold::(workflow|merge)\b/],
  ['compile', /\bleasehold::(build|compile|rules)\b/],
  ['decide', /\bleasehold::(decide|snapshot|open_feature)\b/],
  ['explain', /\bleasehold::(explain|diff|what_if)\b/],
  ['follow', /\bleasehold::follow\b/],
  ['wire', /\bleasehold::(wire|hash)\b/],
  ['model', /\bleasehold::(model|id|error)\b/],
  ['std: the rest', /\b(core|alloc|std|dlmalloc|memchr|compiler_builtins|__rustc)\b|^mem(cpy|move|set|cmp|chr)$/],
]
const OTHERS = 'others'
/** The numbers of sections of WebAssembly, and of a part of the one that has names. */
const [CODE, DATA, FUNCTION_NAMES] = [10, 11, 1]

const gzip = (bytes) => gzipSync(bytes, { level: 9 }).length

/** Of each build: what it weighs, what it may weigh, and what was asked for, in bytes after gzip. */
export function sizes() {
  const budgets = existsSync(BUDGETS) ? JSON.parse(readFileSync(BUDGETS, 'utf8')) : {}
  return BUILDS.map((build) => ({
    build,
    weighs: gzip(readFileSync(join(root, `dist/${build}_bg.wasm`))),
    budget: budgets[build],
    asked: ASKED[build],
  }))
}

/** A table of what weighs what, in KiB. */
export function table() {
  const parts = BUILDS.map((build) => partsOf(readFileSync(join(root, `wasm/${build}_bg.wasm`))))
  const labels = [...new Set(parts.flatMap((part) => [...part.keys()]))]
  const kib = (bytes) => ((bytes ?? 0) / 1024).toFixed(1).padStart(9)
  const row = (label, values) => `${label.padEnd(24)}${values.map(kib).join('')}`
  const rows = labels
    .map((label) => [label, parts.map((part) => part.get(label) ?? 0)])
    .sort(([, one], [, other]) => other.at(-1) - one.at(-1))
  const sum = parts.map((part) => [...part.values()].reduce((sum, bytes) => sum + bytes, 0))
  const weighed = sizes()
  return [
    `${'KiB'.padEnd(24)}${BUILDS.map((build) => build.padStart(9)).join('')}`,
    ...rows.map(([label, values]) => row(label, values)),
    row('all, as cargo left it', sum),
    row(
      'after wasm-opt',
      BUILDS.map((build) => readFileSync(join(root, `dist/${build}_bg.wasm`)).length),
    ),
    row(
      'after gzip',
      weighed.map(({ weighs }) => weighs),
    ),
    row(
      'budget',
      weighed.map(({ budget }) => budget),
    ),
    row(
      'asked for',
      weighed.map(({ asked }) => asked),
    ),
  ].join('\n')
}

/** How many bytes belong to what, of WebAssembly that still has the names of its functions. */
function partsOf(wasm) {
  const module = new WebAssembly.Module(wasm)
  const imported = WebAssembly.Module.imports(module).filter(({ kind }) => kind === 'function').length
  const names = namesOf(module)
  const parts = new Map()
  const add = (label, bytes) => parts.set(label, (parts.get(label) ?? 0) + bytes)
  const sections = new Reader(wasm, 8)
  while (!sections.isOver) {
    const id = sections.byte()
    const section = sections.block()
    if (id === CODE) {
      for (let at = imported, end = imported + section.number(); at < end; at += 1) {
        const { length } = section.block()
        add(groupOf(names.get(at) ?? ''), length)
      }
    } else if (id === DATA) {
      add('data', section.length)
    }
  }
  return parts
}

function groupOf(name) {
  return GROUPS.find(([, pattern]) => pattern.test(name))?.[0] ?? OTHERS
}

/** The names of functions by their numbers. */
function namesOf(module) {
  const [section] = WebAssembly.Module.customSections(module, 'name')
  if (section === undefined) {
    throw new Error('the functions have no names: build the WebAssembly with `cargo xtask web`')
  }
  const names = new Map()
  const parts = new Reader(new Uint8Array(section))
  while (!parts.isOver) {
    const id = parts.byte()
    const part = parts.block()
    for (let left = id === FUNCTION_NAMES ? part.number() : 0; left > 0; left -= 1) {
      names.set(part.number(), part.block().text())
    }
  }
  return names
}

/** Reads what WebAssembly is written in: bytes, numbers in LEB128, and blocks with their length before them. */
class Reader {
  #bytes
  #at

  constructor(bytes, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get length() {
    return this.#bytes.length
  }

  get isOver() {
    return this.#at >= this.#bytes.length
  }

  byte() {
    return this.#bytes[this.#at++]
  }

  number() {
    let [number, factor, byte] = [0, 1, 0]
    do {
      byte = this.byte()
      number += (byte & 0x7f) * factor
      factor *= 0x80
    } while (byte >= 0x80)
    return number
  }

  block() {
    const length = this.number()
    this.#at += length
    return new Reader(this.#bytes.subarray(this.#at - length, this.#at))
  }

  text() {
    return new TextDecoder().decode(this.#bytes)
  }
}

if (process.argv[1] === import.meta.filename) {
  if (process.argv.includes('--write')) {
    const budgets = sizes().map(({ build, weighs }) => [build, Math.ceil(weighs * ROOM)])
    writeFileSync(BUDGETS, `${JSON.stringify(Object.fromEntries(budgets), null, 2)}\n`)
  }
  console.log(table())
}
