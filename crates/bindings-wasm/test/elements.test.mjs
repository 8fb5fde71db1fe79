// Custom elements in Chromium.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { browser, page as pageOf, Site } from './support/browser.mjs'
import { MORNING, NOON, set, small } from './support/small.mjs'

/** A page that has what tests need as globals, and no elements yet. */
const SCRIPT = `
  import { Engine, init } from 'leasehold-web/full'
  import { defineElements } from 'leasehold-web/elements'
  await init()
  const make = (definitions, revision = 1) => Engine.fromDefinitions(definitions, { revision })
  Object.assign(window, { defineElements, make })
  window.ready = true
`
const HEAD = '<style>lh-entitled:not(:defined) { display: none }</style>'
/** No inline styles and scripts but the page's own: elements bring none. */
const POLICY =
  "default-src 'none'; connect-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'sha256-STYLE'"

let chromium, site, page, errors
before(async () => {
  chromium = await browser()
  const { createHash } = await import('node:crypto')
  const style = HEAD.replace(/<\/?style>/g, '')
  const policy = POLICY.replace('STYLE', createHash('sha256').update(style).digest('base64'))
  site = await Site.open({
    '/': (_request, response) => {
      const head = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy }
      response.writeHead(200, head).end(pageOf(SCRIPT, { head: HEAD }))
    },
  })
})
after(async () => {
  await chromium?.close()
  await site?.close()
})
beforeEach(async () => {
  page = await chromium.newPage()
  errors = []
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.clock.install({ time: MORNING })
  await page.goto(site.url)
  await page.waitForFunction(() => window.ready)
  errors.length = 0
})
afterEach(async () => page.close())

/** Puts this into the page. */
const put = async (html) => page.evaluate((html) => void (document.body.innerHTML = html), html)
/** Defines the elements with an engine, which is `engine` in the page from then on. */
const define = async (definitions = small()) =>
  page.evaluate(async (definitions) => {
    window.engine = make(definitions)
    defineElements(window.engine)
    await undefined
  }, definitions)
const swap = async (of, revision = 2) =>
  page.evaluate(([of, revision]) => engine.swap(make(of, revision).snapshot()), [small(of), revision])
/** What can be seen of the page, within elements too. */
const seen = async () =>
  page.evaluate(() => {
    const textOf = (node) => {
      if (node.nodeType === Node.TEXT_NODE) {
        return node.data
      }
      if (node instanceof Element && getComputedStyle(node).display === 'none') {
        return ''
      }
      const inside = node instanceof HTMLSlotElement ? node.assignedNodes() : (node.shadowRoot ?? node).childNodes
      return [...inside].map(textOf).join(' ')
    }
    const text = textOf(document.body).replace(/\s+/g, ' ')
    return text.replaceAll(' : ', ': ').trim()
  })
const attribute = async (selector, name) => page.locator(selector).first().getAttribute(name)
const part = (name) => page.locator(`[part~="${name}"]`)

const ENTITLED =
  '<lh-entitled feature="pdf" tenant="a">Print<a slot="otherwise">Upgrade</a><i slot="unknown">Ask us</i></lh-entitled>'

test('nothing is shown before there are elements, and before there is an engine', async () => {
  await put(`<p>page</p>${ENTITLED}<lh-limit feature="seats" used="3" tenant="a">Seats</lh-limit>`)
  // The style of the page hides what no script has defined yet; only the label of a limit is a text like others.
  assert.equal(await seen(), 'page Seats')
  await page.evaluate(() => defineElements(new Promise((resolve) => (window.resolve = resolve))))
  assert.equal(await seen(), 'page')
  assert.equal(await attribute('lh-entitled', 'state'), null)
  await page.evaluate(async (definitions) => resolve(make(definitions)), small())
  assert.equal(await seen(), 'page Print Seats 3 of 5')
  assert.deepEqual([await attribute('lh-entitled', 'state'), errors], ['on', []])
})

test('an engine that does not come: nobody can say', async () => {
  await put(ENTITLED)
  await page.evaluate(() => defineElements(Promise.reject(new Error('no network'))))
  assert.equal(await seen(), 'Ask us')
  assert.equal(await attribute('lh-entitled', 'state'), 'unknown')
  assert.deepEqual(errors, ['leasehold: no network'])
  // A second try.
  await define()
  assert.equal(await seen(), 'Print')
})

