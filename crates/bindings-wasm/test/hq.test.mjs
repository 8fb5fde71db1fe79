// The example's page in Chromium, with its back end and HQ as they are.
//
// Where LEASEHOLD_SCREENSHOTS names a folder, the pages are pictured there, to be looked at.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listening, start } from '../../../examples/browser/server.mjs'
import { Hq } from '../../bindings-node/test/support/hq.mjs'
import { until } from '../../bindings-node/test/support/wait.mjs'
import { browser } from './support/browser.mjs'

const OASIS = 'ae-alain-oasis'
const SPARKLE = 'om-muscat-sparkle'
/** Long enough for a machine that does many things at once. */
const PATIENCE = { timeout: 60_000 }

let hq
let app
/** The same with tokens that are over in no time. */
let hasty
let chromium
let context
/** A page that is open from the beginning, and what it does once its token is over. */
let patient
let renewed
/** What went wrong in any page, but for the network, which is cut here on purpose. */
const wrong = []

before(async () => {
  const servers = [await listening(), await listening()]
  hq = await Hq.open({ allowedOrigins: servers.map((server) => `http://127.0.0.1:${server.address().port}`) })
  await hq.signs(OASIS)
  const options = { url: hq.url, token: hq.staff, trust: hq.desk.trust }
  app = await start({ ...options, server: servers[0] })
  hasty = await start({ ...options, server: servers[1], tokenMs: 3_000 })
  chromium = await browser()
  context = await chromium.newContext({ locale: 'en-GB', timezoneId: 'Asia/Muscat' })
  patient = await open('om-muscat-crown', 'en', context, hasty)
  renewed = patient.waitForRequest(isForAnother, { timeout: 120_000 })
  renewed.catch(() => undefined)
})
after(async () => {
  await chromium?.close()
  await app?.close()
  await hasty?.close()
  await hq?.close()
})

async function open(laundry, language = 'en', there = context, { url } = app) {
  const page = await there.newPage()
  page.on('pageerror', (error) => wrong.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      wrong.push(message.text())
    }
  })
  await page.goto(`${url}/?laundry=${laundry}&language=${language}`)
  await page.locator('#decided').waitFor(PATIENCE)
  return page
}

/** Whether a page asks its server for another token. */
const isForAnother = (request) => request.method() === 'POST' && request.url().includes('/session?')
const feature = (page, key) => page.locator(`#features [data-feature="${key}"]`)
const connection = (page, is) => page.locator(`#connection[data-state="${is}"]`)
const move = (page, name) => page.getByRole('button', { name, exact: true })
const blocked = async (page, name) => (await move(page, name).getAttribute('aria-disabled')) === 'true'
const reasons = async (page, transition) => page.locator(`#why-${transition} > li`).allTextContents()

async function picture(page, name) {
  const folder = process.env.LEASEHOLD_SCREENSHOTS
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true })
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
  }
}

const VIEWS = { light: { width: 1180, height: 900 }, narrow: { width: 390, height: 844 } }
for (const [language, direction] of [
  ['en', 'ltr'],
  ['ar', 'rtl'],
]) {
  for (const [view, viewport] of Object.entries(VIEWS)) {
    test(`the page fits, reads from its side and has names for everything: ${language}, ${view}`, async () => {
      const sized = await chromium.newContext({ viewport, locale: 'en-GB', timezoneId: 'Asia/Muscat' })
      const page = await open(SPARKLE, language, sized)
      await connection(page, 'live').waitFor(PATIENCE)
      const found = await page.evaluate(() => {
        const { lang, dir, scrollWidth, clientWidth } = document.documentElement
        const unnamed = [...document.querySelectorAll('button, select, input, [role="meter"]')]
          .filter((element) => element.checkVisibility())
          .filter((element) => !element.textContent.trim() && !element.labels?.length)
          .filter((element) => !element.hasAttribute('aria-labelledby'))
        const duplicate = [...document.querySelectorAll('[id]')].map(({ id }) => id)
        return {
          lang,
          dir,
          fits: scrollWidth <= clientWidth,
          unnamed: unnamed.length,
          duplicate: duplicate.length - new Set(duplicate).size,
        }
      })
      assert.deepEqual(found, { lang: language, dir: direction, fits: true, unnamed: 0, duplicate: 0 })
      const first = await page.locator('#features li').first().textContent()
      const want = { en: /^[\x20-\x7e]+$/, ar: /^[\u0600-\u06ff\s]+$/ }[language]
      assert.match(await page.locator('h1').textContent(), want)
      assert.match(first, want)
      await picture(page, `${language}-${view}`)
      await page.locator('#language').click()
      assert.equal(await page.evaluate(() => document.documentElement.dir), direction === 'rtl' ? 'ltr' : 'rtl')
      await sized.close()
    })
  }
}

