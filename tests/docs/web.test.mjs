// The code that pages show for browsers, run in Chromium (what is for servers, in Node) on the built package and HQ as it is.

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { Site, browser, page as pageOf } from '../../crates/bindings-wasm/test/support/browser.mjs'
import { Blocks, replaced } from './blocks.mjs'
import { NODE, WEB, Workshop, asking } from './workshop.mjs'

const blocks = new Blocks('web')
const shown = (number) => blocks.take('docs/browser.md', number)
const TENANT = 'om-muscat-sparkle'

let hq, site, chromium, workshop, esbuild, follow, errors, page
before(async () => {
  workshop = await Workshop.open({ leasehold: NODE, 'leasehold-web': WEB }, [WEB])
  esbuild = await workshop
    .run(`import * as esbuild from 'esbuild'`, { gives: ['esbuild'] })
    .then((found) => found.esbuild)
  chromium = await browser()
  site = await Site.open()
  const wasm = await readFile(join(WEB, 'dist/core_bg.wasm'))
  const sendWasm = (_, response) => response.writeHead(200, { 'content-type': 'application/wasm' }).end(wasm)
  Object.assign(site.routes, { '/app/core_bg.wasm': sendWasm, '/leasehold-web/core_bg.wasm': sendWasm })
  hq = await Hq.open({ allowedOrigins: [site.url] })
  follow = await hq.pageOptions(TENANT)
})
after(async () => {
  await chromium?.close()
  await site?.close()
  await hq?.close()
  await workshop?.close()
})
beforeEach(async () => {
  await page?.close()
  page = await chromium.newPage()
  errors = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
})

const address = (text) => replaced(text, { 'https://hq.example': hq.url })
let count = 0

/** Puts a module with all that it imports into one file; the WebAssembly lies beside it. */
async function bundled(text, options = {}) {
  count += 1
  await writeFile(workshop.at(`page_${count}.jsx`), text)
  const { outputFiles } = await esbuild.build({
    absWorkingDir: workshop.folder,
    entryPoints: [`page_${count}.jsx`],
    ...{ bundle: true, format: 'esm', target: 'es2022', write: false, outdir: 'out', logLevel: 'silent' },
    ...{ jsx: 'automatic', define: { 'process.env.NODE_ENV': '"development"' } },
    ...options,
  })
  return outputFiles
}

/** Opens a page with a module, which finds `given` as variables, and waits until it has run. */
async function open(text, { given = {}, body = '', head = '', policy, gives = [] } = {}) {
  const frame = `const { ${Object.keys(given).join(', ')} } = globalThis.given\n`
  // Imports come first, whatever is in front of them.
  const end = `\nObject.assign(globalThis, { ${gives.join(', ')} }); globalThis.isDone = true`
  const [{ text: script }] = await bundled(frame + text + end)
  const headers = policy === undefined ? {} : { 'content-security-policy': policy }
  const path = `/app/${count}`
  site.routes[`${path}.js`] = (_, response) =>
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
  site.routes[path] = (_, response) => {
    const html = `<!doctype html><meta charset="utf-8">${head}<body>${body}<script type="module" src="${path}.js"></script>`
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(html)
  }
  await page.addInitScript((given) => void (globalThis.given = given), given)
  await page.goto(site.url + path)
  await done()
}

/** Waits until the page's module has run; what it threw is what the test fails with. */
async function done() {
  const failed = new Promise((_, reject) => page.on('pageerror', reject))
  failed.catch(() => undefined)
  if (errors.length > 0) {
    assert.fail(errors.join('\n'))
  }
  await Promise.race([page.waitForFunction(() => globalThis.isDone), failed])
}

const text = async (selector) => page.locator(selector).innerText()
/** What the server's engine says, which the page has to say too. */
const expected = async () => hq.asks('GET', `/v1/tenants/${TENANT}/entitlements`)

