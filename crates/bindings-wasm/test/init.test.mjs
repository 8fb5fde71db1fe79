// From WebAssembly to an engine that can be asked: every way to load it, in Node and in Chromium, and all that may go wrong.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { build } from 'esbuild'
import { marked } from '../scripts/marked.mjs'
import { browser, modulesOf, page, root, Site } from './support/browser.mjs'

/** SHA-256 of nothing, which an engine can be asked without a snapshot. */
const OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
/** A WebAssembly module with nothing in it. */
const EMPTY = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])

const core = readFileSync(join(root, 'dist/core_bg.wasm'))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
/** The same, without what it says of itself. */
const unmarked = core.subarray(0, -marked(Buffer.alloc(0), `${version} core`).length)
const folder = mkdtempSync(join(tmpdir(), 'leasehold-init-'))
let site
let chromium
/** An address at which nobody listens. */
let nobody

before(async () => {
  const send = (type, bytes) => (_, response) => response.writeHead(200, { 'content-type': type }).end(bytes)
  /** Says how much will come, and hangs up halfway. */
  const breakOff = (type) => (_, response) => {
    response.writeHead(200, { 'content-type': type, 'content-length': core.length })
    response.write(core.subarray(0, core.length / 2), () => response.destroy())
  }
  /** The same without saying how much. */
  const breakOffUnsaid = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/wasm' })
    response.write(core.subarray(0, core.length / 2), () => response.destroy())
  }
  const routes = {
    '/page': page(''),
    '/bytes.wasm': send('application/octet-stream', core),
    '/garbage.wasm': send('application/wasm', 'this is no WebAssembly'),
    '/empty.wasm': send('application/wasm', EMPTY),
    '/half.wasm': send('application/wasm', core.subarray(0, core.length / 2)),
    '/broken.wasm': (_, response) => response.writeHead(503).end(),
    '/breaks-off.wasm': breakOff('application/wasm'),
    '/breaks-off-unsaid.wasm': breakOffUnsaid,
    '/breaks-off-bytes.wasm': breakOff('application/octet-stream'),
    '/unmarked.wasm': send('application/wasm', unmarked),
    '/older.wasm': send('application/wasm', marked(unmarked, '0.0.9 core')),
  }
  ;[site, chromium] = await Promise.all([Site.open(routes), browser()])
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  nobody = `http://127.0.0.1:${server.address().port}/core_bg.wasm`
  server.close()
})

after(async () => {
  await Promise.all([chromium?.close(), site?.close()])
  rmSync(folder, { recursive: true, force: true })
})

/** What a realm is told: where modules and the WebAssembly are. */
function places(dist) {
  const at = (name) => `${site.url}/${name}`
  const wasm = { core: at('dist/core_bg.wasm'), full: at('dist/full_bg.wasm') }
  return {
    dist,
    nobody,
    wasm,
    at: site.url,
    chunks: modulesOf('index.js'),
  }
}

