// Engines that follow the slice of their tenant: HQ over HTTP and all that may go wrong on the way, slices that come with the
// page, and sources of your own. What is kept, tabs and pages out of sight are the subject of `tabs.test.mjs`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { inspect, promisify } from 'node:util'
import { ArgumentError, Engine, init, OptionsError, SnapshotError, TimedOutError } from 'leasehold-web'
import { clockOf, DAY } from '../../bindings-node/test/support/clock.mjs'
import { until } from '../../bindings-node/test/support/wait.mjs'
import { FakeSlices, SliceDesk, slicesOf, STREAM, TENANT } from './support/fake_slices.mjs'

let desk
let slices

before(async () => {
  desk = await SliceDesk.open()
  slices = await slicesOf(desk)
  await init()
})
after(async () => desk.close())

const options = (hq, more = {}) => ({
  url: hq.url,
  tenant: TENANT,
  token: 'a-token',
  trust: desk.trust,
  pauseMinMs: 5,
  pauseMaxMs: 50,
  backoffMinMs: 5,
  backoffMaxMs: 50,
  share: false,
  ...more,
})

async function open(t, slice = slices.first) {
  const hq = await FakeSlices.open(slice)
  t.after(async () => hq.close())
  return hq
}

async function follow(t, hq, more) {
  const engine = await Engine.follow(options(hq, more))
  t.after(async () => engine.close())
  return engine
}

const refused = async (options) =>
  Engine.follow(options).then(
    async (engine) => {
      await engine.close()
      return assert.fail('it was to be refused')
    },
    (error) => error,
  )
const faultOf = (engine, code) => engine.health().faults.find((fault) => fault.code === code)
const ons = (engine) => ['delivery', 'sso'].map((feature) => engine.tenant().isEnabled(feature))

