// Pages in Chromium, and a server for them: the package's `dist/`, the vectors, and pages that tests write.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, resolve } from 'node:path'
import { chromium } from 'playwright-core'

export const root = resolve(import.meta.dirname, '../..')
export const workspace = resolve(root, '../..')

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/** Modules by their names, for `<script type="importmap">`. */
export const IMPORT_MAP = {
  imports: {
    'leasehold-web': '/dist/index.js',
    'leasehold-web/': '/dist/',
    'leasehold-web/documents': '/dist/documents.js',
    'leasehold-web/elements': '/dist/elements.js',
    'leasehold-web/full': '/dist/full.js',
    'leasehold-web/openfeature': '/dist/openfeature.js',
    'leasehold-web/react': '/dist/react.js',
  },
}

/** The modules of `dist/` that an entry is made of, besides itself: they have what is not public. */
export function modulesOf(entry, found = new Set()) {
  const text = readFileSync(join(root, 'dist', entry), 'utf8')
  for (const [, name] of text.matchAll(/from "\.\/(chunk-[^"]+)"/g)) {
    if (!found.has(name)) {
      found.add(name)
      modulesOf(name, found)
    }
  }
  return [...found]
}

/** A page that runs a module. */
export function page(script, { head = '', body = '' } = {}) {
  const map = `<script type="importmap">${JSON.stringify(IMPORT_MAP)}</script>`
  const module = script === '' ? '' : `<script type="module">${script}</script>`
  return `<!doctype html><html><head><meta charset="utf-8"><title>test</title>${map}${head}</head><body>${body}${module}</body></html>`
}

/**
 * A server on loopback. `routes` are functions of a request and its response by path, or texts of pages; whatever else is asked
 * for is a file of the package, or below `/workspace/` one of the workspace.
 */
export class Site {
  static async open(routes = {}) {
    const site = new Site()
    site.routes = routes
    /** What browsers may keep of files: nothing, unless a test is about that. */
    site.caching = 'no-store'
    site.requests = []
    site.server = createServer((request, response) => void site.#answer(request, response))
    await new Promise((ready) => site.server.listen(0, '127.0.0.1', ready))
    site.url = `http://127.0.0.1:${site.server.address().port}`
    return site
  }

  async close() {
    this.server.closeAllConnections()
    await new Promise((closed) => this.server.close(closed))
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, this.url)
    this.requests.push({ method: request.method, path: pathname, headers: request.headers })
    const route = this.routes[pathname]
    if (typeof route === 'function') {
      await route(request, response)
      return
    }
    if (route !== undefined) {
      response.writeHead(200, { 'content-type': TYPES['.html'], 'cache-control': 'no-store' }).end(route)
      return
    }
    const inside = pathname.startsWith('/workspace/') ? join(workspace, pathname.slice(11)) : join(root, pathname)
    try {
      const bytes = await readFile(inside)
      const type = TYPES[extname(pathname)] ?? 'application/octet-stream'
      response.writeHead(200, { 'content-type': type, 'cache-control': this.caching }).end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  }
}

/** Chromium without a window; it reaches nothing but loopback. */
export async function browser() {
  return chromium.launch({
    executablePath: process.env.LEASEHOLD_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
    ],
  })
}