const INVOICES = '<button id="invoices" hidden>Invoices</button>'
const isHidden = () => page.evaluate(() => document.getElementById('invoices').hidden)
const hasInvoices = async () => (await expected()).features.includes('pdf_invoices')

test('README.md: a page follows its slice', async () => {
  const { tenant, token, trust } = follow
  await open(address(blocks.take('README.md', 8)), { given: { tenant, token, trust }, body: INVOICES })
  assert.equal(await isHidden(), !(await hasInvoices()))
})

test('crates/bindings-wasm/README.md: the token comes from the server of the page', async () => {
  site.routes['/token'] = (_, response) => response.end(follow.token)
  const code = address(blocks.take('crates/bindings-wasm/README.md', 2))
  await open(code, { given: { trust: follow.trust }, body: INVOICES, gives: ['engine'] })
  assert.equal(await isHidden(), !(await hasInvoices()))
})

test('crates/bindings-wasm/README.md: two minutes', async () => {
  const { code, told } = asking(blocks.take('crates/bindings-wasm/README.md', 3))
  const answers = []
  await workshop.run(code, { given: { answers } })
  assert.deepEqual(answers, told)
})

test('docs/browser.md: quick start, and a token that is refused', async () => {
  const { tenant, trust } = follow
  let [asked, made] = [0, 0]
  site.routes['/session'] = (request, response) => {
    request.method === 'POST' ? (made += 1) : (asked += 1)
    const token = request.method === 'POST' ? follow.token : 'lht_refused'
    response.end(JSON.stringify({ tenant, trust: JSON.parse(trust), token }))
  }
  const body = `${INVOICES}<button id="addUser">Add</button>`
  const users = Array.from({ length: 100 })
  await open(address(shown(2)), { given: { users }, body, gives: ['engine'] })
  assert.equal(await isHidden(), !(await hasInvoices()))
  assert.deepEqual([asked, made], [1, 1])
  assert.equal(await page.evaluate(() => document.getElementById('addUser').disabled), false, 'the limit is a soft one')
})

test('docs/browser.md: the server makes a token', async () => {
  const given = { HQ: hq.url, session: hq.staff, tenant: TENANT }
  const { secret } = await workshop.run(shown(5), { given, gives: ['secret'] })
  const headers = { authorization: `Bearer ${secret}` }
  assert.equal((await fetch(`${hq.url}/v1/tenants/${TENANT}/slice`, { headers })).status, 200)
  assert.equal((await fetch(`${hq.url}/v1/tenants/om-muscat-crown/slice`, { headers })).status, 403)
})

const FOLLOWING = `import { Engine, init } from 'leasehold-web'
const engine = await init().then(() => Engine.follow({ url, tenant, token, trust }))\n`

test('docs/browser.md: what a page says of its connection', async () => {
  const status = `const status = document.getElementById('status')\n`
  const body = '<p id="status"></p>'
  const waits = `while (!engine.hearing.told) await new Promise((heard) => setTimeout(heard, 10))\n`
  await open(FOLLOWING + status + waits + shown(6), { given: follow, body })
  assert.equal(await text('#status'), 'live')
})

const RENDER = (tree) => `\nimport { createRoot } from 'react-dom/client'
createRoot(document.getElementById('root')).render(${tree})`
const ROOT = '<div id="root"></div>'

test('docs/browser.md: React', async () => {
  const skeleton = `const Skeleton = () => <p>…</p>\n`
  await open(skeleton + shown(7) + RENDER('<App />'), { given: follow, body: ROOT })
  const { max_users: limit } = await expected()
  await page.getByText(`Invite, ${limit - 3} left`).waitFor()
  await page.getByText((await hasInvoices()) ? 'Print' : 'Print invoices with Growth', { exact: true }).waitFor()
})