describe('HQ over HTTP', () => {
  test('gives the slice, and tells of the next', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq)
    const { revision } = slices.first
    assert.deepEqual(ons(engine), [true, false])
    assert.equal(engine.tenant().id, TENANT)
    assert.equal(engine.tenant(TENANT), engine.tenant())
    assert.equal(engine.snapshot().revision, revision)
    const { freshness, failures, faults, persisted, last_contact_at } = engine.health()
    assert.deepEqual([freshness, failures, faults, persisted], ['fresh', 0, [], false])
    assert.ok(Date.parse(last_contact_at) > 0)
    await until('it hears', () => engine.hearing.told)
    const [changes, version] = [[], engine.version]
    let called = 0
    engine.on('change', (change) => changes.push(change))
    t.after(engine.subscribe(() => (called += 1)))
    const waiting = engine.waitFor(slices.changed.revision, 60_000)
    hq.put(slices.changed)
    assert.equal(await waiting, slices.changed.revision)
    assert.deepEqual(ons(engine), [false, true])
    await until('the change is told', () => changes.length > 0)
    const [{ revision: told, groups, added, removed }] = changes
    assert.deepEqual([told, added, removed], [{ from: revision, to: slices.changed.revision }, [], []])
    const changed = groups.flatMap(({ features, tenants }) => tenants.includes(TENANT) && features)
    assert.ok(changed.includes('sso') && changed.includes('delivery'), changed.join())
    assert.deepEqual([called, engine.version > version], [1, true])
    await assert.rejects(engine.waitFor(99, 1), (error) => error instanceof TimedOutError && error.code === 'timed_out')
    for (const { headers } of hq.requests) {
      assert.equal(headers.authorization, 'Bearer a-token')
    }
  })

  test('says that it is unchanged, and renews it', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq, { pollMs: 20 })
    const until_ = () => engine.health().expires_at
    const [first, changes] = [until_(), []]
    engine.on('change', (change) => changes.push(change))
    hq.slice = slices.renewed
    await until('it is renewed', () => until_() > first)
    hq.slice = slices.later
    assert.equal(await engine.waitFor(slices.later.revision, 60_000), slices.later.revision)
    assert.deepEqual([ons(engine), changes], [[true, false], []])
    const [whole, ...others] = hq.requests.filter(({ path }) => path.endsWith('/slice'))
    assert.equal(whole.headers['leasehold-if-none-match'], undefined)
    for (const { headers } of others) {
      assert.equal(headers['leasehold-if-none-match'], `"${slices.first.etag}"`)
    }
  })

  test('tells what is not of this page, which is not heeded', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq)
    await until('it hears', () => engine.hearing.told)
    const before = hq.asked
    hq.tell('heartbeat')
    hq.tell('slice', { stream: 'GCC-SA' })
    hq.tell('other')
    // What it has already.
    hq.tell('slice')
    hq.put(slices.changed)
    await engine.waitFor(slices.changed.revision, 60_000)
    assert.ok(hq.asked - before <= 2, `it asked ${hq.asked - before} times`)
    // HQ cannot cut it at the moment: whoever asks is told why.
    hq.tell('slice', { etag: null })
    const asked = hq.asked
    await until('it asks', () => hq.asked > asked)
    assert.equal(engine.hearing.told, true)
  })

  // The next question that nobody has cause for would come after a minute.
  test('is asked by whoever waits for a revision that may leave the slice as it was', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq)
    await until('it hears', () => engine.hearing.told)
    hq.slice = slices.later
    assert.equal(await engine.waitFor(slices.later.revision, 30_000), slices.later.revision)
    assert.deepEqual(ons(engine), [true, false])
    // What is in force already is not asked for, nor is anything once nobody waits.
    const { asked } = hq
    assert.equal(await engine.waitFor(slices.first.revision, 1), slices.later.revision)
    hq.tell('heartbeat')
    hq.put(slices.changed)
    await until('it comes', () => engine.snapshot().revision === slices.changed.revision)
    assert.equal(hq.asked, asked + 1)
  })

  test('is asked every minute where nobody has cause to', async (t) => {
    const hq = await open(t)
    const waits = []
    const own = globalThis.setTimeout
    t.mock.method(globalThis, 'setTimeout', (call, ms, ...given) => {
      waits.push(ms)
      return own(call, ms, ...given)
    })
    await follow(t, hq)
    // A tenth more or less, so that not all pages ask together.
    const around = (usual) => waits.filter((ms) => ms >= 0.9 * usual && ms <= 1.1 * usual).length
    assert.deepEqual([around(60_000), around(30_000)], [1, 0])
  })

  for (const event of ['heartbeat', 'slice']) {
    test(`is asked again when a ${event} tells of what somebody waits for`, async (t) => {
      const hq = await open(t)
      const engine = await follow(t, hq)
      await until('it hears', () => engine.hearing.told)
      const { asked } = hq
      const longer = engine.waitFor(99, 30_000).catch(({ code }) => code)
      const waiting = engine.waitFor(slices.later.revision, 30_000)
      await until('HQ has said that there is nothing', () => hq.asked > asked)
      hq.slice = slices.later
      hq.tell(event)
      assert.equal(await waiting, slices.later.revision)
      await engine.close()
      assert.equal(await longer, 'closed')
    })
  }

  test('that sends nonsense for events is heard again', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq, { silenceMs: 300 })
    await until('it hears', () => engine.hearing.told)
    for (const data of ['null', '5', '{', 'x'.repeat(1_000_000)]) {
      const { heard } = hq
      hq.instead = ({ response, pathname }) => {
        if (!pathname.endsWith('/events')) {
          return false
        }
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(`event: slice\ndata: ${data}\n\n`)
        return true
      }
      hq.hangUp()
      await until(`it hears ${data.slice(0, 9)}, and asks anew`, () => hq.heard > heard + 1)
    }
    assert.equal(engine.hearing.told, false)
    hq.instead = () => false
    hq.put(slices.changed)
    await engine.waitFor(slices.changed.revision, 60_000)
  })

  test('that breaks off is heard again, and nothing is missed', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq)
    await until('it hears', () => engine.hearing.told)
    hq.instead = ({ response }) => response.destroy() && true
    hq.hangUp()
    await until('it is noticed', () => !engine.hearing.told)
    assert.match(engine.hearing.why, /\S/)
    hq.slice = slices.changed
    assert.deepEqual(ons(engine), [true, false], 'it answers meanwhile')
    hq.instead = () => false
    assert.equal(await engine.waitFor(slices.changed.revision, 60_000), slices.changed.revision)
  })

  test('that has gone and comes back', async (t) => {
    const hq = await FakeSlices.open(slices.first)
    const engine = await follow(t, hq)
    await until('it hears', () => engine.hearing.told)
    await hq.close()
    await until('it is noticed', () => !engine.hearing.told)
    assert.deepEqual(ons(engine), [true, false])
    const again = await FakeSlices.open(slices.changed, hq.port)
    t.after(async () => again.close())
    assert.equal(await engine.waitFor(slices.changed.revision, 60_000), slices.changed.revision)
    await until('it hears', () => engine.hearing.told)
    assert.deepEqual(engine.health().faults, [])
  })

  test('that was never there leaves nothing to answer from', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((ready) => server.once('listening', ready))
    const { port } = server.address()
    await new Promise((closed) => server.close(closed))
    const error = await refused(options({ url: `http://127.0.0.1:${port}` }))
    assert.ok(error instanceof SnapshotError, String(error))
    assert.deepEqual([error.code, error.stage, error.item], ['unreachable', 'download', 'head'])
  })

  const say =
    (status, body = '', headers = {}) =>
    ({ response }) =>
      response.writeHead(status, headers).end(body)
  const wrong = {
    'a server that fails': say(500, '{"code":"internal","detail":"sorry"}'),
    'a refusal': say(403, '{"code":"other_tenant","detail":"not with a-token"}'),
    'a tenant that is not there': say(404, '{"code":"unknown_tenant"}'),
    'a redirect': say(302, '', { location: 'http://127.0.0.1:9/' }),
    'a page in place of answers': say(200, '<p>hello', { 'content-type': 'text/html' }),
    'nothing at all': say(200),
    'nothing new, without saying what': say(304),
    'nothing new, and garbage': say(304, '', { 'leasehold-envelope': '%%%' }),
    'nothing new, and an envelope of nothing': say(304, '', { 'leasehold-envelope': 'AAAA' }),
    'no status that anybody knows': say(299, 'x'),
    'an answer that breaks off': ({ response }) => {
      response.writeHead(200, { 'content-length': '100000' })
      response.write('half', () => response.destroy())
    },
    'an answer without end': ({ response }) => {
      response.writeHead(200)
      const more = () => response.writable && response.write('x'.repeat(65_536), more)
      more()
    },
    'no answer': () => {},
  }
  for (const [what, answer] of Object.entries(wrong)) {
    const instead = (asked) => {
      answer(asked)
      return true
    }

    test(`${what} leaves nothing to answer from, and says so`, async (t) => {
      const hq = await open(t)
      hq.instead = instead
      const error = await refused(options(hq, { answerMs: 300 }))
      assert.ok(error instanceof SnapshotError, String(error))
      assert.equal(error.message.includes('a-token'), false, 'the token is not shown')
      assert.match(error.message, /\S/)
    })

    test(`${what} does no harm to an engine that answers`, async (t) => {
      const hq = await open(t)
      const engine = await follow(t, hq, { answerMs: 300, silenceMs: 500, pollMs: 5 })
      await until('it hears', () => engine.hearing.told)
      hq.instead = instead
      hq.hangUp()
      const faults = []
      engine.on('fault', (fault) => faults.push(fault))
      await until('it is noticed', () => faults.length > 0 && !engine.hearing.told)
      assert.deepEqual(ons(engine), [true, false])
      assert.equal(JSON.stringify(faults).includes('a-token'), false, 'the token is not shown')
      hq.slice = slices.changed
      hq.instead = () => false
      assert.equal(await engine.waitFor(slices.changed.revision, 60_000), slices.changed.revision)
      await until('it hears again', () => engine.hearing.told)
    })
  }

  test('that asks to be left alone is left alone', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq, { pollMs: 5 })
    await until('it hears', () => engine.hearing.told)
    hq.instead = ({ response }) => response.writeHead(429, { 'retry-after': '3600' }).end()
    hq.hangUp()
    await until('it was asked to', () => faultOf(engine, 'unreachable')?.message.includes('left alone'))
    const { length } = hq.requests
    await until('it tried again', () => engine.health().failures > 5)
    assert.equal(hq.requests.length, length)
  })

  test('is left alone for as long as it asks, also where the clock is put back', async (t) => {
    const [hq, clock] = [await open(t), clockOf(t)]
    const engine = await follow(t, hq, { pollMs: 5 })
    await until('it hears', () => engine.hearing.told)
    hq.instead = ({ response }) => response.writeHead(503, { 'retry-after': '1' }).end() && true
    hq.hangUp()
    await until('it was asked to', () => faultOf(engine, 'unreachable')?.message.includes('left alone'))
    // An answer that comes later would be heeded by the clock as it is then.
    await until('nothing is on its way', () => /503|left alone/.test(engine.hearing.why))
    hq.instead = () => false
    clock.set(-DAY)
    hq.slice = slices.changed
    assert.equal(await engine.waitFor(slices.changed.revision, 30_000), slices.changed.revision)
    await until('it hears', () => engine.hearing.told)
  })

  test('is given up when the engine is closed', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq)
    await until('it hears', () => hq.listeners === 1)
    hq.instead = () => true
    hq.tell('slice', { etag: null })
    await until('it waits for an answer', () => hq.asked === 2 || hq.asked === 3)
    const waiting = engine.waitFor(99).catch((error) => error.code)
    await Promise.all([engine.close(), engine.close()])
    await engine.close()
    assert.equal(await waiting, 'closed')
    await until('nobody listens', () => hq.listeners === 0)
    assert.throws(() => engine.health(), { code: 'closed' })
    assert.throws(() => engine.tenant(), { code: 'closed' })
  })

  test('keeps no process that has closed its engine', async (t) => {
    const hq = await open(t)
    const script = `
      import { Engine, init } from 'leasehold-web'
      await init()
      const engine = await Engine.follow(${JSON.stringify({ ...options(hq), share: true })})
      engine.subscribe(() => {})
      await engine.close()
      console.log(engine.closed)
    `
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: import.meta.dirname,
      timeout: 60_000,
    })
    assert.equal((await run).stdout, 'true\n')
  })
})

