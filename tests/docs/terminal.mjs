// A shell in a folder of its own, into which lines of `console` blocks are typed.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { program } from '../../crates/bindings-node/test/support/desk.mjs'
import { until } from '../../crates/bindings-node/test/support/wait.mjs'
import { root } from './blocks.mjs'

/** What pages write in place of `leasehold` where somebody works in a clone; private_cluster is built beside it. */
const BUILT = {
  'cargo run --quiet --package leasehold-hq --bin leasehold --': 'leasehold',
  'cargo run -p leasehold-postgres --features cluster --example private_cluster --':
    'env -u DATABASE_URL private_cluster',
}

/** The commands of a block, each with the output that is shown behind it. */
export function commandsOf(text) {
  const commands = []
  let goesOn = false
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('$ ')) {
      commands.push({ line: line.slice(2), output: '' })
    } else if (goesOn) {
      commands.at(-1).line += `\n${line}`
    } else {
      commands.at(-1).output += `${line}\n`
    }
    goesOn = line.endsWith('\\')
  }
  return commands
}

export class Terminal {
  #databases = []
  #staying = []

  /** In a new folder with these files of the repository, or in one that is there. */
  static async open({ files = [], at, environment = {}, path = [] } = {}) {
    const terminal = new Terminal()
    terminal.home = await mkdtemp(join(tmpdir(), 'leasehold-docs-'))
    terminal.folder = at ?? join(terminal.home, 'work')
    if (at === undefined) {
      await mkdir(terminal.folder)
    }
    for (const [name, source] of Object.entries(files)) {
      await mkdir(dirname(terminal.at(name)), { recursive: true })
      await cp(join(root, source), terminal.at(name), { recursive: true })
    }
    const bin = join(terminal.home, 'bin')
    await mkdir(bin)
    await symlink(program, join(bin, 'leasehold'))
    await symlink(join(dirname(program), 'examples/private_cluster'), join(bin, 'private_cluster'))
    const own = Object.entries(process.env).filter(([name]) => !/^(LEASEHOLD_|DATABASE_URL$|NODE_)/.test(name))
    const PATH = [bin, ...path, process.env.PATH].join(delimiter)
    const env = { ...Object.fromEntries(own), HOME: terminal.home, PATH, ...environment }
    terminal.shell = spawn('bash', ['--norc', '--noprofile'], {
      cwd: terminal.folder,
      env,
      stdio: 'pipe',
      detached: true,
    })
    terminal.said = ''
    for (const stream of [terminal.shell.stdout, terminal.shell.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (terminal.said += text))
    }
    return terminal
  }

  at(...names) {
    return join(this.folder, ...names)
  }

  /** Types one line, and gives what came and the code with which it ended. */
  async does(line) {
    const mark = randomUUID()
    const start = this.said.length
    this.shell.stdin.write(`{ ${line}\n} 2>&1; echo "${mark} $?"\n`)
    const ended = new RegExp(`${mark} (\\d+)\\n`)
    // A compiler may have to build all that something depends on.
    const [, code] = await until(line, () => ended.exec(this.said.slice(start)) ?? this.#isGone(), 1_800_000)
    const output = this.said.slice(start).replace(ended, '')
    return { output, code: Number(code) }
  }

  #isGone() {
    assert.equal(this.shell.exitCode, null, `the shell has ended: ${this.said}`)
  }

  /**
   * Types the lines of a block, and compares what comes with what is shown. `replace` says what of the page stands for something
   * else: texts, or functions of what came before. `leave` are lines that are not typed. `stay` is what the output of the last
   * line has to match while it goes on running.
   */
  async types(text, { replace = {}, leave = [], stay } = {}) {
    const outputs = []
    const used = new Set()
    const commands = commandsOf(text).filter(
      ({ line }) => !leave.some((start) => line.startsWith(start) && used.add(start)),
    )
    let found
    for (const [at, { line, output }] of commands.entries()) {
      let typed = line
      for (const [from, to] of Object.entries({ ...BUILT, ...replace })) {
        if (typed.includes(from)) {
          used.add(from)
          typed = typed.replaceAll(from, () => (typeof to === 'function' ? to(outputs) : to))
        }
      }
      assert.ok(!typed.includes('…'), `nothing stands for … in: ${typed}`)
      if (stay !== undefined && at === commands.length - 1) {
        found = await this.#stays(typed, stay)
        continue
      }
      const { output: actual, code } = await this.does(typed)
      assert.equal(code, 0, `$ ${typed}\n${actual}`)
      // A program that asks over HTTP ends well, whatever the answer is.
      if (!output.includes('urn:leasehold:problem:')) {
        assert.ok(!actual.includes('urn:leasehold:problem:'), `$ ${typed}\n${actual}`)
      }
      if (output !== '') {
        assert.match(actual.trim(), pattern(output), `$ ${typed}\n${actual}`)
      }
      outputs.push(actual)
    }
    const forgotten = [...Object.keys(replace), ...leave].filter((one) => !used.has(one))
    assert.deepEqual(forgotten, [], 'said of the block, and not in it')
    return { outputs, found }
  }

  /** Starts what does not end, and waits until its output has what is looked for. */
  async #stays(line, looksFor) {
    const file = join(this.home, `stays_${this.#staying.length}`)
    const { output } = await this.does(`{ ${line}\n} > ${file} 2>&1 & echo $!`)
    this.#staying.push(Number(output))
    return until(line, async () => {
      const said = await readFile(file, 'utf8')
      const { code } = await this.does(`kill -0 ${Number(output)} 2> /dev/null`)
      assert.equal(code, 0, `it has ended: ${line}\n${said}`)
      const found = [looksFor].flat().map((pattern) => pattern.exec(said))
      return found.every((one) => one !== null) ? { matches: found, file } : undefined
    })
  }

  /** A new database, on the server that DATABASE_URL names. */
  async database() {
    const name = `leasehold_docs_${randomUUID().replaceAll('-', '')}`
    await inServer(`CREATE DATABASE ${name}`)
    this.#databases.push(name)
    return process.env.DATABASE_URL.replace(/\/[^/?]*(?=\?|$)/, `/${name}`)
  }

  async close() {
    // The shell leads a group, in which is all that it has started.
    process.kill(-this.shell.pid, 'SIGTERM')
    await until('all has ended', () => {
      try {
        return process.kill(-this.shell.pid, 0) && undefined
      } catch {
        return true
      }
    })
    for (const name of this.#databases) {
      await inServer(`DROP DATABASE ${name} WITH (FORCE)`)
    }
    await rm(this.home, { recursive: true, force: true })
  }
}

const inServer = async (statement) =>
  promisify(execFile)('psql', ['--quiet', '--no-psqlrc', process.env.DATABASE_URL, '--command', statement])

/** Output as it is shown: `…` stands for anything, white space for any. JSON may come in one line. */
function pattern(shown) {
  const plain = shown.trim()
  const white = plain.startsWith('{\n') ? '\\s*' : '\\s+'
  const parts = plain
    .split(/(\s+|…)/)
    .filter(Boolean)
    .map((part) => {
      return part === '…' ? '[^]*' : part.trim() === '' ? white : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    })
  return new RegExp(parts.join(''))
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer()
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address()
  await new Promise((closed) => server.close(closed))
  return port
}
