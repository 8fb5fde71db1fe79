// A Postgres that can crash, because nobody else uses it.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { built } from './services.mjs'

export class Cluster {
  static async open() {
    const cluster = new Cluster()
    const environment = { ...process.env }
    delete environment.DATABASE_URL
    cluster.process = spawn(join(built, 'examples/private_cluster'), ['--migrate'], {
      env: environment,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cluster.ended = new Promise((end) => cluster.process.on('close', end))
    cluster.lines = createInterface({ input: cluster.process.stdout })[Symbol.asyncIterator]()
    cluster.url = await cluster.#line()
    return cluster
  }

  /** Stops it as a crash would. */
  async crash() {
    await this.#does('crash')
  }

  /** Starts it again. */
  async resume() {
    await this.#does('resume')
  }

  async close() {
    this.process.stdin.end()
    await this.ended
  }

  async #does(word) {
    this.process.stdin.write(`${word}\n`)
    await this.#line()
  }

  async #line() {
    const { value, done } = await this.lines.next()
    if (done) {
      throw new Error('the private cluster has ended')
    }
    return value
  }
}