test('docs/browser.md: React, with a key that there is not', async () => {
  const frame = `import { Component } from 'react'
import { LeaseholdProvider, useFeature } from 'leasehold-web/react'
const Asks = () => String(useFeature('nothing'))
class Boundary extends Component {
  state = {}
  static getDerivedStateFromError(error) { return { error } }
  render() { return this.state.error ? this.state.error.code : this.props.children }
}
`
  const tree = `const tree = ${shown(8).trim()}<Asks /></LeaseholdProvider>`
  await open(FOLLOWING + frame + tree + RENDER('<Boundary>{tree}</Boundary>'), { given: follow, body: ROOT })
  await page.getByText('unknown_feature').waitFor()
})

/** A token for each tenant that pages turn to. */
const tokensOf = async (...tenants) =>
  Object.fromEntries(await Promise.all(tenants.map(async (tenant) => [tenant, (await hq.pageOptions(tenant)).token])))

test('docs/browser.md: React, with one tenant after the other', async () => {
  const other = 'om-salalah-fresh'
  const tokens = await tokensOf(TENANT, other)
  const frame = `import { useEffect, useState } from 'react'
import { Engine, init } from 'leasehold-web'
import { LeaseholdProvider, useTenant } from 'leasehold-web/react'
const tokenFor = async (tenant) => tokens[tenant]
const Names = () => useTenant().id
function App() {
  const [tenant, turn] = useState('${TENANT}')
  return <><button onClick={() => turn('${other}')}>Turn</button><p>
    <LeaseholdProvider engine={useEngine(tenant)} fallback="waits"><Names /></LeaseholdProvider></p></>
}
`
  const { url, trust } = follow
  await open(frame + shown(9) + RENDER('<App />'), { given: { url, trust, tokens }, body: ROOT })
  await page.getByText(TENANT).waitFor()
  await page.getByText('Turn').click()
  await page.getByText(other).waitFor()
})

test('docs/browser.md: React, rendered on a server and taken over by the page', async () => {
  const tree = `import { Entitled, LeaseholdProvider } from 'leasehold-web/react'
const Page = () => <Entitled feature="delivery" fallback={<a>Upgrade</a>}><button>Deliver</button></Entitled>\n`
  const { token } = await hq.options('pages-1')
  const { url, tenant, trust } = follow
  const server = `import { renderToString } from 'react-dom/server'\n${tree}${shown(10)}`
  const [{ text: rendering }] = await bundled(server.replace(/^/, 'const { url, token, trust, tenant } = given\n'), {
    ...{ packages: 'external', platform: 'node', banner: { js: 'const given = globalThis.serving' } },
    footer: { js: 'export { html, renderedAt, engine }' },
  })
  globalThis.serving = { url, token, trust, tenant }
  await writeFile(workshop.at('server.mjs'), rendering)
  const { html, renderedAt, engine } = await import(workshop.at('server.mjs'))
  await engine.close()
  assert.equal(html.replace(/<!--.*?-->/g, ''), '<button>Deliver</button>')

  const headers = { authorization: `Bearer ${follow.token}` }
  const slice = await (await fetch(`${url}/v1/tenants/${tenant}/slice`, { headers })).text()
  const code = `import { hydrateRoot } from 'react-dom/client'
import { Engine, init } from 'leasehold-web'
const root = document.getElementById('root')
${tree}${shown(11)}`
  const gives = ['engine', 'LeaseholdProvider']
  await open(code, { given: { ...follow, slice, renderedAt }, body: `<div id="root">${html}</div>`, gives })
  await page.evaluate(async () => void (await globalThis.engine))
  assert.equal(await text('#root'), 'Deliver')
  assert.deepEqual(errors, [])
})