test('a plan that changes at HQ opens a feature, without a reload', async () => {
  const page = await open(OASIS)
  await connection(page, 'live').waitFor(PATIENCE)
  assert.equal(await page.locator('#plan-plan').textContent(), 'Starter')
  assert.equal(await feature(page, 'delivery').count(), 0)
  await page.evaluate(() => {
    globalThis.isTheSamePage = true
  })
  await hq.changePlan(OASIS, '2-starter', 'growth')
  await feature(page, 'delivery').waitFor(PATIENCE)
  assert.equal(await page.locator('#plan-plan').textContent(), 'Growth')
  assert.match(await page.locator('#news').textContent(), /^New: .*Pickup and delivery/)
  assert.equal(await page.evaluate(() => globalThis.isTheSamePage), true)
  await page.close()
})

test('a kill switch closes it, and the page says why', async () => {
  const page = await open(OASIS)
  await feature(page, 'delivery').waitFor(PATIENCE)
  await connection(page, 'live').waitFor(PATIENCE)
  const since = new Date(Date.now() - 1000).toISOString()
  const kill = { feature: 'delivery', since, reason: 'wrong fees', actor: 'admin' }
  await hq.asks('PUT', '/v1/kills/web', kill, { 'if-none-match': '*' })
  await feature(page, 'delivery').waitFor({ state: 'detached', ...PATIENCE })
  await page.locator('#off-summary').click()
  const why = page.locator('#off > div', { hasText: 'Pickup and delivery' }).locator('dd')
  assert.equal(await why.textContent(), 'switched off for everybody for a while')
  await page.close()
})

test('a block closes the laundry but for its bill', async () => {
  const page = await open('om-salalah-fresh')
  await connection(page, 'live').waitFor(PATIENCE)
  await feature(page, 'payments').waitFor(PATIENCE)
  const since = new Date(Date.now() - 1000).toISOString()
  const block = { kind: 'suspended', laid_by: 'billing', since, reason: 'Ninety days overdue' }
  const once = { 'idempotency-key': randomUUID() }
  await hq.asks('PUT', '/v1/tenants/om-salalah-fresh/blocks/unpaid', block, once)
  await page.locator('#access').waitFor(PATIENCE)
  assert.deepEqual(await page.locator('#features li').allTextContents(), ['Billing portal'])
  assert.match(await page.locator('#moves-none').textContent(), /closed/)
  await page.close()
})

test('the switcher shows another laundry, and nothing of the last', async () => {
  const page = await open(SPARKLE)
  assert.equal(await page.locator('h1').textContent(), 'Muscat Sparkle Laundry')
  assert.equal(await feature(page, 'sso').count(), 0)
  await page.locator('#laundry').selectOption('om-muscat-crown')
  await feature(page, 'sso').waitFor(PATIENCE)
  assert.equal(await page.locator('h1').textContent(), 'Crown Garment Care Group')
  assert.match(page.url(), /laundry=om-muscat-crown/)
  assert.equal(await page.locator('[role="meter"]').first().getAttribute('aria-valuetext'), '2, no limit')
  await page.close()
})