describe('a slice that is not to be believed', () => {
  /** What it is, with which code it is refused, and at which stage. */
  const wrong = {
    'was tampered with': [() => slices.changed.tampered(), 'hash_mismatch'],
    'was tampered with in its envelope': [() => slices.changed.tampered(slices.changed.envelope.length - 50)],
    'was tampered with in its head': [() => slices.changed.tampered(600)],
    'is cut short': [() => ({ ...slices.changed, document: slices.changed.document.subarray(0, -100) }), 'truncated'],
    'has something behind it': [
      () => ({ ...slices.changed, document: Buffer.concat([slices.changed.document, Buffer.from('x')]) }),
    ],
    'is of another tenant': [() => slices.other, 'wrong_tenant'],
    'is text': [() => ({ ...slices.changed, document: Buffer.from('not a slice') })],
  }
  for (const [what, [make, code]] of Object.entries(wrong)) {
    test(`because it ${what} is a fault, and what was in force stays`, async (t) => {
      const hq = await open(t)
      const engine = await follow(t, hq)
      const heard = []
      engine.on('fault', (fault) => heard.push(fault.code))
      await until('it hears', () => engine.hearing.told)
      hq.put(make())
      const [fault] = await until('it is refused', () => heard.length > 0 && engine.health().faults)
      assert.notEqual(fault.stage, 'download', fault.message)
      assert.equal(code === undefined || fault.code === code, true, fault.code)
      assert.deepEqual([ons(engine), engine.snapshot().revision], [[true, false], slices.first.revision])
      assert.equal(engine.health().freshness, 'fresh')
      hq.put(slices.changed)
      await engine.waitFor(slices.changed.revision, 60_000)
      assert.deepEqual(engine.health().faults, [])
    })

    test(`because it ${what} is nothing to begin with`, async (t) => {
      const hq = await open(t, make())
      const error = await refused(options(hq))
      assert.ok(error instanceof SnapshotError, String(error))
      assert.equal(code === undefined || error.code === code, true, error.code)
      const given = await refused({ ...options(hq), url: undefined, slice: make().document })
      assert.ok(given instanceof SnapshotError, String(given))
      assert.equal(given.code, 'not_restored')
      assert.equal(code === undefined || given.message.includes(`[${code}]`), true, given.message)
    })
  }

  test('because it is older: a replay', async (t) => {
    const hq = await open(t, slices.changed)
    const engine = await follow(t, hq)
    await until('it hears', () => engine.hearing.told)
    hq.put(slices.later)
    await until('it is refused', () => faultOf(engine, 'older_revision'))
    assert.deepEqual([ons(engine), engine.snapshot().revision], [[false, true], slices.changed.revision])
    hq.put(slices.next)
    await engine.waitFor(slices.next.revision, 60_000)
    // Of the same revision, but signed before.
    const again = await open(t, slices.renewed)
    const other = await follow(t, again, { pollMs: 5 })
    again.slice = slices.first
    await until('it is refused', () => faultOf(other, 'not_newer'))
  })

  test('because nobody knows the key', async (t) => {
    const hq = await open(t)
    const roots = ['8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c']
    const strangers = { ...JSON.parse(desk.trust), roots }
    const error = await refused(options(hq, { trust: strangers }))
    assert.deepEqual([error.constructor, error.code], [SnapshotError, 'unknown_key'])
    for (const [member, code] of [
      [{ issuer: 'else.example' }, 'wrong_issuer'],
      [{ environment: 'other' }, 'wrong_environment'],
    ]) {
      assert.equal((await refused(options(hq, { trust: { ...JSON.parse(desk.trust), ...member } }))).code, code)
    }
    assert.equal((await refused(options(hq, { stream: 'GCC-SA' }))).code, 'wrong_stream')
    assert.equal(
      (await refused(options(hq, { slice: slices.first.document, url: undefined, trust: strangers }))).code,
      'not_restored',
    )
  })

  test('for much longer answers, and says so', async (t) => {
    const hq = await open(t, slices.expired)
    const engine = await follow(t, hq)
    assert.equal(engine.health().freshness, 'stale')
    assert.equal(engine.tenant().decide('delivery').freshness, 'stale')
    assert.equal(engine.tenant().isEnabled('delivery'), true)
    await until('it hears', () => engine.hearing.told)
    hq.slice = slices.first
    // The content is the same, so that nobody tells of it: what renews it is that it is asked for.
    hq.tell('slice', { etag: null })
    await until('it is fresh', () => engine.health().freshness === 'fresh')
    assert.equal(engine.tenant().decide('delivery').freshness, 'fresh')
  })
})