test('a label that is written later names the meter', async () => {
  await put('<lh-limit feature="seats" used="3" tenant="a"></lh-limit>')
  await define()
  const named = async () => [
    await part('track').getAttribute('aria-label'),
    await part('track').getAttribute('aria-labelledby'),
  ]
  assert.deepEqual(await named(), ['seats', null])
  await page.evaluate(() => document.querySelector('lh-limit').append('Seats'))
  assert.deepEqual(await named(), [null, 'label'])
  await page.evaluate(() => document.querySelector('lh-limit').replaceChildren())
  assert.deepEqual([await named(), errors], [['seats', null], []])
})

test('entitled follows the answer, its attributes and a new snapshot', async () => {
  await put(ENTITLED)
  await define()
  assert.equal(await seen(), 'Print')
  await page.evaluate(() => document.querySelector('lh-entitled').setAttribute('tenant', 'b'))
  assert.deepEqual([await seen(), await attribute('lh-entitled', 'state')], ['Upgrade', 'off'])
  await page.evaluate(() => document.querySelector('lh-entitled').setAttribute('feature', 'chat'))
  assert.equal(await seen(), 'Print')
  await page.evaluate(() => document.querySelector('lh-entitled').setAttribute('tenant', 'a'))
  await swap({ overrides: { 1: set('chat', false) } })
  assert.equal(await seen(), 'Upgrade')
  assert.deepEqual(errors, [])
})

test('entitled of limits: how much is in use decides', async () => {
  const entitled = (attributes) =>
    put(`<lh-entitled tenant="a" feature="seats" ${attributes}>room<b slot="otherwise">full</b></lh-entitled>`)
  await define()
  for (const [attributes, expected] of [
    ['', 'room'],
    ['used="4"', 'room'],
    ['used="5"', 'full'],
    ['used="4" requested="2"', 'full'],
  ]) {
    await entitled(attributes)
    assert.equal(await seen(), expected, attributes)
  }
})

test('a trial that ends at noon takes its button at noon', async () => {
  await put(ENTITLED)
  await define()
  await page.clock.pauseAt(NOON - 1)
  assert.equal(await seen(), 'Print')
  await page.clock.runFor(2)
  assert.equal(await seen(), 'Upgrade')
})

test('what is not there is off, and is said once', async () => {
  await put(`
    <lh-entitled feature="no_feature" tenant="a">on<b slot="otherwise">off</b></lh-entitled>
    <lh-entitled feature="no_feature" tenant="a">on</lh-entitled>
    <lh-entitled feature="chat" tenant="c">on</lh-entitled>
    <lh-limit feature="no_limit" used="1" tenant="a">Vans</lh-limit>
    <lh-transitions workflow="no_workflow" stage="x" tenant="a"></lh-transitions>`)
  await define()
  assert.equal(await seen(), 'off Vans not included')
  const states = await page.evaluate(() => [...document.body.children].map((element) => element.getAttribute('state')))
  assert.deepEqual(states, Array(5).fill('off'))
  assert.equal(errors.length, 4, errors.join('\n'))
  for (const what of ['no_feature', 'tenant `c`', 'no_limit', 'no_workflow']) {
    assert.ok(
      errors.some((error) => error.includes(what)),
      what,
    )
  }
})

