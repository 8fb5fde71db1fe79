// What HQ answers the pages of one tenant, and what networks and proxies make of it. The slices are made by the command line.

import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { Desk } from '../../../bindings-node/test/support/desk.mjs'

export const TENANT = 'om-muscat-sparkle'
export const OTHER = 'om-sohar-press'
export const STREAM = 'GCC-OM'
const DAY = 86_400_000
const TENANTS = 'tenants/gcc-om.json'

/** A slice, and what is to be known of it. */
export class Slice {
  constructor(document) {
    this.document = document
    // The content is the last line.
    const start = document.lastIndexOf('\n', document.length - 2) + 1
    this.envelope = document.subarray(0, start)
    this.etag = createHash('sha256').update(document.subarray(start, -1)).digest('hex')
    this.revision = JSON.parse(document.toString().split('\n')[3]).revision
  }

  /** The same, but for one bit. */
  tampered(at = this.document.length - 100) {
    const bytes = Buffer.from(this.document)
    bytes[at] ^= 1
    return Object.assign(Object.create(Slice.prototype), { ...this, document: bytes })
  }
}

/** A desk whose heads certify a slice key. */
export class SliceDesk extends Desk {
  static async open() {
    const desk = Object.assign(new SliceDesk(), await super.open())
    await desk.does('keygen slice --out slice.key')
    // So that it can have signed things in the past.
    const past = new Date(Date.now() - 2 * DAY).toISOString()
    await rm(desk.at('fleet.cert'))
    await desk.does(`certify fleet.key.pub --root root.key --out fleet.cert --at ${past}`)
    return desk
  }

  /** Publishes the definitions, where `change` says what to change in those of the tenants. */
  async publish(change, more = '') {
    if (change !== undefined) {
      await this.edit(TENANTS, change)
    }
    await this.build(` --slice-key slice.key.pub${more}`)
  }

  async slice(tenant = TENANT, more = '', stream = STREAM) {
    const file = `${tenant}.slice`
    await this.does(`slice ${tenant} -d snapshots --stream ${stream} --key slice.key --out ${file}${more}`)
    return new Slice(await readFile(this.at(file)))
  }
}

/** Grants a feature to the tenant, or no longer. */
export const granting =
  (feature, on = true) =>
  ({ tenants }) => {
    const { overrides } = tenants[TENANT]
    if (on) {
      overrides[feature] = { feature, op: 'set', value: true, reason: 'for a test', actor: 'ada' }
    } else {
      delete overrides[feature]
    }
  }

/**
 * Slices of several revisions: `first`; `renewed`, which is signed later; `later`, of another revision with the same content,
 * because of a new tenant; `changed`, of another plan, in which `delivery` is off and `sso` on; `next`, which is like the first.
 * Beside them `expired`, older than all of them, of another directory; and `other`, of another tenant.
 */
export async function slicesOf(desk) {
  const at = ` --at ${new Date(Date.now() - DAY).toISOString()}`
  await desk.publish(undefined, `${at} --fresh-for 1h --slice-key-for 1h`)
  const expired = await desk.slice(TENANT, at)
  await desk.publish()
  const [first, other] = [await desk.slice(), await desk.slice(OTHER)]
  await desk.publish()
  const renewed = await desk.slice()
  await desk.publish(({ tenants }) => {
    tenants['om-new'] = { ...tenants[OTHER], name: 'New', name2: 'جديدة' }
  })
  const later = await desk.slice()
  await desk.publish((document) => {
    granting('sso')(document)
    document.tenants[TENANT].phases['growth-2025'].plan = 'starter'
  })
  const changed = await desk.slice()
  await desk.publish((document) => {
    granting('sso', false)(document)
    document.tenants[TENANT].phases['growth-2025'].plan = 'growth'
  })
  const next = await desk.slice()
  return { expired, first, other, renewed, later, changed, next }
}

/** A server that has one slice. */
export class FakeSlices {
  requests = []
  /** Paths for which a browser asked whether it may ask. */
  preflights = []
  /** Answers in place of HQ's: a function of the request and the response that says whether it did. */
  instead = () => false
  #streams = new Set()

  static async open(slice, port = 0) {
    const hq = new FakeSlices()
    hq.slice = slice
    hq.server = createServer((request, response) => void hq.#answer(request, response))
    await new Promise((ready) => hq.server.listen(port, '127.0.0.1', ready))
    hq.port = hq.server.address().port
    hq.url = `http://127.0.0.1:${hq.port}`
    return hq
  }

  /** Has another slice from now on, and tells all who listen. */
  put(slice) {
    this.slice = slice
    this.tell('slice')
  }

  tell(event, more = {}) {
    const { revision, etag } = this.slice
    const data = JSON.stringify({ stream: STREAM, revision, etag, ...more })
    this.#streams.forEach((stream) => stream.write(`event: ${event}\ndata: ${data}\n\n`))
  }

  get listeners() {
    return this.#streams.size
  }

  /** How often the slice was asked for. */
  get asked() {
    return this.requests.filter(({ path }) => path.endsWith('/slice')).length
  }

  /** How often somebody began to listen. */
  get heard() {
    return this.requests.filter(({ path }) => path.endsWith('/events')).length
  }

  /** Breaks all connections of those who listen. */
  hangUp() {
    this.#streams.forEach((stream) => stream.destroy())
  }

  async close() {
    this.server.closeAllConnections()
    await new Promise((closed) => this.server.close(closed))
  }

  async #answer(request, response) {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-expose-headers', 'etag, retry-after, leasehold-envelope')
    if (request.method === 'OPTIONS') {
      this.preflights.push(request.url)
      response.setHeader('access-control-allow-headers', 'authorization, leasehold-if-none-match')
      response.setHeader('access-control-max-age', '7200')
      response.writeHead(204).end()
      return
    }
    const { pathname } = new URL(request.url, this.url)
    this.requests.push({ method: request.method, path: pathname, headers: request.headers })
    if (await this.instead({ request, response, pathname })) {
      return
    }
    const { document, envelope, etag, revision } = this.slice
    if (pathname === `/v1/tenants/${TENANT}/slice`) {
      const headers = { etag: `"${etag}"`, 'cache-control': 'no-store' }
      if (request.headers['leasehold-if-none-match'] === headers.etag) {
        response.writeHead(304, { ...headers, 'leasehold-envelope': envelope.toString('base64') }).end()
      } else {
        response.writeHead(200, { ...headers, 'content-type': 'text/plain' }).end(document)
      }
    } else if (pathname === `/v1/tenants/${TENANT}/slice/events`) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      this.#streams.add(response)
      response.on('close', () => this.#streams.delete(response))
      response.write(`event: slice\ndata: ${JSON.stringify({ stream: STREAM, revision, etag })}\n\n`)
    } else {
      response.writeHead(404).end('{"code":"unknown_tenant"}')
    }
  }
}