describe('tokens', () => {
  /** HQ that takes some tokens. */
  async function guarded(t, accepts) {
    const hq = await open(t)
    hq.tokens = []
    hq.instead = ({ request, response }) => {
      const [, token] = request.headers.authorization.split(' ')
      hq.tokens.push(token)
      if (accepts(token)) {
        return false
      }
      response.writeHead(401).end('{"code":"unauthorized","detail":"no"}')
      return true
    }
    return hq
  }

  test('are asked for once, and again when one is refused, by whoever was refused first', async (t) => {
    const good = new Set(['one'])
    const hq = await guarded(t, (token) => good.has(token))
    const asked = []
    const tokens = ['one', 'two', 'three']
    const token = async (refused) => {
      asked.push(refused)
      return tokens[asked.length - 1]
    }
    const engine = await follow(t, hq, { token, pollMs: 20 })
    await until('it hears', () => engine.hearing.told)
    assert.deepEqual(asked, [false])
    // Both requests are under way when they are refused.
    const guard = hq.instead
    const waiting = new Map()
    hq.instead = ({ response, pathname }) => {
      waiting.set(pathname, response)
      if (waiting.size === 2) {
        hq.instead = guard
        waiting.forEach((response) => response.writeHead(401).end())
      }
      return true
    }
    good.clear()
    good.add('two')
    hq.hangUp()
    await until('it hears again', () => hq.listeners === 1)
    hq.slice = slices.changed
    await engine.waitFor(slices.changed.revision, 60_000)
    assert.deepEqual([asked, hq.tokens.filter((token) => token === 'three')], [[false, true], []])
    assert.deepEqual(engine.health().faults, [])
  })

  test('that are refused all the time are repeated once for each question', async (t) => {
    const hq = await guarded(t, () => false)
    const asked = []
    const error = await refused(options(hq, { token: (refused) => `t${asked.push(refused)}` }))
    assert.deepEqual([error.constructor, error.code], [SnapshotError, 'unreachable'])
    assert.match(error.message, /HQ answers 401, `unauthorized`: no/)
    assert.deepEqual(
      [asked, hq.tokens],
      [
        [false, true],
        ['t1', 't2'],
      ],
    )
    const fixed = await guarded(t, () => false)
    assert.equal((await refused(options(fixed))).code, 'unreachable')
    assert.deepEqual(fixed.tokens, ['a-token'])
  })

  const failing = {
    throws: () => {
      throw new Error('nobody is signed in')
    },
    rejects: async () => Promise.reject(new Error('nobody is signed in')),
    'rejects with nothing': async () => Promise.reject(),
    'gives nothing': async () => undefined,
    'gives a number': () => 5,
    'gives an object': () => ({ token: 'secret' }),
    'gives an empty text': () => '',
    'gives two lines': () => 'secret\nline',
    'never answers': () => new Promise(() => {}),
  }
  for (const [what, token] of Object.entries(failing)) {
    test(`are not there where the function ${what}`, async (t) => {
      const hq = await open(t)
      const error = await refused(options(hq, { token, answerMs: 200 }))
      assert.deepEqual([error.constructor, error.code], [SnapshotError, 'unreachable'])
      assert.match(error.message, what === 'never answers' ? /within 200 ms/ : /there is no token/)
      assert.equal(error.message.includes('secret'), false)
      assert.equal(hq.requests.length, 0)
    })

    test(`are asked for again where the function ${what} for a while`, async (t) => {
      const good = new Set(['one'])
      const hq = await guarded(t, (sent) => good.has(sent))
      let isWrong = false
      let asked = 0
      const engine = await follow(t, hq, {
        token: (refused) => {
          asked += 1
          return isWrong ? token(refused) : [...good][0]
        },
        answerMs: 200,
        silenceMs: 200,
      })
      await until('it hears', () => engine.hearing.told)
      isWrong = true
      good.clear()
      good.add('two')
      hq.hangUp()
      hq.tell('slice', { etag: null })
      await until('it is noticed', () => !engine.hearing.told && asked > 2)
      assert.deepEqual(ons(engine), [true, false])
      isWrong = false
      hq.slice = slices.changed
      await until('it hears', () => engine.hearing.told)
      assert.equal(await engine.waitFor(slices.changed.revision, 60_000), slices.changed.revision)
    })
  }
})