test('docs/browser.md: elements, their styles, and reasons of one’s own', async () => {
  const body = shown(12)
  const inserted = replaced(body, {
    '</script>': `  globalThis.isDone = true\n  Object.assign(globalThis, { defineElements, init, Engine })\n</script>`,
  })
  site.routes['/elements'] = pageOf('', { head: `<style>${shown(13)}</style>`, body: inserted })
  await page.addInitScript(
    (given) => Object.assign(globalThis, given, { moved: [], move: (one) => globalThis.moved.push(one) }),
    follow,
  )
  await page.goto(`${site.url}/elements`)
  await done()
  await page.locator(`lh-entitled[state=${(await hasInvoices()) ? 'on' : 'off'}]`).waitFor()
  await page.getByText(`3 of ${(await expected()).max_users}`).waitFor()
  const blocked = page.locator('lh-transitions [part~=blocked]').first()
  await blocked.waitFor()
  assert.equal(await blocked.evaluate((element) => getComputedStyle(element).opacity), '0.7')
  // The style of a limit that is reached, on one that is.
  await page.evaluate(() => document.querySelector('lh-limit').setAttribute('used', '100000'))
  const outcome = await page.locator('lh-limit').getAttribute('outcome')
  assert.ok(['deny', 'warn'].includes(outcome), outcome)
  const rules = await page.evaluate(() =>
    [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].map((rule) => rule.selectorText)),
  )
  assert.ok(rules.includes(`lh-limit[outcome="deny"]::part(fill)`), rules.join('\n'))

  const reasons = {
    en: {
      requires_invoice: 'Write the invoice first',
      requires_payment: 'Collect the money first',
      role_required: 'Ask the counter',
    },
    ar: {},
  }
  await page.evaluate(
    async ([code, options, reasons]) => {
      const AsyncFunction = (async () => {}).constructor
      const engine = await globalThis.init().then(() => globalThis.Engine.follow(options))
      await new AsyncFunction('engine', 'defineElements', 'reasons', code)(engine, globalThis.defineElements, reasons)
    },
    [shown(14), follow, reasons],
  )
  await page.getByText('Write the invoice first').first().waitFor()

  // What the counter may do tells the page, and does nothing else.
  await page.evaluate(() => {
    const element = document.querySelector('lh-transitions')
    element.setAttribute('inputs', '{"invoice_issued":true,"balance_due_minor":0,"customer_type":"individual"}')
    element.setAttribute('roles', 'counter')
  })
  await page.locator('lh-transitions [part~=enabled] button').first().click()
  assert.deepEqual(await page.evaluate(() => globalThis.moved.map(({ transition }) => transition)), ['pick_up'])
})

test('docs/browser.md: OpenFeature', async () => {
  const tokens = await tokensOf(TENANT)
  const lines = replaced(shown(15), {
    "client.getBooleanValue('pdf_invoices', false)": "const pdf = client.getBooleanValue('pdf_invoices', false)",
    "client.getNumberValue('max_users', 0)": "const users = client.getNumberValue('max_users', 0)",
  })
  const { url, trust } = follow
  const frame = 'const tokenFor = async (tenant) => tokens[tenant]\n'
  await open(frame + lines, { given: { url, trust, tokens }, gives: ['pdf', 'users'] })
  const { pdf, users } = await page.evaluate(() => ({ pdf: globalThis.pdf, users: globalThis.users }))
  assert.equal(pdf, await hasInvoices())
  assert.equal(users, (await expected()).max_users)
})

test('docs/browser.md: a page that comes with its slice', async () => {
  const { url, tenant, token, trust } = follow
  const { html } = await workshop.run(shown(16), { given: { HQ: url, tenant, token, html: '' }, gives: ['html'] })
  const imports = `import { Engine, init } from 'leasehold-web'\nawait init()\n`
  // Without HQ: the slice that came along answers.
  const given = { url: 'http://127.0.0.1:9', tenant, token, trust }
  await open(imports + shown(17), { given, body: html, gives: ['engine'] })
  assert.equal(await page.evaluate(() => globalThis.engine.tenant().isEnabled('delivery')), true)
})

