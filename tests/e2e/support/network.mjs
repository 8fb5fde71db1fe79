// The way to HQ: a proxy on loopback that can be cut in two ways, and somebody who pretends to be HQ.

import { createServer as createHttpServer, request as ask } from 'node:http'
import { connect, createServer } from 'node:net'

/** Carries connections to a server, whose address may change. */
export class Proxy {
  #pairs = new Set()
  #silent = false
  #listening = false

  static async open(url) {
    const proxy = new Proxy()
    proxy.target = url
    proxy.server = createServer((client) => proxy.#carry(client))
    await proxy.#listen(0)
    proxy.port = proxy.server.address().port
    proxy.url = `http://127.0.0.1:${proxy.port}`
    return proxy
  }

  /** Nothing listens here any more, and all connections are reset. */
  async refuse() {
    this.#listening = false
    const closed = new Promise((closed) => this.server.close(closed))
    this.hangUp()
    await closed
  }

  /** Nothing gets through any more, and nobody is told: new connections are accepted and never answered. */
  blackhole() {
    this.#silent = true
    this.#pairs.forEach((pair) => this.#swallow(pair))
  }

  /** New connections are carried again. Of the others nothing is heard any more, and nobody tells. */
  async heal() {
    this.#silent = false
    if (!this.#listening) {
      await this.#listen(this.port)
    }
  }

  /** Carries to another server from now on. */
  lead(url) {
    this.target = url
    this.hangUp()
  }

  hangUp() {
    this.#pairs.forEach(({ client }) => client.resetAndDestroy())
  }

  async close() {
    this.hangUp()
    if (this.#listening) {
      await this.refuse()
    }
  }

  async #listen(port) {
    await new Promise((ready) => this.server.listen(port, '127.0.0.1', ready))
    this.#listening = true
  }

  #carry(client) {
    const pair = { client, server: undefined, silent: false }
    this.#pairs.add(pair)
    client.on('error', () => undefined)
    client.on('close', () => {
      this.#pairs.delete(pair)
      pair.server?.destroy()
    })
    if (this.#silent) {
      this.#swallow(pair)
      return
    }
    const { hostname, port } = new URL(this.target)
    pair.server = connect({ host: hostname, port: Number(port) })
    pair.server.on('error', () => undefined)
    // Of one that fell silent, nobody learns that it has gone.
    pair.server.on('close', () => pair.silent || client.destroy())
    client.pipe(pair.server).pipe(client)
  }

  #swallow(pair) {
    pair.silent = true
    pair.server?.unpipe(pair.client).pause()
    pair.client.unpipe(pair.server).resume()
  }
}

/** Passes everything on to an HQ whose token it has, and sends what it answers to whomever, whatever token they have. */
export class Impostor {
  /** Paths of what was asked. */
  asked = []

  static async open(hq) {
    const impostor = new Impostor()
    impostor.server = createHttpServer((request, response) => {
      impostor.asked.push(request.url)
      const { authorization, host, ...headers } = request.headers
      const known = authorization === undefined ? {} : { authorization: `Bearer ${hq.staff}` }
      const passed = ask(hq.url + request.url, { method: request.method, headers: { ...headers, ...known } })
      passed.on('response', (answer) => {
        response.writeHead(answer.statusCode, answer.headers)
        answer.pipe(response)
      })
      passed.on('error', () => response.destroy())
      response.on('close', () => passed.destroy())
      request.pipe(passed)
    })
    await new Promise((ready) => impostor.server.listen(0, '127.0.0.1', ready))
    impostor.url = `http://127.0.0.1:${impostor.server.address().port}`
    return impostor
  }

  async close() {
    this.server.closeAllConnections()
    await new Promise((closed) => this.server.close(closed))
  }
}