describe('a slice that comes with the page', () => {
  const only = (slice, more = {}) => ({ tenant: TENANT, trust: desk.trust, slice, ...more })

  test('answers before anybody is asked', async (t) => {
    for (const slice of [
      slices.first.document,
      new Uint8Array(slices.first.document),
      slices.first.document.toString(),
    ]) {
      const engine = await Engine.follow(only(slice))
      t.after(async () => engine.close())
      assert.deepEqual(ons(engine), [true, false])
      const { freshness, persisted, failures, faults, last_contact_at } = engine.health()
      assert.deepEqual([freshness, persisted, failures, faults], ['fallback', false, 0, []])
      assert.equal(last_contact_at, null)
      assert.equal(engine.hearing, undefined)
      assert.equal(engine.tenant().decide('delivery').freshness, 'fallback')
      await assert.rejects(engine.waitFor(99, 1), { code: 'timed_out' })
    }
    const stale = await Engine.follow(only(slices.expired.document))
    t.after(async () => stale.close())
    assert.equal(stale.tenant().decide('delivery').freshness, 'stale')
  })

  test('is confirmed by HQ, where it is the newest', async (t) => {
    const hq = await open(t)
    const engine = await follow(t, hq, { slice: slices.first.document })
    await until('it is confirmed', () => engine.health().freshness === 'fresh')
    const [{ headers }] = hq.requests
    assert.equal(headers['leasehold-if-none-match'], `"${slices.first.etag}"`)
  })

  test('is enough where HQ is away, and is never taken back', async (t) => {
    const hq = await open(t)
    hq.instead = ({ response }) => response.writeHead(503).end()
    const engine = await follow(t, hq, { slice: slices.changed.document })
    assert.deepEqual(ons(engine), [false, true])
    assert.equal(engine.health().freshness, 'fallback')
    await until('it is noticed', () => faultOf(engine, 'unreachable'))
    // HQ, or whoever says so, has an older one.
    hq.instead = () => false
    await until('it is refused', () => faultOf(engine, 'older_revision'))
    assert.deepEqual(ons(engine), [false, true])
  })

  test('answers while HQ does not, and is followed once it does', { timeout: 60_000 }, async (t) => {
    const hq = await open(t)
    let answer
    const asked = new Promise((is) => {
      hq.instead = ({ pathname }) => {
        is(pathname)
        return new Promise((go) => (answer = go))
      }
    })
    const engine = await follow(t, hq, { slice: slices.first.document, answerMs: 600_000 })
    assert.match(await asked, /slice$/)
    assert.deepEqual([ons(engine), engine.hearing.told], [[true, false], false])
    assert.deepEqual([engine.health().freshness, engine.health().faults], ['fallback', []])
    const waiting = engine.waitFor(slices.changed.revision, 60_000)
    hq.slice = slices.changed
    hq.instead = () => false
    answer(false)
    assert.equal(await waiting, slices.changed.revision)
    await until('it hears', () => engine.hearing.told)
    assert.equal(hq.asked, 1, 'what is asked for is not asked for again')
    // A page that is left meanwhile waits for nobody.
    hq.instead = () => true
    const other = await follow(t, hq, { slice: slices.first.document, answerMs: 600_000 })
    await until('it is asked', () => hq.asked === 2)
    await other.close()
    assert.equal(hq.heard, 1)
  })

  test('that is wrong keeps nobody from asking', async (t) => {
    const hq = await open(t)
    for (const slice of [slices.first.tampered().document, slices.other.document, '', 'x', new Uint8Array(3)]) {
      const engine = await follow(t, hq, { slice })
      assert.deepEqual([ons(engine), engine.health().faults], [[true, false], []])
    }
  })

  test('is nothing: there is nothing to answer from', async () => {
    const error = await refused({ tenant: TENANT, trust: desk.trust })
    assert.deepEqual([error.constructor, error.code], [SnapshotError, 'unreachable'])
  })
})

