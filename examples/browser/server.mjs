// The back end of the page: it serves the page, gives it whom to believe and a token that ends soon, and decides again
// whatever is asked of it. What laundries have is kept in memory.
//
//     LEASEHOLD_URL=… LEASEHOLD_TOKEN=… LEASEHOLD_TRUST=trust.json node examples/browser/server.mjs

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const here = import.meta.dirname
const packaged = resolve(here, '../../crates/bindings-wasm/dist')
const { Engine, LeaseholdError, init } = await import(pathToFileURL(join(packaged, 'full.js')).href)

/** The laundries of this back end; HQ has others. The ids are those of `examples/cleanmatex`. */
const LAUNDRIES = [
  { id: 'om-muscat-sparkle', name: 'Muscat Sparkle Laundry', name2: 'مغسلة بريق مسقط' },
  { id: 'ae-alain-oasis', name: 'Oasis Wash Al Ain', name2: 'مغسلة الواحة بالعين' },
  { id: 'om-salalah-fresh', name: 'Salalah Fresh Wash', name2: 'مغسلة انتعاش صلالة' },
  { id: 'om-muscat-crown', name: 'Crown Garment Care Group', name2: 'مجموعة التاج للعناية بالملابس' },
  { id: 'om-seeb-express', name: 'Seeb Express Cleaners', name2: 'مغسلة السيب السريعة' },
]

/** How long a page's token is good, in milliseconds. */
const TOKEN_MS = 10 * 60_000

const TYPES = { '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

/** A request that is refused. */
class Refusal extends Error {
  constructor(status, code, more = {}) {
    super(code)
    Object.assign(this, { status, code, more })
  }
}

/** A laundry: what it keeps here, and what HQ says of it. */
class Laundry {
  #hq
  /** The token that is given out, and one that is being made. */
  #token
  #making
  #engine
  used = { max_users: 2, orders_per_month: 214, whatsapp_messages_per_month: 870 }
  order = {
    number: 'CMX-1042',
    category: 'LAUNDRY',
    stage: 'intake',
    facts: {
      approved_by_manager: false,
      balance_due_minor: 7250,
      customer_type: 'individual',
      discount_percent: 0,
      driver_id: '',
      invoice_issued: false,
      items_reworked: 0,
      items_scanned: 12,
      items_total: 12,
      photos: [],
      pod_captured: false,
      quality_result: '',
      scan_errors: 0,
      storage_location: '',
    },
  }

  constructor(id, hq) {
    this.id = id
    this.#hq = hq
    if (id === 'om-muscat-sparkle') {
      this.order.stage = 'ready'
      this.used.max_users = 9
    }
  }

  /**
   * A token for this laundry's slice and nothing else: the last one while it is good for a while, or a new one. `refused` is one
   * that HQ takes no more. Whoever asks while one is made gets that one.
   */
  async token(refused) {
    const last = this.#token
    if (last !== undefined && last.secret !== refused) {
      if (Date.parse(last.expires_at) - Date.now() >= this.#hq.tokenMs / 2) {
        return last.secret
      }
    }
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined
    })
    return (await this.#making).secret
  }

  async #make() {
    const body = {
      name: `page of ${this.id}`,
      scopes: ['slices:read'],
      tenant: this.id,
      expires_at: new Date(Date.now() + this.#hq.tokenMs).toISOString(),
    }
    const response = await fetch(`${this.#hq.url}/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#hq.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    })
    if (!response.ok) {
      throw new Error(`HQ gives no token: ${response.status} ${await response.text()}`)
    }
    this.#token = await response.json()
    return this.#token
  }

  /** What decides here: the same engine, of which nobody has the code in their hands. */
  async tenant() {
    const { url, trust } = this.#hq
    let given
    const token = async (refused) => (given = await this.token(refused ? given : undefined))
    const follows = { url, trust, tenant: this.id, token, keep: false, share: false }
    this.#engine ??= Engine.follow(follows).catch((error) => {
      this.#engine = undefined
      throw error
    })
    return (await this.#engine).tenant()
  }

  get desk() {
    return { order: this.order, used: this.used }
  }

  async change(facts) {
    for (const [name, value] of Object.entries(facts)) {
      const known = Object.hasOwn(this.order.facts, name) ? this.order.facts[name] : undefined
      if (typeof known !== typeof value || Array.isArray(known) !== Array.isArray(value)) {
        throw new Refusal(400, 'invalid_facts')
      }
    }
    Object.assign(this.order.facts, facts)
  }

  async move({ transition, role }) {
    const tenant = await this.tenant()
    if (!tenant.isEnabled('orders') || !tenant.isEnabled('workflow')) {
      throw new Refusal(403, 'feature_off')
    }
    const { stage, category, facts } = this.order
    const context = { inputs: facts, roles: [role] }
    const found = tenant.machine('order', category).transitions(stage, context)
    const wanted = found.find((it) => it.transition === transition && it.state !== 'not_from_here')
    if (wanted?.state !== 'enabled') {
      throw new Refusal(403, 'guard_failed', { blockers: wanted?.blockers ?? [] })
    }
    this.order.stage = wanted.to
  }

  async count({ more }) {
    const tenant = await this.tenant()
    if (more > 0 && tenant.checkLimit('max_users', this.used.max_users, 1).outcome === 'deny') {
      throw new Refusal(403, 'limit_reached')
    }
    this.used.max_users = Math.max(0, this.used.max_users + Math.sign(more))
  }

  async close() {
    await (await this.#engine?.catch(() => undefined))?.close()
  }
}

/**
 * Starts it.
 * @param options `url` HQ; `token` one that may make tokens there; `trust` the trust file's text; `stream` where that names
 *   none; `server` one that listens, and is asked nothing yet; `tokenMs` how long a page's token is good.
 */
export async function start({ url, token, trust, stream, server, tokenMs = TOKEN_MS }) {
  await init()
  const believed = JSON.parse(trust)
  const hq = { url, token, trust: { ...believed, stream: stream ?? believed.stream }, tokenMs }
  const laundries = new Map(LAUNDRIES.map(({ id }) => [id, new Laundry(id, hq)]))
  const html = await readFile(join(here, 'index.html'), 'utf8')
  const map = /<script type="importmap">([^]*?)<\/script>/.exec(html)[1]
  const policy = [
    "default-src 'none'",
    // WebAssembly is compiled, nothing else; and the import map in the page is the one that was written.
    `script-src 'self' 'wasm-unsafe-eval' 'sha256-${createHash('sha256').update(map).digest('base64')}'`,
    "style-src 'self'",
    'img-src data:',
    `connect-src 'self' ${new URL(url).origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    // No other page shows this one in a frame, where it could lay something over the buttons.
    "frame-ancestors 'none'",
  ].join('; ')

  async function session(laundry, refused) {
    // Without HQ, a page goes on with what it has kept.
    const token = await laundry.token(refused).catch((error) => void console.error(error.message))
    return { url, trust: hq.trust, tenant: laundry.id, token: token ?? null }
  }

  /** Answers under a path, by method; whatever stands after it is a file. */
  const routes = {
    'GET /laundries': async () => LAUNDRIES,
    'GET /session': async (laundry) => session(laundry),
    // Asking for another token makes something, which is not for a GET to do.
    'POST /session': async (laundry, { refused }) => session(laundry, refused),
    'GET /desk': async (laundry) => laundry.desk,
    'POST /desk/facts': async (laundry, body) => laundry.change(body),
    'POST /desk/moves': async (laundry, body) => laundry.move(body),
    'POST /desk/users': async (laundry, body) => laundry.count(body),
  }

  async function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://here')
    const route = routes[`${request.method} ${pathname}`]
    if (route === undefined) {
      await file(request, response, pathname)
      return
    }
    // A real back end knows whose page it is by its session. It never believes a page that names another tenant.
    const laundry = laundries.get(searchParams.get('tenant'))
    if (laundry === undefined && pathname !== '/laundries') {
      throw new Refusal(404, 'unknown_laundry')
    }
    const said = await route(laundry, request.method === 'POST' ? await read(request) : undefined)
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(JSON.stringify(said ?? laundry.desk))
  }

  async function file(request, response, pathname) {
    const name = pathname === '/' ? '/index.html' : pathname
    const inPackage = /^\/leasehold-web\/([\w.-]+)$/.exec(name)
    const isHere = /^\/(index\.html|style\.css|app\.js|parts\.js|texts\.js)$/.test(name)
    if (request.method !== 'GET' || (inPackage === null && !isHere)) {
      throw new Refusal(404, 'not_found')
    }
    const path = inPackage === null ? join(here, name) : join(packaged, inPackage[1])
    const bytes = await readFile(path).catch(() => {
      throw new Refusal(404, 'not_found')
    })
    response.writeHead(200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'cache-control': 'no-cache',
    })
    response.end(bytes)
  }

  server.on('request', (request, response) => {
    response.setHeader('content-security-policy', policy)
    response.setHeader('x-content-type-options', 'nosniff')
    answer(request, response).catch((error) => {
      const { status = error instanceof LeaseholdError ? 503 : 500, code = 'internal', more = {} } = error
      if (status >= 500) {
        console.error(error)
      }
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ code, ...more }))
    })
  })
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
      await Promise.all([...laundries.values()].map((laundry) => laundry.close()))
    },
  }
}

