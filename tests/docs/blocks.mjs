// The pages that the repository shows to users, and the fenced blocks of code in them.

import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CLAIMS } from './claims.mjs'

export const root = resolve(import.meta.dirname, '../..')

/** Every page, by its path below the root. */
export const pages = [
  ...within('.').filter((name) => name.endsWith('.md')),
  ...within('docs').filter((name) => name.endsWith('.md')),
  ...['crates', 'examples', 'tests', 'benches/peers'].flatMap((folder) =>
    within(folder).map((name) => `${name}/README.md`),
  ),
  'benches/README.md',
  'fuzz/README.md',
].filter((path) => existsSync(join(root, path)))

function within(folder) {
  return readdirSync(join(root, folder))
    .map((name) => (folder === '.' ? name : `${folder}/${name}`))
    .sort()
}

export function read(path) {
  return readFileSync(join(root, path), 'utf8')
}

/** The blocks of a page in their order: where each begins, the words behind its fence, its text. */
export function blocksOf(page) {
  const blocks = []
  let open
  read(page)
    .split('\n')
    .forEach((line, at) => {
      const fence = /^ *```(.*)$/.exec(line)
      if (open === undefined && fence !== null) {
        open = { page, number: blocks.length + 1, line: at + 1, language: fence[1], text: '' }
      } else if (open !== undefined && fence !== null) {
        assert.equal(fence[1], '', `${page}:${at + 1}: a block begins within another one`)
        blocks.push(open)
        open = undefined
      } else if (open !== undefined) {
        open.text += `${line}\n`
      }
    })
  assert.equal(open, undefined, `${page}: the last block has no end`)
  return blocks
}

/**
 * The blocks that one runner has to run. `take` gives the text of one, and `done` fails where the claims name another that was
 * not taken: a runner cannot pass over what it claims.
 */
export class Blocks {
  #left

  constructor(runner) {
    this.runner = runner
    this.#left = new Map(
      Object.entries(CLAIMS).flatMap(([page, runners]) =>
        blocksOf(page)
          .filter((_, at) => runners[at] === runner)
          .map((block) => [`${page}#${block.number}`, block]),
      ),
    )
    this.all = new Map(this.#left)
  }

  /** The text of a block; every `…` in it is replaced by what is given, in turn. */
  take(page, number, ...elided) {
    const name = `${page}#${number}`
    const block = this.all.get(name)
    assert.ok(block !== undefined, `${name} is not claimed by the runner ${this.runner}: look at claims.mjs`)
    this.#left.delete(name)
    return elided.length === 0 ? block.text : fill(name, block.text, elided)
  }

  done() {
    assert.deepEqual([...this.#left.keys()], [], `claimed by the runner ${this.runner}, and not run`)
  }
}

function fill(name, text, elided) {
  const parts = text.split('…')
  assert.equal(parts.length - 1, elided.length, `${name}: there is another number of … than are filled in`)
  return parts.map((part, at) => part + (elided[at] ?? '')).join('')
}

/** The text with each of these pieces replaced; all of them have to be in it. */
export function replaced(text, pieces) {
  return Object.entries(pieces).reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `there is no ${JSON.stringify(from)} in:\n${text}`)
    return text.replaceAll(from, () => to)
  }, text)
}