test('mistakes in a page are said, and show nothing', async () => {
  await put(`
    <lh-entitled tenant="a">on<b slot="otherwise">off</b></lh-entitled>
    <lh-limit feature="seats" tenant="a" used="many"></lh-limit>
    <lh-transitions workflow="order" stage="ready" inputs="{" tenant="a"></lh-transitions>`)
  await define()
  assert.equal(await seen(), '')
  const states = await page.evaluate(() => [...document.body.children].map((element) => element.getAttribute('state')))
  assert.deepEqual(states, Array(3).fill('unknown'))
  assert.match(errors[0], /`<lh-entitled>` has the attribute `feature`, and it is missing/)
  assert.match(errors[1], /`used` of `<lh-limit>` is an integer from 0, not `many`/)
  assert.match(errors[2], /`inputs` of `<lh-transitions>` is not JSON: {/)
  const thrown = await page.evaluate(() => {
    try {
      defineElements(engine, { prefix: 'my-app' })
    } catch (error) {
      return error.code
    }
  })
  assert.equal(thrown, 'invalid_argument')
})

test('a limit is a meter that can be heard, in the language of the page', async () => {
  await put('<lh-limit feature="seats" used="3" tenant="a">Seats</lh-limit>')
  await define()
  const meter = page.getByRole('meter', { name: 'Seats' })
  const said = async () => [
    await meter.getAttribute('aria-valuetext'),
    await meter.getAttribute('aria-valuenow'),
    await meter.getAttribute('aria-valuemax'),
    await attribute('lh-limit', 'outcome'),
  ]
  assert.deepEqual(await said(), ['3 of 5', '3', '5', 'allow'])
  const use = async (used) =>
    page.evaluate((used) => document.querySelector('lh-limit').setAttribute('used', used), used)
  await use('5')
  assert.deepEqual(await said(), ['5 of 5, limit reached', '5', '5', 'deny'])
  await use('1204')
  assert.deepEqual(await said(), ['1,204 of 5, 1,199 over the limit', '5', '5', 'deny'])
  await use('2')

  /** How much is filled, and from which side. */
  const filled = async () => {
    const [track, fill] = [await part('track').boundingBox(), await part('fill').boundingBox()]
    const left = fill.x - track.x
    return [Math.round((10 * fill.width) / track.width), left < track.width / 4 ? 'left' : 'right']
  }
  assert.deepEqual(await filled(), [4, 'left'])
  await page.evaluate(() => document.documentElement.setAttribute('lang', 'ar-u-nu-latn'))
  await page.waitForFunction(() => document.querySelector('lh-limit').shadowRoot.textContent.includes('من'))
  assert.deepEqual(
    [await said(), await filled()],
    [
      ['2 من 5', '2', '5', 'allow'],
      [4, 'right'],
    ],
  )
  await page.evaluate(() => document.querySelector('lh-limit').setAttribute('lang', 'en'))
  assert.deepEqual(
    [await said(), await filled()],
    [
      ['2 of 5', '2', '5', 'allow'],
      [4, 'left'],
    ],
  )
  await page.evaluate(() => document.querySelector('lh-limit').setAttribute('lang', 'no language'))
  assert.equal((await said())[0], '2 of 5')
})

test('a limit without an end, one that is off, and one without a label', async () => {
  await put(`
    <lh-limit feature="endless" used="7" tenant="a">Orders</lh-limit>
    <lh-limit feature="vans" used="1" tenant="b">Vans</lh-limit>
    <lh-limit feature="seats" used="1" tenant="b"></lh-limit>`)
  await define()
  assert.equal(await seen(), 'Orders 7, no limit Vans not included 1 of 5')
  assert.equal(await page.getByRole('meter').count(), 1)
  assert.equal(await page.getByRole('meter', { name: 'seats' }).count(), 1)
  assert.deepEqual(
    await page.evaluate(() => [...document.body.children].map((element) => element.getAttribute('state'))),
    ['on', 'off', 'on'],
  )
})

const TRANSITIONS = '<lh-transitions workflow="order" stage="ready" tenant="a"></lh-transitions>'

test('transitions are buttons: one that is blocked says why, one that is not is told', async () => {
  await put(TRANSITIONS)
  await define()
  await page.evaluate(() => {
    window.told = []
    document.addEventListener('lh-transition', ({ detail, target }) =>
      told.push([target.localName, detail.transition.transition]),
    )
  })
  const [cancel, deliver] = [
    page.getByRole('button', { name: 'Cancel' }),
    page.getByRole('button', { name: 'Deliver' }),
  ]
  assert.equal(await deliver.getAttribute('aria-disabled'), 'true')
  assert.match(await seen(), /Cancel Deliver requires the role: driver not known yet: due: an integer/)
  const described = await page.evaluate(() => {
    const { shadowRoot } = document.querySelector('lh-transitions')
    const button = shadowRoot.querySelector('[value="deliver"]')
    return shadowRoot.getElementById(button.getAttribute('aria-describedby')).innerText
  })
  assert.match(described, /requires the role: driver/)
  await deliver.dispatchEvent('click')
  await cancel.click()
  const change = async (name, value) =>
    page.evaluate(([name, value]) => document.querySelector('lh-transitions').setAttribute(name, value), [name, value])
  await change('inputs', '{"due":5}')
  await change('roles', 'cashier, driver')
  assert.equal(await seen(), 'Cancel Deliver requires: due == 0')
  await change('inputs', '{"due":0}')
  assert.equal(await seen(), 'Cancel Deliver')
  await deliver.click()
  assert.deepEqual(await page.evaluate(() => told), [
    ['lh-transitions', 'cancel'],
    ['lh-transitions', 'deliver'],
  ])
  await change('stage', 'closed')
  assert.equal(await seen(), '')
  assert.deepEqual(errors, [])
})

test('transitions in Arabic, and in words of the page', async () => {
  await put(`<div lang="ar">${TRANSITIONS}</div>`)
  await define()
  assert.match(await seen(), /^إلغاء تسليم يتطلب الدور: driver غير معروف بعد: due/)
  assert.equal(await part('body').evaluate((body) => getComputedStyle(body).direction), 'rtl')
  await page.evaluate(() =>
    defineElements(engine, {
      explain: ({ code, guard }, language) => (code === 'input_missing' ? `${guard} ${language}` : undefined),
    }),
  )
  await page.waitForFunction(() => document.querySelector('lh-transitions').shadowRoot.textContent.includes('paid ar'))
  assert.equal(await seen(), 'إلغاء تسليم يتطلب الدور: driver paid ar')
  // They are words of the page, whichever engine answers.
  await define()
  assert.equal(await seen(), 'إلغاء تسليم يتطلب الدور: driver paid ar')
  await page.evaluate(async () => {
    defineElements(engine, { explain: ({ code }) => code })
    await undefined
  })
  assert.equal(await seen(), 'إلغاء تسليم role_required input_missing')
})

test('whoever stands on a button goes on to stand on it, and what is the same stays', async () => {
  await put(TRANSITIONS)
  await define()
  await page.getByRole('button', { name: 'Deliver' }).focus()
  const same = await page.evaluate(() => {
    const { shadowRoot } = document.querySelector('lh-transitions')
    const before = shadowRoot.activeElement
    engine.swap(engine.snapshot())
    return before === shadowRoot.activeElement
  })
  assert.ok(same)
  await page.evaluate(() => document.querySelector('lh-transitions').setAttribute('roles', 'driver'))
  const focused = await page.evaluate(() => document.querySelector('lh-transitions').shadowRoot.activeElement?.value)
  assert.equal(focused, 'deliver')
})

test('another engine, as when the page turns to another tenant: nothing of the last one stays', async () => {
  await put(ENTITLED)
  await define()
  assert.equal(await seen(), 'Print')
  await page.evaluate(() => defineElements(new Promise((resolve) => (window.resolve = resolve))))
  assert.equal(await seen(), '')
  await page.evaluate((definitions) => resolve(make(definitions)), small({ overrides: { 1: set('pdf', false) } }))
  assert.equal(await seen(), 'Upgrade')
  // The last engine is heard no more, and one that comes too late is not taken.
  await page.evaluate(() => engine.swap(engine.snapshot()))
  assert.equal(await seen(), 'Upgrade')
  await page.evaluate(
    async (definitions) => {
      const late = new Promise((resolve) => (window.resolve = resolve))
      defineElements(late)
      defineElements(make(definitions))
      await undefined
      resolve(engine)
      await late
    },
    small({ overrides: { 1: set('pdf', false) } }),
  )
  assert.equal(await seen(), 'Upgrade')
})

test('an engine that is closed: what is in sight stays, and nobody can say what is asked anew', async () => {
  await put(`${ENTITLED}<lh-limit feature="seats" used="3" tenant="a">Seats</lh-limit>`)
  await define()
  await page.evaluate(async () => engine.close())
  assert.deepEqual([await seen(), errors], ['Print Seats 3 of 5', []])
  await page.evaluate(() => {
    document.querySelector('lh-limit').setAttribute('used', '4')
    document.body.append(document.querySelector('lh-entitled').cloneNode(true))
  })
  assert.equal(await seen(), 'Print Seats Ask us')
  assert.deepEqual(
    [await attribute('lh-limit', 'state'), errors],
    ['unknown', ['leasehold: the engine is closed: ask one that is open']],
  )
  await define()
  assert.equal(await seen(), 'Print Seats 4 of 5 Print')
})

test('elements that leave the page listen no more, and listen again when they come back', async () => {
  await put(ENTITLED)
  const counts = await page.evaluate(async (definitions) => {
    const engine = make(definitions)
    let listening = 0
    const { subscribe } = engine
    engine.subscribe = (listener) => {
      const leave = subscribe.call(engine, listener)
      listening += 1
      return () => ((listening -= 1), leave())
    }
    defineElements(engine)
    await undefined
    await undefined
    const counts = [listening]
    const element = document.querySelector('lh-entitled')
    element.remove()
    counts.push(listening)
    document.body.append(element, element.cloneNode(true))
    counts.push(listening)
    document.body.replaceChildren()
    counts.push(listening)
    return counts
  }, small())
  assert.deepEqual(counts, [1, 0, 1, 0])
})

test('names that begin otherwise, beside the others', async () => {
  await put(
    '<hq-entitled feature="pdf" tenant="a">hq</hq-entitled><lh-entitled feature="pdf" tenant="a">lh</lh-entitled>',
  )
  await page.evaluate(
    async ([one, other]) => {
      defineElements(make(one), { prefix: 'hq' })
      defineElements(make(other))
    },
    [small(), small({ overrides: { 1: set('pdf', false) } })],
  )
  assert.equal(await seen(), 'hq')
})

test('importing them where there are no pages does nothing', async () => {
  const { defineElements } = await import('../dist/elements.js')
  assert.equal(typeof defineElements, 'function')
})