describe('a source of your own', () => {
  const source = (more) => ({ head: async () => slices.first.document, ...more })
  const own = (source, more = {}) => ({
    tenant: TENANT,
    trust: desk.trust,
    source,
    pollMs: 5,
    backoffMinMs: 1,
    backoffMaxMs: 5,
    ...more,
  })

  test('gives slices, and envelopes of those that are known', async (t) => {
    const asked = []
    let next = slices.first
    const head = async (stream, known) => {
      asked.push([stream, known])
      return known === next.etag ? { envelope: new Uint8Array(next.envelope) } : next.document
    }
    const engine = await Engine.follow(own(source({ head })))
    t.after(async () => engine.close())
    assert.deepEqual(asked[0], [STREAM, undefined])
    next = slices.later
    await engine.waitFor(slices.later.revision, 60_000)
    next = slices.changed
    await engine.waitFor(slices.changed.revision, 60_000)
    assert.deepEqual(ons(engine), [false, true])
    assert.ok(asked.some(([, known]) => known === slices.first.etag))
    assert.equal(engine.hearing, undefined)
  })

  const fails = {
    throw: (why) => () => {
      throw new Error(why)
    },
    reject: (why) => async () => {
      throw new Error(why)
    },
  }
  const begins = { 'with a slice': () => ({ slice: slices.first.document }), 'with nothing': () => ({}) }
  for (const [how, failing] of Object.entries(fails)) {
    for (const [what, more] of Object.entries(begins)) {
      test(`may ${how} when it is listened to and closed, of an engine that begins ${what}`, async (t) => {
        const unhandled = []
        const take = (error) => unhandled.push(error.message)
        process.on('unhandledRejection', take)
        t.after(() => process.off('unhandledRejection', take))
        let next = slices.first
        const head = async () => next.document
        const listening = source({ head, listen: failing('listen boom'), close: failing('close boom') })
        const engine = await Engine.follow(own(listening, more()))
        await until('it is known why nothing is heard', () => engine.hearing !== undefined)
        assert.deepEqual(engine.hearing, { told: false, why: 'listen boom' })
        next = slices.changed
        assert.equal(await engine.waitFor(slices.changed.revision, 30_000), slices.changed.revision)
        await engine.close()
        await new Promise((resolve) => setImmediate(resolve))
        assert.deepEqual(unhandled, [])
      })
    }
  }

  test('may give whatever it likes', async () => {
    const throws = () => {
      throw new Error('boom')
    }
    for (const head of [throws, async () => 'text', () => 5, () => ({ envelope: 5 }), () => undefined, () => null]) {
      const error = await refused(own({ head }))
      assert.ok(error instanceof SnapshotError, String(error))
    }
    for (const source of [
      null,
      5,
      {},
      { head: 5 },
      [],
      {
        get head() {
          return throws()
        },
      },
    ]) {
      const error = await refused(own(source))
      assert.ok(error instanceof ArgumentError, String(error))
    }
  })
})

