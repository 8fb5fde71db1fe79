// A folder in which code of the pages runs as an app's own code would, with packages in reach as npm installs them.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './blocks.mjs'

export const NODE = join(root, 'crates/bindings-node')
export const WEB = join(root, 'crates/bindings-wasm')

export class Workshop {
  #modules = 0

  /** With these packages by name, and all that is installed in the folders of `beside`. */
  static async open(packages, beside) {
    const workshop = new Workshop()
    workshop.folder = await mkdtemp(join(tmpdir(), 'leasehold-docs-'))
    const modules = workshop.at('node_modules')
    await mkdir(modules)
    const links = new Map()
    for (const folder of beside) {
      const installed = join(folder, 'node_modules')
      for (const name of await readdir(installed)) {
        links.set(name, join(installed, name))
      }
    }
    Object.entries(packages).forEach(([name, folder]) => links.set(name, folder))
    for (const [name, folder] of links) {
      await symlink(folder, join(modules, name), 'junction')
    }
    return workshop
  }

  at(...names) {
    return join(this.folder, ...names)
  }

  /** Runs a module that finds `given` as variables, and hands out those that `gives` names. */
  async run(text, { given = {}, gives = [] } = {}) {
    this.#modules += 1
    const name = `snippet_${this.#modules}`
    globalThis[name] = given
    const frame = `let { ${Object.keys(given).join(', ')} } = globalThis.${name}`
    await writeFile(this.at(`${name}.mjs`), `${frame}\n${text}\nexport { ${gives.join(', ')} }\n`)
    return import(pathToFileURL(this.at(`${name}.mjs`)).href)
  }

  async close() {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Code whose questions have their answers in comments: it pushes to `answers` what comes, and `told` is what is said. */
export function asking(text) {
  const told = []
  const code = text.replaceAll(/^(tenant\..*) \/\/ (true|false|'.*')$/gm, (_, question, answer) => {
    told.push(answer.startsWith("'") ? answer.slice(1, -1) : answer === 'true')
    return `answers.push(${question})`
  })
  assert.ok(told.length > 0, `no answers are told in:\n${text}`)
  return { code, told }
}

/** Gives the value of the last statement, which is an expression, as `answer`. */
export function answering(text) {
  const lines = text.trimEnd().split('\n')
  return [...lines.slice(0, -1), `const answer = ${lines.at(-1)}`].join('\n')
}