test('a page that was opened while its server was down recovers', async () => {
  const page = await context.newPage()
  page.on('pageerror', (error) => wrong.push(error.message))
  const [start, desk] = [/\/laundries$/, /\/desk\?/]
  await page.route(start, (route) => route.abort())
  await page.route(desk, (route) => route.abort())
  await page.goto(`${app.url}/?laundry=om-muscat-crown&language=en`)
  await page.locator('#problem', { hasText: 'the server cannot be reached' }).waitFor(PATIENCE)
  await page.unroute(start)
  // Decided from the slice; of the order, the server alone knows.
  await feature(page, 'sso').waitFor(PATIENCE)
  assert.equal(await page.locator('#order-title').textContent(), 'the server cannot be reached')
  assert.equal(await page.locator('#problem').isVisible(), false)
  await page.unroute(desk)
  await page.locator('#stages [aria-current="step"]').waitFor(PATIENCE)
  await page.close()
})

test('an order moves, and is told what stands against it', async () => {
  const page = await open(SPARKLE)
  await move(page, 'Hand over at the counter').waitFor(PATIENCE)
  assert.equal(await blocked(page, 'Hand over at the counter'), true)
  assert.deepEqual(await reasons(page, 'pick_up'), ['The invoice is not issued', 'The bill is not paid'])
  await page.getByLabel('Invoice issued').check()
  await until('the invoice stands against nothing', async () => (await reasons(page, 'pick_up')).length === 1)
  await page.getByLabel('To pay (baisa)').fill('0')
  await page.getByLabel('To pay (baisa)').press('Tab')
  await until('it may be handed over', async () => !(await blocked(page, 'Hand over at the counter')))
  // By keyboard, as anybody may.
  await move(page, 'Hand over at the counter').press('Enter')
  await page.locator('#stages [aria-current="step"]', { hasText: 'Closed' }).waitFor(PATIENCE)
  assert.equal(await page.locator('#moved').textContent(), 'The server has moved the order: Closed.')
  assert.match(await page.locator('#moves-none').textContent(), /^Nothing/)
  await page.close()
})

test('the server allows nothing because a page shows it', async () => {
  const page = await open('om-muscat-crown')
  await move(page, 'Accept the order').waitFor(PATIENCE)
  const answers = await page.evaluate(async () => {
    const sent = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const ask = async (path, body) => {
      const response = await fetch(path, { ...sent, body: JSON.stringify(body) })
      return [response.status, (await response.json()).code]
    }
    return [
      await ask('/desk/moves?tenant=om-muscat-crown', { transition: 'accept', role: 'driver' }),
      await ask('/desk/moves?tenant=om-muscat-crown', { transition: 'pack', role: 'operator' }),
      await ask('/desk/users?tenant=om-seeb-express', { more: 1 }),
      await ask('/desk/users?tenant=sa-riyadh-najd', { more: 1 }),
    ]
  })
  assert.deepEqual(answers, [
    [403, 'guard_failed'],
    [403, 'guard_failed'],
    [403, 'limit_reached'],
    [404, 'unknown_laundry'],
  ])
  await page.close()
})