/** Runs a function where nothing was loaded yet. It knows nothing but what it is told. */
const REALMS = {
  async Node(ask, given) {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      const ask = ${ask}
      ask(workerData).then((answer) => parentPort.postMessage(answer))`
    const worker = new Worker(code, {
      eval: true,
      workerData: { ...places(pathToFileURL(join(root, 'dist/')).href), ...given },
    })
    const [answer] = await once(worker, 'message')
    await worker.terminate()
    return answer
  },
  async Chromium(ask, given) {
    const tab = await chromium.newPage()
    await tab.goto(`${site.url}/page`)
    const answer = await tab.evaluate(ask, { ...places(`${site.url}/dist/`), ...given })
    await tab.close()
    return answer
  },
}

/** Asks in every realm; `given` is told to it too. */
function everywhere(name, ask, given, check) {
  for (const [where, run] of Object.entries(REALMS)) {
    test(`${name}, in ${where}`, async () => check(await run(ask, given)))
  }
}

/** Every way to say where the WebAssembly is, and how it comes to be wrong. */
async function initialized({ dist, wasm, at, nobody, from, then }) {
  const { init, Engine } = await import(`${dist}index.js`)
  const { hashOf } = await import(`${dist}documents.js`)
  const sources = {
    module: async () => ({ module: await WebAssembly.compileStreaming(fetch(wasm.core)) }),
    bytes: async () => ({ module: new Uint8Array(await (await fetch(wasm.core)).arrayBuffer()) }),
    buffer: async () => ({ module: await (await fetch(wasm.core)).arrayBuffer() }),
    answer: async () => ({ module: await fetch(wasm.core) }),
    promise: async () => ({ module: fetch(wasm.core) }),
    URL: async () => ({ module: new URL(wasm.core) }),
    text: async () => ({ module: wasm.core }),
    'answer of another type': async () => ({ module: await fetch(`${at}/bytes.wasm`) }),
    'what lies beside it': async () => ({}),
    'an address that is not there': async () => ({ module: `${at}/missing.wasm` }),
    'an answer that failed': async () => ({ module: fetch(`${at}/broken.wasm`) }),
    'a server that is away': async () => ({ module: nobody }),
    'a promise that failed': async () => ({ module: fetch(nobody) }),
    'a file that is not there': async () => ({ module: 'file:///nowhere/core_bg.wasm' }),
    'no URL': async () => ({ module: 'http://[' }),
    'other bytes': async () => ({ module: `${at}/garbage.wasm` }),
    'half of it': async () => ({ module: `${at}/half.wasm` }),
    'a server that hangs up halfway': async () => ({ module: `${at}/breaks-off.wasm` }),
    'a server that hangs up, and had not said how much comes': async () => ({ module: `${at}/breaks-off-unsaid.wasm` }),
    'bytes of which half come': async () => ({ module: `${at}/breaks-off-bytes.wasm` }),
    'an answer that breaks off': async () => ({ module: await fetch(`${at}/breaks-off.wasm`) }),
    'WebAssembly that does not say what it is': async () => ({ module: `${at}/unmarked.wasm` }),
    'another version': async () => ({ module: `${at}/older.wasm` }),
    'a module of another version': async () => ({
      module: await WebAssembly.compileStreaming(fetch(`${at}/older.wasm`)),
    }),
    'a module with nothing in it': async () => ({ module: `${at}/empty.wasm` }),
    'the other build': async () => ({ module: wasm.full }),
  }
  const tell = ({ name, code, message }) => ({ name, code, message })
  const failed = await init(await sources[from]()).then(() => undefined, tell)
  if (failed === undefined) {
    return { hash: hashOf(new Uint8Array()) }
  }
  let asked
  try {
    asked = Engine.fromPack(new Uint8Array(), '{}')
  } catch (error) {
    asked = error.code
  }
  await init(await sources[then]())
  return { failed, asked, hash: hashOf(new Uint8Array()) }
}

describe('before `init`', () => {
  const refused = ['InitError', 'not_initialized', 'nothing can be asked yet: `await init()` first']
  everywhere(
    'whatever is asked says so',
    async ({ dist }) => {
      const { Engine, Snapshot, LeaseholdError } = await import(`${dist}index.js`)
      const { hashOf } = await import(`${dist}documents.js`)
      const trust = { issuer: 'hq.example', environment: 'test', stream: 'GCC-OM', root_keys: ['00'.repeat(32)] }
      const asks = [
        () => Engine.fromPack(new Uint8Array(), '{}'),
        () => Engine.fromDefinitions({}),
        () => new Snapshot({}),
        () => hashOf(new Uint8Array()),
        async () => Engine.follow({ url: 'https://hq.example', tenant: 'acme', token: 'lh_x', trust }),
      ]
      return Promise.all(
        asks.map(async (ask) => {
          try {
            return [await ask()]
          } catch (error) {
            return [error.name, error.code, error instanceof LeaseholdError ? error.message : 'of another class']
          }
        }),
      )
    },
    {},
    (found) => assert.deepEqual(found, Array(5).fill(refused)),
  )
})

describe('`init`', () => {
  everywhere(
    'is done once, whoever calls it and how often',
    async ({ dist }) => {
      const { init } = await import(`${dist}index.js`)
      const { hashOf } = await import(`${dist}documents.js`)
      await Promise.all([init(), init(), init({ module: 'https://hq.example/nowhere.wasm' })])
      await init()
      return hashOf(new Uint8Array())
    },
    {},
    (hash) => assert.equal(hash, OF_NOTHING),
  )

  test('fetches the WebAssembly once', async () => {
    site.requests.length = 0
    await REALMS.Chromium(async ({ dist }) => {
      const { init } = await import(`${dist}index.js`)
      await Promise.all([init(), init()])
      await init()
    })
    assert.equal(site.requests.filter(({ path }) => path === '/dist/core_bg.wasm').length, 1)
  })

  for (const from of [
    'module',
    'bytes',
    'buffer',
    'answer',
    'promise',
    'URL',
    'text',
    'answer of another type',
    'WebAssembly that does not say what it is',
  ]) {
    everywhere(`takes the ${from}`, initialized, { from }, (found) => assert.deepEqual(found, { hash: OF_NOTHING }))
  }

  const mixed = (found) =>
    new RegExp(
      `the scripts are those of leasehold-web ${version} core, and the WebAssembly is that of ${found}: a cache`,
    )
  const WRONG = {
    'an address that is not there': ['wasm_unavailable', /missing\.wasm cannot be fetched: the server answers 404/],
    'an answer that failed': ['wasm_unavailable', /cannot be fetched: the server answers 503/],
    'a server that is away': ['wasm_unavailable', /core_bg\.wasm cannot be fetched: TypeError/],
    'a promise that failed': ['wasm_unavailable', /cannot be fetched: TypeError/],
    'a file that is not there': [
      'wasm_unavailable',
      /core_bg\.wasm (cannot be read: Error: ENOENT|is a file, which pages)/,
    ],
    'no URL': ['wasm_invalid', /URL/],
    'other bytes': ['wasm_invalid', /not the WebAssembly of this version: .*magic/],
    'half of it': ['wasm_invalid', /not the WebAssembly of this version/],
    'a module with nothing in it': ['wasm_invalid', /not the WebAssembly of this version/],
    'a server that hangs up halfway': ['wasm_unavailable', /did not come whole: \S/],
    'a server that hangs up, and had not said how much comes': ['wasm_unavailable', /did not come whole: \S/],
    'bytes of which half come': ['wasm_unavailable', /did not come whole: \S/],
    'an answer that breaks off': ['wasm_unavailable', /did not come whole: \S/],
    'another version': ['wasm_mismatch', mixed('0.0.9 core')],
    'a module of another version': ['wasm_mismatch', mixed('0.0.9 core')],
    'the other build': ['wasm_mismatch', mixed(`${version} full`)],
  }
  for (const [from, [code, message]] of Object.entries(WRONG)) {
    const given = { from, then: 'what lies beside it' }
    everywhere(`fails with ${from}, and may be tried again`, initialized, given, ({ failed, ...then }) => {
      assert.equal(failed?.name, 'InitError')
      assert.equal(failed.code, code)
      assert.match(failed.message, message)
      assert.deepEqual(then, { asked: 'not_initialized', hash: OF_NOTHING })
    })
  }

  // What each says where a policy forbids it; Chromium itself is asked below.
  const FORBIDDING = {
    Chromium:
      'WebAssembly.compileStreaming(): Compiling or instantiating WebAssembly module violates the following Content ' +
      "Security policy directive because neither 'wasm-eval' nor 'unsafe-eval' is an allowed source of script",
    'Chromium of before':
      "WebAssembly.compile(): Refused to compile or instantiate WebAssembly module because 'unsafe-eval' is not an " +
      'allowed source of script in the following Content Security Policy directive: "script-src \'self\'"',
    Firefox: 'call to WebAssembly.compileStreaming() blocked by CSP',
    Safari:
      "Refused to create a WebAssembly object because 'unsafe-eval' or 'wasm-unsafe-eval' is not an allowed source of " +
      'script in the following Content Security Policy directive: "script-src \'self\'"',
  }
  for (const [whose, text] of Object.entries(FORBIDDING)) {
    for (const kind of ['CompileError', 'EvalError']) {
      everywhere(
        `is told by ${whose} that it is forbidden, by ${kind}`,
        async ({ dist, wasm, text, kind }) => {
          const { init } = await import(`${dist}index.js`)
          WebAssembly.compileStreaming = async () => {
            throw new { CompileError: WebAssembly.CompileError, EvalError }[kind](text)
          }
          const { name, code } = await init({ module: wasm.core }).catch((error) => error)
          return { name, code }
        },
        { text, kind },
        (found) => assert.deepEqual(found, { name: 'InitError', code: 'wasm_blocked' }),
      )
    }
  }

  everywhere(
    'fails for all who wait for it',
    async ({ dist, at }) => {
      const { init } = await import(`${dist}index.js`)
      const all = await Promise.allSettled([init({ module: `${at}/missing.wasm` }), init(), init()])
      return all.map(({ reason }) => reason?.code)
    },
    {},
    (codes) => assert.deepEqual(codes, Array(3).fill('wasm_unavailable')),
  )

  everywhere(
    'is of one build in each page',
    async ({ dist }) => {
      const [core, full] = await Promise.all(['index', 'full'].map((name) => import(`${dist}${name}.js`)))
      await core.init()
      const { code, message } = await full.init().catch((error) => error)
      await core.init()
      return { code, message }
    },
    {},
    ({ code, message }) => {
      assert.equal(code, 'wasm_invalid')
      assert.match(message, /the other build of leasehold-web runs in this page: initialize one of them/)
    },
  )
})

describe('in a page', () => {
  test('a plain module script', async () => {
    site.routes['/plain'] = page(`
      import { init } from '/dist/index.js'
      import { hashOf } from '/dist/documents.js'
      await init()
      globalThis.found = hashOf(new Uint8Array())`)
    assert.deepEqual(await visited('/plain'), OF_NOTHING)
  })

  test('a Worker, to which the page posts the module', async () => {
    site.routes['/worker.js'] = script(`
      import { init } from '/dist/index.js'
      import { hashOf } from '/dist/documents.js'
      self.onmessage = async ({ data }) => {
        await init({ module: data })
        self.postMessage(hashOf(new Uint8Array()))
      }`)
    site.routes['/working'] = page(`
      const module = await WebAssembly.compileStreaming(fetch('/dist/core_bg.wasm'))
      const worker = new Worker('/worker.js', { type: 'module' })
      worker.onmessage = ({ data }) => (globalThis.found = data)
      worker.onerror = ({ message }) => (globalThis.found = message)
      worker.postMessage(module)`)
    assert.equal(await visited('/working'), OF_NOTHING)
  })

  const itself = {
    name: 'itself',
    setup({ onResolve }) {
      const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
      onResolve({ filter: /^leasehold-web(\/|$)/ }, ({ path }) => ({
        path: join(root, exports[path.replace('leasehold-web', '.')]),
      }))
    },
  }

  /** What esbuild makes of a script that imports the package. */
  async function bundled(name, contents, options) {
    await build({
      stdin: { contents, resolveDir: root },
      outfile: join(folder, `${name}.js`),
      bundle: true,
      // The package as its entries are named; it is not installed beneath itself.
      plugins: [itself],
      loader: { '.wasm': 'file' },
      publicPath: '/bundles',
      logLevel: 'error',
      ...options,
    })
    for (const file of readdirSync(folder)) {
      const type = file.endsWith('.wasm') ? 'application/wasm' : 'text/javascript'
      site.routes[`/bundles/${file}`] = (_, response) =>
        response.writeHead(200, { 'content-type': type }).end(readFileSync(join(folder, file)))
    }
  }

  const app = `
    import { init } from 'leasehold-web'
    import { hashOf } from 'leasehold-web/documents'
    import module from 'leasehold-web/core.wasm'
    init({ module }).then(() => (globalThis.found = hashOf(new Uint8Array())), (error) => (globalThis.found = error.message))`

  test('a bundle that is a module', async () => {
    await bundled('module', app, { format: 'esm' })
    site.routes['/module'] = page('', { head: '<script type="module" src="/bundles/module.js"></script>' })
    assert.equal(await visited('/module'), OF_NOTHING)
  })

  test('a bundle that is a script', async () => {
    await bundled('script', app, { format: 'iife', logOverride: { 'empty-import-meta': 'silent' } })
    site.routes['/script'] = page('', { head: '<script src="/bundles/script.js"></script>' })
    assert.equal(await visited('/script'), OF_NOTHING)
  })

  test('a bundle that is a script knows of nothing that lies beside it', async () => {
    const lost = `
      import { init } from 'leasehold-web'
      init().catch(({ name, code, message }) => (globalThis.found = { name, code, message }))`
    await bundled('lost', lost, { format: 'iife', logOverride: { 'empty-import-meta': 'silent' } })
    site.routes['/lost'] = page('', { head: '<script src="/bundles/lost.js"></script>' })
    const { name, code, message } = await visited('/lost')
    assert.deepEqual([name, code], ['InitError', 'wasm_unavailable'])
    assert.match(message, /pass `module` to `init`/)
  })

  for (const [allowed, expected] of [
    ["'self' 'wasm-unsafe-eval'", { hash: OF_NOTHING }],
    [
      "'self'",
      {
        code: 'wasm_blocked',
        message:
          "this page's content security policy forbids WebAssembly: add 'wasm-unsafe-eval' to its `script-src`, " +
          'or let your server say what to show',
      },
    ],
  ]) {
    test(`a content security policy with script-src ${allowed}`, async () => {
      site.routes['/app.js'] = script(`
        import { init } from '/dist/index.js'
        import { hashOf } from '/dist/documents.js'
        globalThis.found = await init().then(
          () => ({ hash: hashOf(new Uint8Array()) }),
          ({ code, message }) => ({ code, message }),
        )`)
      const policy = `default-src 'self'; script-src ${allowed}`
      site.routes['/guarded'] = (_, response) =>
        response
          .writeHead(200, { 'content-type': 'text/html', 'content-security-policy': policy })
          .end('<!doctype html><script type="module" src="/app.js"></script>')
      assert.deepEqual(await visited('/guarded'), expected)
    })
  }
})

describe('a trap in the WebAssembly', () => {
  everywhere(
    'is a mistake of ours, and the engine goes on',
    async ({ dist, chunks }) => {
      const [{ init, InternalError }, { hashOf }, ...modules] = await Promise.all(
        ['index.js', 'documents.js', ...chunks].map((name) => import(dist + name)),
      )
      await init()
      const { native } = modules.find((module) => 'native' in module)
      // (module (func (export "trap") unreachable))
      const code = [
        0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5,
      ]
      const { instance } = await WebAssembly.instantiate(new Uint8Array([...code, 1, 3, 0, 0, 11]))
      const { hashOf: whole } = native
      native.hashOf = instance.exports.trap
      let thrown
      try {
        hashOf(new Uint8Array())
      } catch (error) {
        thrown = error
      }
      native.hashOf = whole
      const { name, code: told, message, cause } = thrown
      const isOurs = thrown instanceof InternalError && cause instanceof WebAssembly.RuntimeError
      return { name, told, message, isOurs, after: hashOf(new Uint8Array()) }
    },
    {},
    ({ message, ...found }) => {
      assert.deepEqual(found, { name: 'InternalError', told: 'internal', isOurs: true, after: OF_NOTHING })
      assert.match(message, /^the engine panicked, which is a mistake in it: unreachable/)
    },
  )
})

function script(contents) {
  return (_, response) => response.writeHead(200, { 'content-type': 'text/javascript' }).end(contents)
}

/** What a page finds. */
async function visited(path) {
  const tab = await chromium.newPage()
  try {
    const failed = new Promise((_, reject) => tab.once('pageerror', reject))
    failed.catch(() => undefined)
    await tab.goto(site.url + path)
    const found = tab.waitForFunction(() => globalThis.found)
    return await Promise.race([found.then((handle) => handle.jsonValue()), failed])
  } finally {
    await tab.close()
  }
}