test('docs/browser.md: a content security policy, and pages whose policy is another one', async () => {
  const policy = address(shown(18)).trim()
  const code = `${shown(19)}\nconst isOn = await switches()\nconst answers = [isOn('delivery'), isOn('nothing')]`
  const { features } = await expected()
  site.routes['/entitlements'] = (_, response) => response.end(JSON.stringify({ features }))
  for (const [headers, asked] of [
    [policy, 0],
    [policy.replace("'wasm-unsafe-eval'", ''), 1],
  ]) {
    site.requests.length = 0
    await page.close()
    page = await chromium.newPage()
    await open(code, { given: { options: follow }, policy: headers, gives: ['answers'] })
    assert.deepEqual(await page.evaluate(() => globalThis.answers), [true, false])
    assert.equal(site.requests.filter(({ path }) => path === '/entitlements').length, asked)
  }
})

test('docs/browser.md: without a bundler, with the WebAssembly told in front', async () => {
  const html = replaced(shown(20), { 'await init()': 'await init()\n  globalThis.isDone = typeof Engine.follow' })
  site.routes['/plain'] = `<!doctype html><meta charset="utf-8">${shown(3)}${html}`
  const files = /from ?"\.\/(.*?)"/g
  for (const names = ['index.js']; names.length > 0;) {
    const name = names.pop()
    const script = await readFile(join(WEB, 'dist', name), 'utf8')
    site.routes[`/leasehold-web/${name}`] ??= (_, response) =>
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    names.push(
      ...[...script.matchAll(files)].map(([, name]) => name).filter((name) => !site.routes[`/leasehold-web/${name}`]),
    )
  }
  site.requests.length = 0
  await page.goto(`${site.url}/plain`)
  await done()
  assert.equal(await page.evaluate(() => globalThis.isDone), 'function')
  const asked = site.requests.filter(({ path }) => path === '/leasehold-web/core_bg.wasm')
  assert.equal(asked.length, 1, 'what was told in front is what is used')
})

test('docs/browser.md: esbuild makes the WebAssembly a file of the bundle', async () => {
  const loader = { '.wasm': 'file' }
  const code = shown(21)
  assert.ok(code.includes(`loader: { '.wasm': 'file' }`))
  const script = `import { init } from 'leasehold-web'\n${code}\nglobalThis.isDone = true`
  const files = await bundled(script, { loader, entryNames: 'main', assetNames: '[name]' })
  for (const { path, contents } of files) {
    const name = path.split('/').at(-1)
    const type = name.endsWith('.js') ? 'text/javascript' : 'application/wasm'
    site.routes[`/built/${name}`] = (_, response) => response.writeHead(200, { 'content-type': type }).end(contents)
  }
  assert.equal(files.length, 2)
  site.routes['/built'] = '<!doctype html><script type="module" src="/built/main.js"></script>'
  await page.goto(`${site.url}/built`)
  await done()
})

test('docs/browser.md: a Worker that imports WebAssembly as a module', async () => {
  const compiles = {
    name: 'modules',
    setup: (build) => {
      build.onResolve({ filter: /core\.wasm$/ }, () => ({ path: join(WEB, 'dist/core_bg.wasm'), namespace: 'wasm' }))
      build.onLoad({ filter: /.*/, namespace: 'wasm' }, async ({ path }) => {
        const bytes = (await readFile(path)).toString('base64')
        return { contents: `export default new WebAssembly.Module(Buffer.from('${bytes}', 'base64'))` }
      })
    },
  }
  const asks = `\nglobalThis.answered = await Engine.follow(globalThis.followed).then((engine) => [engine.tenant().isEnabled('delivery'), engine.close()][0])`
  const [{ text: script }] = await bundled(shown(22) + asks, { plugins: [compiles], platform: 'node' })
  globalThis.followed = follow
  await writeFile(workshop.at('worker.mjs'), script)
  await import(workshop.at('worker.mjs'))
  assert.equal(globalThis.answered, true)
})

test('all that is claimed was run', () => blocks.done())