test('what the server says too late is not shown for the next laundry', async () => {
  const page = await context.newPage()
  page.on('pageerror', (error) => wrong.push(error.message))
  const next = async (pattern) => {
    // The first answer waits until it is let go.
    let letGo
    const held = new Promise((go) => (letGo = go))
    await page.route(pattern, async (route) => {
      await held
      await route.continue()
    })
    return {
      asked: page.waitForRequest(pattern, PATIENCE),
      async arrives() {
        const answered = page.waitForResponse(pattern, PATIENCE)
        letGo()
        await (await answered).finished()
        await page.unroute(pattern)
        // Whatever the page makes of it is done when another request has gone to and fro.
        await page.evaluate(async () => (await fetch('/laundries')).json())
      },
    }
  }
  const switchTo = async (laundry, name) => {
    await page.locator('#laundry').selectOption(laundry)
    await page.getByRole('heading', { level: 1, name }).waitFor(PATIENCE)
    await page.locator('#stages [aria-current="step"]').waitFor(PATIENCE)
  }
  const shown = async () => ({
    name: await page.locator('h1').textContent(),
    stage: await page.locator('#stages [aria-current="step"]').textContent(),
    users: await page.locator('[role="meter"]').first().getAttribute('aria-valuetext'),
    moved: await page.locator('#moved').textContent(),
  })
  const first = await next(/\/desk\?tenant=om-muscat-sparkle/)
  await page.goto(`${app.url}/?laundry=${SPARKLE}&language=en`)
  await first.asked
  await switchTo('om-muscat-crown', 'Crown Garment Care Group')
  const crown = await shown()
  assert.equal(crown.users, '2, no limit')
  await first.arrives()
  assert.deepEqual(await shown(), crown)

  for (const [pattern, button] of [
    [/\/desk\/moves\?tenant=om-muscat-crown/, 'Accept the order'],
    [/\/desk\/users\?tenant=om-muscat-crown/, 'Add a user'],
  ]) {
    const late = await next(pattern)
    await page.getByRole('button', { name: button, exact: true }).click()
    await late.asked
    await switchTo(SPARKLE, 'Muscat Sparkle Laundry')
    const sparkle = await shown()
    assert.deepEqual([sparkle.users, sparkle.moved], ['9 of 10', ''])
    await late.arrives()
    assert.deepEqual(await shown(), sparkle)
    await switchTo('om-muscat-crown', crown.name)
  }
  // It has happened all the same.
  assert.equal((await shown()).users, '3, no limit')
  await page.close()
})

test('a limit is a meter, and its button goes off with the room', async () => {
  // Of Growth 10, and 3 of its extra branch. Starter has 3, and no room for branches.
  const page = await open(OASIS)
  const meter = page.getByRole('meter', { name: 'Users' })
  await until('it has counted', async () => (await meter.getAttribute('aria-valuetext')) === '2 of 13')
  await page.getByRole('button', { name: 'Add a user' }).click()
  await until('it is counted', async () => (await meter.getAttribute('aria-valuetext')) === '3 of 13')
  assert.deepEqual(
    await Promise.all(['aria-valuenow', 'aria-valuemin', 'aria-valuemax'].map((name) => meter.getAttribute(name))),
    ['3', '0', '13'],
  )
  await hq.changePlan(OASIS, '2-starter', 'starter')
  const add = page.getByRole('button', { name: 'Add a user' })
  await until('there is no room', async () => (await add.getAttribute('aria-disabled')) === 'true')
  assert.equal(await meter.getAttribute('aria-valuetext'), '3 of 3')
  assert.equal(await page.locator('#add-user-why').textContent(), 'The plan has no room for another one.')
  await page.close()
})