/** A server on this machine that listens, and answers nothing yet. */
export async function listening(port = 0) {
  const server = createServer()
  await new Promise((ready, failed) => server.once('error', failed).listen(port, '127.0.0.1', ready))
  return server
}

/** A body in JSON. Another page's forms cannot send one. */
async function read(request) {
  if (request.headers['content-type'] !== 'application/json') {
    throw new Refusal(415, 'not_json')
  }
  let text = ''
  for await (const piece of request.setEncoding('utf8')) {
    text += piece
    if (text.length > 10_000) {
      throw new Refusal(413, 'body_too_large')
    }
  }
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Refusal(400, 'malformed_json')
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { LEASEHOLD_URL, LEASEHOLD_TOKEN, LEASEHOLD_TRUST, LEASEHOLD_STREAM, PORT = '3000' } = process.env
  if (LEASEHOLD_URL === undefined || LEASEHOLD_TOKEN === undefined || LEASEHOLD_TRUST === undefined) {
    console.error('set LEASEHOLD_URL, LEASEHOLD_TOKEN and LEASEHOLD_TRUST: see examples/browser/README.md')
    process.exit(2)
  }
  const { url } = await start({
    url: LEASEHOLD_URL,
    token: LEASEHOLD_TOKEN,
    trust: await readFile(LEASEHOLD_TRUST, 'utf8'),
    stream: LEASEHOLD_STREAM,
    server: await listening(Number(PORT)),
  })
  console.log(`the page: ${url}`)
}