test('listeners hear nothing of an engine that is closed, and may close it', async (t) => {
  const hq = await open(t)
  const engine = await follow(t, hq)
  await until('it hears', () => engine.hearing.told)
  const heard = []
  engine.subscribe(() => heard.push('pulse'))
  engine.on('change', () => {
    heard.push('change')
    void engine.close()
  })
  engine.on('change', () => heard.push('late'))
  hq.put(slices.changed)
  await until('it is closed', () => engine.closed && hq.listeners === 0)
  assert.deepEqual(heard, ['pulse', 'change'])
})

test('options that cannot be meant are refused', async () => {
  const good = { url: 'https://hq.example', tenant: TENANT, token: 't', trust: desk.trust }
  const cases = [
    undefined,
    null,
    5,
    'https://hq.example',
    { ...good, tenant: undefined },
    { ...good, tenant: 5 },
    { ...good, tenant: '' },
    { ...good, tenant: 'No Id' },
    { ...good, url: 5 },
    { ...good, url: null },
    { ...good, token: 5 },
    { ...good, token: {} },
    { ...good, trust: undefined },
    { ...good, trust: 5 },
    { ...good, stream: 5 },
    { ...good, slice: 5 },
    { ...good, slice: null },
    { ...good, slice: [1, 2] },
    { ...good, keep: 'yes' },
    { ...good, kep: true },
    { ...good, share: 5 },
    { ...good, url: undefined, share: 5 },
    { ...good, fetch: 5 },
    { ...good, source: { head() {} } },
    ...[0, -5, NaN, Infinity, 2 ** 32, 1.5, '5', 5n].flatMap((ms) =>
      ['pollMs', 'backoffMinMs', 'backoffMaxMs', 'answerMs', 'silenceMs', 'pauseMinMs', 'pauseMaxMs'].map((name) => ({
        ...good,
        [name]: ms,
      })),
    ),
    {
      get url() {
        throw new Error('boom')
      },
    },
  ]
  for (const options of cases) {
    const error = await refused(options)
    assert.equal(error?.code, 'invalid_argument', `${inspect(options)}: ${error?.stack}`)
    assert.ok(error instanceof ArgumentError)
  }
  const impossible = [
    [{ url: '' }, 'invalid_base_url'],
    [{ url: '/hq' }, 'invalid_base_url'],
    [{ url: 'hq.example' }, 'invalid_base_url'],
    [{ url: 'ftp://hq.example' }, 'invalid_base_url'],
    [{ url: 'https://me:secret@hq.example' }, 'invalid_base_url'],
    [{ url: 'https://hq.example?x=1' }, 'invalid_base_url'],
    [{ url: 'http://hq.example' }, 'insecure_base_url'],
    [{ url: 'http://hq.example', overSafeNetwork: 'yes' }, 'insecure_base_url'],
    [{ token: '' }, 'invalid_token'],
    [{ token: 'with space' }, 'invalid_token'],
    [{ token: undefined }, 'invalid_token'],
  ]
  for (const [more, code] of impossible) {
    const error = await refused({ ...good, ...more })
    assert.ok(error instanceof OptionsError, `${JSON.stringify(more)}: ${error}`)
    assert.equal(error.code, code)
    assert.equal(error.message.includes('secret'), false)
  }
  for (const trust of ['', 'nonsense', 'null', '5', '[]', '{}', {}]) {
    const error = await refused({ ...good, trust })
    assert.ok(error instanceof SnapshotError, `${JSON.stringify(trust)}: ${error}`)
    assert.equal(error.code, 'malformed')
  }
  // Over a network that is safe, it is asked for.
  let asked
  const fetch = async (url, { headers }) => {
    asked = [url, headers.authorization]
    return new Response(slices.first.document)
  }
  const engine = await Engine.follow({ ...good, url: 'http://hq.example/', overSafeNetwork: true, fetch, share: false })
  await engine.close()
  assert.equal(asked[1], 'Bearer t')
})