test('a laundry of somebody else gets no session', async () => {
  const response = await fetch(`${app.url}/session?tenant=sa-riyadh-najd`)
  assert.deepEqual([response.status, (await response.json()).code], [404, 'unknown_laundry'])
  const { token } = await (await fetch(`${app.url}/session?tenant=${SPARKLE}`)).json()
  const other = await fetch(`${hq.url}/v1/tenants/${OASIS}/slice`, { headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual([other.status, (await other.json()).code], [403, 'other_tenant'])
})

test('another token is made on a POST, once for all who ask, and only for the one that is given out', async () => {
  const given = async (init) => (await (await fetch(`${app.url}/session?tenant=${SPARKLE}`, init)).json()).token
  const another = (refused) => {
    const headers = { 'content-type': 'application/json' }
    return given({ method: 'POST', headers, body: JSON.stringify({ refused }) })
  }
  const count = async () => {
    const { items } = await hq.asks('GET', '/v1/tokens?limit=500')
    return items.filter(({ name }) => name === `page of ${SPARKLE}`).length
  }
  const old = await given()
  const before = await count()
  const gets = await Promise.all([
    given(),
    given(),
    (await fetch(`${app.url}/session?tenant=${SPARKLE}&refused=1`)).json(),
  ])
  assert.deepEqual([gets[0], gets[1], gets[2].token, await count()], [old, old, old, before])
  const fresh = await Promise.all([another(old), another(old), another(old)])
  assert.deepEqual([new Set(fresh).size, fresh.includes(old), await count()], [1, false, before + 1])
  // One that comes late with the old one, and one that had none.
  assert.deepEqual([await another(old), await another(null), await count()], [fresh[0], fresh[0], before + 1])
  // Another page's form cannot.
  const form = await fetch(`${app.url}/session?tenant=${SPARKLE}`, { method: 'POST', body: 'refused=' })
  assert.deepEqual([form.status, (await form.json()).code], [415, 'not_json'])
})

test('whatever is answered cannot be framed, nor taken for something else', async () => {
  for (const path of ['/', '/app.js', '/leasehold-web/index.js', '/laundries', '/session?tenant=nobody', '/nothing']) {
    const { headers } = await fetch(`${app.url}${path}`)
    assert.match(headers.get('content-security-policy'), /(^|; )frame-ancestors 'none'(;|$)/, path)
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path)
  }
})

test('a token that is revoked is renewed, and nobody notices', async () => {
  const page = await open(SPARKLE)
  await connection(page, 'live').waitFor(PATIENCE)
  const { items } = await hq.asks('GET', '/v1/tokens?limit=500')
  const asked = page.waitForRequest(isForAnother, PATIENCE)
  const mine = items.filter(({ name, revoked_at }) => name === `page of ${SPARKLE}` && revoked_at === null)
  assert.ok(mine.length > 0)
  await Promise.all(mine.map(({ id }) => hq.asks('DELETE', `/v1/tokens/${id}`)))
  await asked
  await connection(page, 'live').waitFor(PATIENCE)
  const { revision } = await hq.asks(
    'PUT',
    `/v1/tenants/${SPARKLE}/overrides/web`,
    { feature: 'loyalty', op: 'set', value: true, reason: 'Pilot customer', actor: 'sales' },
    { 'idempotency-key': randomUUID() },
  )
  assert.ok(revision > 0)
  await feature(page, 'loyalty').waitFor(PATIENCE)
  await page.close()
})

test('a token that is over is renewed', async () => {
  await renewed
  await connection(patient, 'live').waitFor(PATIENCE)
  await patient.close()
})

test('without HQ the page goes on and says so, a new one begins from what was kept, and both come back', async () => {
  const page = await open(SPARKLE)
  await connection(page, 'live').waitFor(PATIENCE)
  // Another tab of the same laundry, for which the first one listens.
  const tab = await open(SPARKLE)
  await connection(tab, 'live').waitFor(PATIENCE)
  await hq.kill()
  await connection(page, 'offline').waitFor(PATIENCE)
  await connection(tab, 'offline').waitFor(PATIENCE)
  await tab.close()
  assert.match(await page.locator('#connection').textContent(), /^Offline, from \d/)
  assert.equal(await feature(page, 'delivery').count(), 0)
  assert.equal(await feature(page, 'loyalty').count(), 1)
  await picture(page, 'offline')

  await page.reload()
  await page.locator('#decided').waitFor(PATIENCE)
  await feature(page, 'loyalty').waitFor(PATIENCE)
  await connection(page, 'offline').waitFor(PATIENCE)

  // One that this browser has never shown has nothing to be decided from.
  await page.locator('#laundry').selectOption('om-seeb-express')
  await page.locator('#problem').waitFor(PATIENCE)
  assert.equal(await page.locator('#decided').isVisible(), false)
  await page.locator('#laundry').selectOption(SPARKLE)
  await feature(page, 'loyalty').waitFor(PATIENCE)

  await hq.restart()
  await connection(page, 'live').waitFor({ timeout: 120_000 })
  await page.close()
})

test('nothing went wrong in any page', () => {
  assert.deepEqual(wrong, [])
})
