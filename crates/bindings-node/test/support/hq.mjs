// HQ as it is: the program `leasehold serve` on a database of its own, on the server that DATABASE_URL names.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Desk, program } from './desk.mjs'
import { until } from './wait.mjs'

// Of the package that is tested: the one for Node and the one for browsers share this file.
const pg = createRequire(join(process.cwd(), 'package.json'))('pg')

const STREAM = 'GCC-OM'

export class Hq {
  /** With the example's definitions in force; pages of these origins may ask it. */
  static async open({ allowedOrigins = [] } = {}) {
    const server = process.env.DATABASE_URL
    if (server === undefined) {
      throw new Error('DATABASE_URL names no server: run this below `private_cluster`, as `cargo xtask test` does')
    }
    const hq = new Hq()
    hq.allowedOrigins = allowedOrigins
    hq.desk = await Desk.open()
    hq.server = server
    hq.database = `leasehold_node_${randomUUID().replaceAll('-', '')}`
    await hq.#does(`CREATE DATABASE ${hq.database}`)
    // The host may be a folder, which no URL of the web has.
    hq.desk.environment.DATABASE_URL = server.replace(/\/[^/?]*(?=\?|$)/, `/${hq.database}`)
    await hq.desk.does('db migrate')
    await hq.desk.does('db import -d definitions --by ada')
    const { binding } = JSON.parse(await hq.desk.does('db propose First --by ada --json'))
    await hq.desk.does(`db approve 1 --binding ${binding} --by ben`)
    await hq.desk.does('db publish 1 --fleet fleet.key --certificate fleet.cert --by ben')
    await hq.#serve('127.0.0.1:0')
    return hq
  }

  /** Starts it again, where it was. */
  async restart() {
    await this.#serve(new URL(this.url).host)
  }

  /** Ends it at once. */
  async kill() {
    this.process.kill('SIGKILL')
    await this.ended
  }

  async #serve(listen) {
    const config = `listen = "${listen}"
trust = "trust.json"
[publisher]
fleet_key = "fleet.key"
certificate = "fleet.cert"
[access]
allowed_origins = ${JSON.stringify(this.allowedOrigins)}
`
    await writeFile(this.desk.at('leasehold.toml'), config)
    const options = { cwd: this.desk.folder, env: this.desk.environment, stdio: ['ignore', 'pipe', 'pipe'] }
    this.process = spawn(program, ['serve', '--config', 'leasehold.toml'], options)
    this.ended = new Promise((end) => this.process.on('exit', end))
    const lines = []
    const said = { address: undefined, password: undefined }
    await new Promise((ready, failed) => {
      for (const stream of [this.process.stdout, this.process.stderr]) {
        createInterface(stream).on('line', (line) => {
          lines.push(line)
          said.address ??= line.startsWith('{') ? JSON.parse(line).address : undefined
          said.password ??= /^ *password +(\S+)/.exec(line)?.[1]
          // The first start tells a password, once.
          if (said.address !== undefined && (said.password ?? this.staff) !== undefined) {
            ready()
          }
        })
      }
      void this.ended.then(() => failed(new Error(`HQ ended: ${lines.join('\n')}`)))
    })
    this.url = `http://${said.address}`
    this.staff ??= (await this.asks('POST', '/v1/sessions', { staff: 'admin', password: said.password })).token
  }

  /** What an engine needs to follow it. */
  async options(engineId) {
    const scopes = ['snapshots:read', 'engines:report']
    const { secret } = await this.asks('POST', '/v1/tokens', { name: engineId, scopes, region: STREAM })
    return { url: this.url, token: secret, trust: this.desk.trust, engineId }
  }

  /** What a page needs to follow the slice of a tenant. */
  async pageOptions(tenant) {
    const token = { name: `page of ${tenant}`, scopes: ['slices:read'], tenant }
    const { secret } = await this.asks('POST', '/v1/tokens', token)
    await this.signs(tenant)
    return { url: this.url, tenant, token: secret, trust: this.desk.trust }
  }

  /** Waits until slices are signed: HQ signs them once a head certifies its key. */
  async signs(tenant) {
    await until('slices are signed', async () => {
      const headers = { authorization: `Bearer ${this.staff}` }
      const response = await fetch(`${this.url}/v1/tenants/${tenant}/slice`, { headers })
      await response.body?.cancel()
      return response.ok
    })
  }

  async asks(method, path, body, headers = {}) {
    const authorization = this.staff === undefined ? {} : { authorization: `Bearer ${this.staff}` }
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const response = await fetch(this.url + path, {
      method,
      headers: { 'content-type': 'application/json', ...authorization, ...headers },
      ...sent,
    })
    const text = await response.text()
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${text}`)
    }
    return text === '' ? undefined : JSON.parse(text)
  }

  /** Moves a tenant of the example to another plan; gives the revision that has it. */
  async changePlan(tenant, phase, plan) {
    const from = new Date(Date.now() - 1000).toISOString()
    const path = `/v1/tenants/${tenant}/subscriptions/${phase}`
    return (await this.asks('PUT', path, { kind: 'paid', plan, from }, { 'idempotency-key': randomUUID() })).revision
  }

  async close() {
    this.process?.kill('SIGTERM')
    await this.ended
    await this.#does(`DROP DATABASE ${this.database} WITH (FORCE)`)
    await this.desk.close()
  }

  /** Over a connection of its own: the server may restart meanwhile. */
  async #does(statement) {
    const admin = new pg.Client({ connectionString: this.server })
    await admin.connect()
    try {
      await admin.query(statement)
    } finally {
      await admin.end()
    }
  }
}
