// The services: programs that are asked in lines of JSON, and pages. All of them answer the same requests.

import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { program } from '../../../crates/bindings-node/test/support/desk.mjs'

const here = join(import.meta.dirname, '../services')
export const built = dirname(program)
const python = process.env.LEASEHOLD_PYTHON ?? join(built, '../python/tested/bin/python')

/** Short enough for a test that breaks everything, and longer than the 10 seconds between two heartbeats of HQ. */
const PATIENCE = {
  answer_ms: 5_000,
  silence_ms: 15_000,
  pause_min_ms: 100,
  pause_max_ms: 1_000,
  poll_ms: 1_000,
  backoff_min_ms: 100,
  backoff_max_ms: 1_000,
}
const { poll_ms, backoff_min_ms, backoff_max_ms, ...http } = PATIENCE

const camel = (options) =>
  Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]),
  )

/** A program that follows HQ for the tenants of its region. */
class Program {
  #waiting = new Map()
  #last = 0

  constructor(name, command, options, tenants) {
    Object.assign(this, { name, tenants })
    this.process = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.ended = new Promise((end) => this.process.on('close', (code, signal) => end(signal ?? code)))
    void this.ended.then((how) => {
      this.#waiting.forEach(({ reject }) => reject(new Error(`${name} has ended: ${how}`)))
      this.#waiting.clear()
    })
    this.process.stdin.on('error', () => undefined)
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      const { id, error, ...answer } = JSON.parse(line)
      const { resolve, reject } = this.#waiting.get(id)
      this.#waiting.delete(id)
      error === undefined ? resolve(answer) : reject(new Error(`${name}: ${error}`))
    })
    this.started = this.ask({ call: 'follow', ...options })
  }

  async ask(request) {
    this.#last += 1
    const id = this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.process.stdin.write(`${JSON.stringify({ ...request, id })}\n`)
    })
  }

  /** Ends it as whoever closes its input does, and gives how it ended. */
  async close() {
    this.process.stdin.end()
    return this.ended
  }
}

/** A page that follows HQ for its one tenant. */
class Page {
  constructor(page, options, tenant) {
    Object.assign(this, { name: `page of ${tenant}`, tenants: [tenant], page })
    this.started = this.#start(options)
  }

  async #start(options) {
    await this.page.waitForFunction(() => globalThis.serve !== undefined)
    await this.ask({ call: 'follow', options })
  }

  async ask(request) {
    const { error, ...answer } = await this.page.evaluate((request) => globalThis.serve(request), request)
    if (error !== undefined) {
      throw new Error(`${this.name}: ${error}`)
    }
    return answer
  }

  async close() {
    await this.ask({ call: 'close' })
    await this.page.close()
    return 0
  }
}

/** In Rust, Node and Python, each for all of these tenants. `optionsOf` gives what an engine of some name follows HQ with. */
export async function programs(optionsOf, tenants) {
  const { url, token, trust, engineId } = await optionsOf('rust')
  const rust = { url, token, trust, engine_id: engineId, ...PATIENCE }
  const node = { ...(await optionsOf('node')), ...camel(PATIENCE) }
  const { engineId: engine_id, ...follows } = await optionsOf('python')
  const inPython = { ...follows, engine_id, poll_ms, backoff_min_ms, backoff_max_ms, http }
  return [
    new Program('Rust', [join(built, 'examples/follow_hq')], rust, tenants),
    new Program('Node', [process.execPath, join(here, 'node.mjs')], { options: node }, tenants),
    new Program('Python', [python, join(here, 'service.py')], { options: inPython }, tenants),
  ]
}

/** In a page that was opened, for its one tenant. */
export const pageOf = (page, options) => new Page(page, { ...options, ...camel(PATIENCE) }, options.tenant)
