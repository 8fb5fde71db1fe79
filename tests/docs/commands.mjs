// What can be said of a command without running it: that there is such a command, target, package or file.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { read, root } from './blocks.mjs'

/** Packages of Rust by name, and the folders that they are in. */
const packages = new Map(
  [...readdirSync(join(root, 'crates')).map((name) => `crates/${name}`), 'benches', 'fuzz', 'benches/peers/rust']
    .filter((folder) => existsSync(join(root, folder, 'Cargo.toml')))
    .map((folder) => [/^name = "(.*)"$/m.exec(read(`${folder}/Cargo.toml`))[1], folder]),
)
const KINDS = { '--bench': 'benches', '--test': 'tests', '--example': 'examples', '--bin': 'src/bin' }

/** What is wrong with a command, if anything can be said of it. */
export function checkCommand(line) {
  const [program, ...words] = line.replace(/^(?:[A-Z_]+=\S+ +)+/, '').split(/ +/)
  if (program === 'cargo') {
    if (words[0] === 'xtask') {
      return checkXtask(words.slice(1))
    }
    return words[0] === '+nightly' ? checkFuzz(words.slice(1)) : checkCargo(words.slice(1))
  }
  if (program === 'npm' && words[0] === 'install') {
    return words.slice(1).map(checkNpm).find(Boolean)
  }
  return program === 'pip' && words[0] === 'install' ? words.slice(1).map(checkPip).find(Boolean) : undefined
}

function checkXtask([command, ...options]) {
  if (command === undefined) {
    return undefined
  }
  const source = 'crates/xtask/src'
  const variant = `${command[0].toUpperCase()}${command.slice(1)}`
  const found = new RegExp(`^    ${variant}(?:\\((\\w+)::Options\\))?,$`, 'm').exec(read(`${source}/main.rs`))
  if (found === null) {
    return `there is no command ${command}`
  }
  const text = found[1] === undefined ? '' : read(`${source}/${found[1]}.rs`)
  for (const [at, option] of options.entries()) {
    const name = option.slice(2).replaceAll('-', '_')
    if (option.startsWith('--') && option !== '--help' && !new RegExp(`arg\\(long[^\\n]*\\n    ${name}:`).test(text)) {
      return `${command} has no option ${option}`
    }
    const only = options[at + 1]
    // In capitals it stands for any.
    if (option === '--only' && only !== only.toUpperCase()) {
      const names = command === 'test' ? read(`${source}/suites.rs`) : text
      const variantOf = `${only[0].toUpperCase()}${only.slice(1)}`
      if (!names.includes(command === 'test' ? `name: "${only}"` : `    ${variantOf},\n`)) {
        return `${command} has no ${only}`
      }
    }
  }
  return undefined
}

function checkFuzz(words) {
  const target = words[2]
  if (words[0] !== 'fuzz' || !['run', 'tmin'].includes(words[1])) {
    return 'no command of cargo-fuzz that pages tell'
  }
  if (target !== 'TARGET' && !existsSync(join(root, `fuzz/fuzz_targets/${target}.rs`))) {
    return `there is no target ${target}`
  }
  const dictionary = words.find((word) => word.startsWith('-dict='))?.slice(6)
  return dictionary === undefined || existsSync(join(root, dictionary)) ? undefined : `there is no ${dictionary}`
}

function checkCargo(words) {
  let folder
  for (const [at, word] of words.entries()) {
    const value = words[at + 1]
    if (word === '--') {
      break
    }
    if (word === '-p' || word === '--package') {
      folder = packages.get(value)
      if (folder === undefined) {
        return `there is no package ${value}`
      }
    }
    if (KINDS[word] !== undefined) {
      const place = join(root, folder, KINDS[word], value)
      const manifest = read(`${folder}/Cargo.toml`)
      const isNamed = new RegExp(`^\\[\\[${word.slice(2)}\\]\\]\nname = "${value}"$`, 'm').test(manifest)
      const isFound = existsSync(`${place}.rs`) || existsSync(join(place, 'main.rs'))
      if (!isNamed && (!isFound || manifest.includes(`auto${word.slice(2)}s = false`))) {
        return `${folder} has no ${word.slice(2)} ${value}`
      }
    }
    // Of tests those of one module.
    if (word.endsWith('::') && !read(`${folder}/tests/main.rs`).includes(`\nmod ${word.slice(0, -2)};\n`)) {
      return `the tests of ${folder} have no module ${word.slice(0, -2)}`
    }
    if (word === '--features' && !new RegExp(`^${value} = \\[`, 'm').test(read(`${folder}/Cargo.toml`))) {
      return `${folder} has no feature ${value}`
    }
  }
  return undefined
}

const described = ['crates/bindings-node', 'crates/bindings-wasm', 'tests/ofrep'].map((folder) =>
  JSON.parse(read(`${folder}/package.json`)),
)
const ours = described.slice(0, 2).map(({ name }) => name)

function checkNpm(word) {
  const isKnown =
    ours.includes(word) || described.some((one) => ({ ...one.dependencies, ...one.devDependencies })[word])
  return word.startsWith('-') || isKnown
    ? undefined
    : `no package of ours is called ${word}, and none is tested with it`
}

function checkPip(word) {
  if (word.startsWith('-') || word === '.' || word.includes('/') || word.endsWith('.txt')) {
    return undefined
  }
  const [, name, extra] = /^'?([a-z-]+)(?:\[([a-z]+)\])?'?$/.exec(word) ?? []
  const project = read('crates/bindings-python/pyproject.toml')
  if (name !== /^name = "(.*)"$/m.exec(project)[1]) {
    return read('tests/ofrep/requirements.txt').includes(`\n${name}==`) ? undefined : `nothing is called ${word}`
  }
  if (extra !== undefined && !word.startsWith("'")) {
    return 'shells such as zsh want brackets in quotes'
  }
  return extra === undefined || project.includes(`\n${extra} = [`) ? undefined : `there is no extra ${extra}`
}
