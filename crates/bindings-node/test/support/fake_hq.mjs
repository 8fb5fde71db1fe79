// What HQ answers engines, over a directory of snapshots, and what networks and proxies make of it.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'

export class FakeHq {
  /** What became of the requests, by path. */
  requests = []
  reports = []
  /** Answers in place of HQ's: a function of the request and the response that says whether it did. */
  instead = () => false
  #streams = new Set()

  static async open(directory, stream) {
    const hq = new FakeHq()
    Object.assign(hq, { directory, stream })
    hq.server = createServer((request, response) => void hq.#answer(request, response))
    await new Promise((ready) => hq.server.listen(0, '127.0.0.1', ready))
    hq.url = `http://127.0.0.1:${hq.server.address().port}`
    return hq
  }

  async head() {
    return readFile(join(this.directory, 'heads', `${this.stream}.head`))
  }

  /** Tells all who listen of the head that is there now. */
  async tell(event = 'head', withDocument = true) {
    const head = await this.head()
    const document = withDocument ? { document: head.toString() } : {}
    const data = JSON.stringify({ stream: this.stream, etag: sha256(head), ...document })
    this.#streams.forEach((stream) => stream.write(`event: ${event}\ndata: ${data}\n\n`))
  }

  get listeners() {
    return this.#streams.size
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
    const { pathname } = new URL(request.url, this.url)
    this.requests.push({ method: request.method, path: pathname, headers: request.headers })
    if (await this.instead({ request, response, pathname })) {
      return
    }
    const say = (status, body = '', headers = {}) => response.writeHead(status, headers).end(body)
    const chunk = /^\/v1\/snapshots\/chunks\/([0-9a-f]{64})$/.exec(pathname)
    if (pathname === '/v1/snapshots/head') {
      const head = await this.head()
      const isKnown = request.headers['if-none-match'] === `"${sha256(head)}"`
      isKnown ? say(304) : say(200, head)
    } else if (chunk !== null) {
      const path = join(this.directory, 'chunks', chunk[1].slice(0, 2), chunk[1])
      const frame = await readFile(`${path}.zst`).catch(() => undefined)
      const raw = frame === undefined ? await readFile(`${path}.json`).catch(() => undefined) : undefined
      if (frame !== undefined) {
        say(200, frame, { 'content-encoding': 'zstd' })
      } else {
        raw === undefined ? say(404, '{"code":"unknown_chunk"}') : say(200, raw)
      }
    } else if (pathname === '/v1/snapshots/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      this.#streams.add(response)
      response.on('close', () => this.#streams.delete(response))
      await this.tell()
    } else if (pathname.startsWith('/v1/engines/')) {
      const pieces = await request.toArray()
      this.reports.push(JSON.parse(Buffer.concat(pieces).toString()))
      say(204)
    } else {
      say(404, '{"code":"not_found"}')
    }
  }
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
