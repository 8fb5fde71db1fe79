// Engines that follow: directories, folders that are kept, HQ over HTTP and all that may go wrong on the way.

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Engine, OptionsError, Snapshot, SnapshotError, TimedOutError } from 'leasehold'
import { clockOf, DAY } from './support/clock.mjs'
import { Desk } from './support/desk.mjs'
import { FakeHq } from './support/fake_hq.mjs'
import { until } from './support/wait.mjs'

const TENANT = 'om-muscat-sparkle'
const TENANTS = 'tenants/gcc-om.json'

let desk
/** The directory as it was published first. */
let published
let number = 0

before(async () => {
  desk = await Desk.open()
  await desk.build(' --pack oman.pack --stream GCC-OM')
  published = desk.at('published')
  await cp(desk.at('snapshots'), published, { recursive: true })
})
after(async () => desk.close())
beforeEach(async () => {
  number += 1
  await rm(desk.at('snapshots'), { recursive: true, force: true })
  await cp(published, desk.at('snapshots'), { recursive: true })
})

const kept = () => desk.at(`kept-${number}`)

/** Publishes the next revision, in which the tenant has an override. */
async function publishNext(feature = 'sso') {
  await desk.edit(TENANTS, ({ tenants }) => {
    tenants[TENANT].overrides ??= {}
    tenants[TENANT].overrides[`node-${number}`] = {
      feature,
      op: 'set',
      value: true,
      reason: 'for a test',
      actor: 'ada',
    }
  })
  await desk.build()
}

async function unpublish() {
  await desk.edit(TENANTS, ({ tenants }) => {
    delete tenants[TENANT].overrides[`node-${number}`]
  })
}

describe('a directory', () => {
  test('is followed, and tells whose answers are other ones', async (t) => {
    const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 20 })
    t.after(async () => engine.close())
    const tenant = engine.tenant(TENANT)
    const before = engine.snapshot().revision
    assert.equal(tenant.isEnabled('sso'), false)
    const changes = []
    const stop = engine.on('change', (change) => changes.push(change))
    await publishNext()
    t.after(unpublish)
    assert.equal(await engine.waitFor(before + 1, 60_000), before + 1)
    assert.equal(tenant.isEnabled('sso'), true)
    const [change] = await until('a change is told', () => changes.length > 0 && changes)
    assert.deepEqual(change, {
      revision: { from: before, to: before + 1 },
      added: [],
      removed: [],
      groups: [{ features: ['sso'], tenants: [TENANT] }],
    })
    stop()
    assert.equal(engine.health().revision, before + 1)
    assert.equal(engine.health().freshness, 'fresh')
    await assert.rejects(engine.waitFor(before + 2, 1), (error) => error instanceof TimedOutError)
  })

  test('is read once, without following it', async () => {
    const engine = await Engine.fromDirectory(desk.at('snapshots'), desk.trust)
    assert.equal(engine.health(), undefined)
    assert.equal(engine.tenant(TENANT).entitlements().status.length > 0, true)
    await assert.rejects(Engine.fromDirectory(desk.at('nowhere'), desk.trust), (error) => {
      assert(error instanceof SnapshotError)
      assert.equal(error.code, 'unreachable')
      return true
    })
    const strangers = JSON.stringify({
      ...JSON.parse(desk.trust),
      roots: ['8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c'],
    })
    await assert.rejects(Engine.fromDirectory(desk.at('snapshots'), strangers), { code: 'unknown_key' })
    await assert.rejects(Engine.fromDirectory(desk.at('snapshots'), desk.trust, 'GCC-XX'), { name: 'SnapshotError' })
    const other = await Engine.fromDirectory(desk.at('snapshots'), desk.trust, 'GCC-SA')
    assert.throws(() => other.tenant(TENANT), { code: 'unknown_tenant' })
  })
})

describe('a folder that is kept', () => {
  test('is enough for the next start', async (t) => {
    const options = { directory: desk.at('snapshots'), trust: desk.trust, keep: kept() }
    const first = await Engine.follow(options)
    assert.equal(first.health().persisted, true)
    const { revision } = first.snapshot()
    await first.close()
    await rm(desk.at('snapshots'), { recursive: true })

    const again = await Engine.follow(options)
    t.after(async () => again.close())
    assert.equal(again.snapshot().revision, revision)
    assert.equal(again.tenant(TENANT).decide('delivery').freshness, 'fallback')
    assert.equal(
      again.health().faults.some(({ code }) => code === 'unreachable'),
      true,
    )

    const alone = await Engine.fromLastKnownGood(kept(), desk.trust)
    assert.equal(alone.snapshot().revision, revision)
    const nothing = desk.at('nothing')
    const message = `head: nothing is kept of its stream in ${nothing}`
    await assert.rejects(Engine.fromLastKnownGood(nothing, desk.trust), { name: 'SnapshotError', message })
  })

  test('holds the engine of another language too', async () => {
    // What `leasehold` publishes has the same layout; contents of another stream beside it do no harm.
    await cp(desk.at('snapshots'), kept(), { recursive: true })
    const engine = await Engine.fromLastKnownGood(kept(), desk.trust)
    assert.equal(engine.snapshot().tenantIds().includes(TENANT), true)
  })

  test('that has rotted is fetched anew', async () => {
    const options = { directory: desk.at('snapshots'), trust: desk.trust, keep: kept() }
    await (await Engine.follow(options)).close()
    const chunks = await readdir(join(kept(), 'chunks'), { recursive: true, withFileTypes: true })
    for (const file of chunks.filter((entry) => entry.isFile())) {
      const path = join(file.parentPath, file.name)
      const bytes = await readFile(path)
      bytes[bytes.length >> 1] ^= 1
      await writeFile(path, bytes)
    }
    await assert.rejects(Engine.fromLastKnownGood(kept(), desk.trust), { name: 'SnapshotError' })
    const engine = await Engine.follow(options)
    assert.equal(engine.tenant(TENANT).isEnabled('delivery'), true)
    assert.equal(engine.health().persisted, true)
    await engine.close()
    assert.equal((await Engine.fromLastKnownGood(kept(), desk.trust)).tenant(TENANT).isEnabled('delivery'), true)
  })

  test('never takes back what was newer', async () => {
    const options = { directory: desk.at('snapshots'), trust: desk.trust, keep: kept() }
    await publishNext()
    const engine = await Engine.follow(options)
    await engine.close()
    await unpublish()
    const { revision } = engine.closed
      ? await Engine.fromLastKnownGood(kept(), desk.trust).then((it) => it.snapshot())
      : {}
    await rm(desk.at('snapshots'), { recursive: true })
    await cp(published, desk.at('snapshots'), { recursive: true })
    const again = await Engine.follow(options)
    assert.equal(again.snapshot().revision, revision)
    assert.equal(
      again.health().faults.some(({ code }) => code === 'older_revision'),
      true,
    )
    await again.close()
  })

  test('that cannot be written is a fault, and the engine answers', async (t) => {
    await mkdir(kept())
    await writeFile(join(kept(), 'chunks'), 'in the way')
    const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, keep: kept() })
    t.after(async () => engine.close())
    assert.equal(engine.tenant(TENANT).isEnabled('delivery'), true)
    const { persisted, faults } = engine.health()
    assert.equal(persisted, false)
    assert.equal(
      faults.some(({ code }) => code === 'not_persisted'),
      true,
    )
  })
})

describe('HQ over HTTP', () => {
  const options = (hq, more = {}) => ({
    url: hq.url,
    token: 'a-token',
    trust: desk.trust,
    engineId: 'node-1',
    pauseMinMs: 5,
    pauseMaxMs: 50,
    backoffMinMs: 5,
    backoffMaxMs: 50,
    ...more,
  })

  async function open(t) {
    const hq = await FakeHq.open(desk.at('snapshots'), 'GCC-OM')
    t.after(async () => hq.close())
    return hq
  }

  test('is followed by its events, and is told what is in force', async (t) => {
    const hq = await open(t)
    const engine = await Engine.follow(options(hq))
    t.after(async () => engine.close())
    const { revision } = engine.snapshot()
    await until('it hears', () => engine.hearing.told)
    const asked = () => hq.requests.filter(({ path }) => path === '/v1/snapshots/head').length
    const before = asked()
    await publishNext()
    t.after(unpublish)
    await hq.tell()
    assert.equal(await engine.waitFor(revision + 1, 60_000), revision + 1)
    assert.equal(asked(), before, 'the head came along with the event')
    await until('it is reported', () => hq.reports.find((report) => report.revision === revision + 1))
    const report = hq.reports.find((report) => report.revision === revision + 1)
    assert.deepEqual([report.report, report.stream, report.persisted], ['ack', 'GCC-OM', false])
    for (const { headers } of hq.requests) {
      assert.equal(headers.authorization, 'Bearer a-token')
    }
  })

  test('that does not begin to send everything is asked for the pieces', async (t) => {
    const hq = await open(t)
    hq.instead = ({ request }) => request.url.startsWith('/v1/snapshots/pack')
    const engine = await Engine.follow(options(hq, { answerMs: 100, contentMs: 600_000 }))
    t.after(async () => engine.close())
    assert.equal(engine.tenant(TENANT).isEnabled('delivery'), true)
    assert.ok(hq.requests.some(({ path }) => path.startsWith('/v1/snapshots/chunks/')))
  })

  test('that breaks off is heard again, and nothing is missed', async (t) => {
    const hq = await open(t)
    const engine = await Engine.follow(options(hq))
    t.after(async () => engine.close())
    const { revision } = engine.snapshot()
    await until('it hears', () => hq.listeners === 1)
    hq.instead = ({ response }) => response.destroy() && true
    hq.hangUp()
    await until('it asks', () => !engine.hearing.told)
    await publishNext()
    t.after(unpublish)
    assert.equal(engine.tenant(TENANT).isEnabled('delivery'), true, 'it answers meanwhile')
    hq.instead = () => false
    assert.equal(await engine.waitFor(revision + 1, 60_000), revision + 1)
  })

  const wrong = {
    'a server that fails': ({ response }) => response.writeHead(500).end('{"code":"internal","detail":"sorry"}'),
    'a refusal': ({ response }) => response.writeHead(403).end('{"code":"forbidden","detail":"not with a-token"}'),
    'a redirect': ({ response }) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
    'a page in place of answers': ({ response }) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello'),
    'an answer that breaks off': ({ response }) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('half', () => response.destroy())
    },
    'an answer without end': ({ response }) => {
      response.writeHead(200)
      const more = () => response.writable && response.write('x'.repeat(65536), more)
      more()
    },
    'no answer': () => {},
  }
  for (const [what, answer] of Object.entries(wrong)) {
    test(`${what} leaves nothing to answer from, and says so`, async (t) => {
      const hq = await open(t)
      hq.instead = (asked) => {
        answer(asked)
        return true
      }
      const failed = await Engine.follow(options(hq, { answerMs: 300, contentMs: 300 })).then(
        () => undefined,
        (error) => error,
      )
      assert(failed instanceof SnapshotError, String(failed))
      assert.equal(failed.message.includes('a-token'), false, 'the token is not shown')
      assert.notEqual(failed.message, '')
    })

    test(`${what} does no harm to an engine that answers`, async (t) => {
      const hq = await open(t)
      const engine = await Engine.follow(options(hq, { answerMs: 300, contentMs: 300, silenceMs: 500, pollMs: 5 }))
      t.after(async () => engine.close())
      const { revision } = engine.snapshot()
      hq.instead = (asked) => {
        answer(asked)
        return true
      }
      hq.hangUp()
      const faults = []
      engine.on('fault', (fault) => faults.push(fault))
      await until('it is noticed', () => faults.length > 0 && !engine.hearing.told)
      assert.equal(engine.snapshot().revision, revision)
      await publishNext()
      t.after(unpublish)
      hq.instead = () => false
      assert.equal(await engine.waitFor(revision + 1, 60_000), revision + 1)
    })
  }

  test('that asks to be left alone is left alone', async (t) => {
    const hq = await open(t)
    const engine = await Engine.follow(options(hq, { pollMs: 5 }))
    t.after(async () => engine.close())
    hq.instead = ({ response }) => response.writeHead(429, { 'retry-after': '3600' }).end()
    await until('it was asked to', () => engine.health().faults.some(({ message }) => message.includes('left alone')))
    const { length } = hq.requests
    await until('it tried again', () => engine.health().failures > 5)
    assert.equal(hq.requests.length, length)
  })

  const clocks = {
    back: { ahead: -DAY, seconds: 1, isOver: true },
    ahead: { ahead: DAY, seconds: 3600, isOver: false },
  }
  for (const [where, { ahead, seconds, isOver }] of Object.entries(clocks)) {
    test(`is left alone for as long as it asks, also where the clock is put ${where}`, async (t) => {
      const [hq, clock] = [await open(t), clockOf(t)]
      const engine = await Engine.follow(options(hq, { pollMs: 5 }))
      t.after(async () => engine.close())
      const { revision } = engine.snapshot()
      hq.instead = ({ response }) => response.writeHead(503, { 'retry-after': `${seconds}` }).end() && true
      hq.hangUp()
      await until('it was asked to', () => engine.health().faults.some(({ message }) => message.includes('left alone')))
      // An answer that comes later would be heeded by the clock as it is then.
      await until('nothing is on its way', () => /503|left alone/.test(engine.hearing.why))
      hq.instead = () => false
      clock.set(ahead)
      const { length } = hq.requests
      const { failures } = engine.health()
      if (isOver) {
        await publishNext()
        t.after(unpublish)
        assert.equal(await engine.waitFor(revision + 1, 30_000), revision + 1)
        await until('it hears', () => engine.hearing.told)
      } else {
        await until('it tried again', () => engine.health().failures > failures + 5)
        assert.equal(hq.requests.length, length)
      }
    })
  }

  test('that has an engine wait for contents is waited for, also where the clock is put ahead', async (t) => {
    const [hq, clock] = [await open(t), clockOf(t)]
    let isAsked = false
    hq.instead = ({ response, pathname }) => {
      if (isAsked || !pathname.startsWith('/v1/snapshots/chunks/')) {
        return false
      }
      isAsked = true
      clock.set(DAY)
      response.writeHead(429, { 'retry-after': '1' }).end()
      return true
    }
    const engine = await Engine.follow(options(hq))
    t.after(async () => engine.close())
    assert.deepEqual([isAsked, engine.health().faults], [true, []])
  })

  test('that hangs up is asked less and less often, also where the clock is put ahead', async (t) => {
    const [hq, clock] = [await open(t), clockOf(t)]
    const engine = await Engine.follow(options(hq, { pauseMaxMs: 600_000 }))
    t.after(async () => engine.close())
    const heard = () => hq.requests.filter(({ path }) => path === '/v1/snapshots/events').length
    let paused
    for (let turn = 1; turn <= 7; turn += 1) {
      await until('it hears', () => heard() === turn && engine.hearing.told)
      clock.set(turn * DAY)
      const from = performance.now()
      hq.hangUp()
      await until('it connects again', () => heard() > turn)
      paused = performance.now() - from
    }
    // Half of a pause is left to chance.
    assert.ok(paused >= (5 * 2 ** 6) / 2, `it paused ${paused} ms`)
  })

  test('whose options cannot work is refused at once', async () => {
    const cases = [
      [{ url: 'hq.example' }, 'invalid_base_url'],
      [{ url: 'ftp://hq.example' }, 'invalid_base_url'],
      [{ url: 'https://me:secret@hq.example' }, 'invalid_base_url'],
      [{ url: 'https://hq.example?x=1' }, 'invalid_base_url'],
      [{ url: undefined }, 'invalid_base_url'],
      [{ url: 'http://hq.example' }, 'insecure_base_url'],
      [{ token: '' }, 'invalid_token'],
      [{ token: 'with space' }, 'invalid_token'],
      [{ token: undefined }, 'invalid_token'],
    ]
    for (const [more, code] of cases) {
      const failed = await Engine.follow(options({ url: 'https://hq.example' }, more)).then(
        () => undefined,
        (error) => error,
      )
      assert(failed instanceof OptionsError, `${JSON.stringify(more)}: ${failed}`)
      assert.equal(failed.code, code)
      assert.equal(failed.message.includes('secret'), false)
    }
    await assert.rejects(Engine.follow(options({ url: 'https://hq.example' }, { trust: '{}' })), { code: 'malformed' })
    await assert.rejects(Engine.follow(options({ url: 'https://hq.example' }, { engineId: 'no good' })), {
      code: 'invalid_argument',
    })
  })
})

describe('a source of your own', () => {
  const trusted = () => ({ trust: desk.trust, backoffMinMs: 1, backoffMaxMs: 5, pollMs: 5 })
  /** The directory, in which something goes wrong once a test says so. */
  const source = (more) => {
    const read = async (path) => readFile(path)
    return {
      head: async () => read(join(desk.at('snapshots'), 'heads/GCC-OM.head')),
      content: async ({ hash }) => ({
        encoding: 'zstd',
        bytes: await read(join(desk.at('snapshots'), 'chunks', hash.slice(0, 2), `${hash}.zst`)),
      }),
      ...more,
    }
  }

  const fails = {
    throwing: (why) => () => {
      throw new Error(why)
    },
    rejecting: (why) => async () => {
      throw new Error(why)
    },
  }
  for (const [how, failing] of Object.entries(fails)) {
    test(`may do what it likes, ${how} whatever it is asked`, async (t) => {
      const unhandled = []
      const take = (error) => unhandled.push(error.message)
      process.on('unhandledRejection', take)
      t.after(() => process.off('unhandledRejection', take))
      let wrong = false
      const own = source()
      const asked = new Set()
      const failingOnce = (name) => () => {
        asked.add(name)
        return failing(`${name} boom`)()
      }
      const engine = await Engine.follow({
        ...trusted(),
        engineId: 'node-1',
        source: source({
          head: (stream) => (wrong ? failing('head boom')() : own.head(stream)),
          report: failingOnce('report'),
          close: failingOnce('close'),
          listen: failingOnce('listen'),
        }),
      })
      const { revision } = engine.snapshot()
      await until('it is known why nothing is heard', () => engine.hearing !== undefined)
      assert.deepEqual(engine.hearing, { told: false, why: 'listen boom' })
      wrong = true
      await until('it is noticed', () => engine.health().faults.some(({ message }) => message.includes('head boom')))
      await until('it is asked again', () => engine.health().failures > 3)
      await publishNext()
      t.after(unpublish)
      wrong = false
      assert.equal(await engine.waitFor(revision + 1, 60_000), revision + 1)
      await engine.close()
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual([[...asked].sort(), unhandled], [['close', 'listen', 'report'], []])
    })
  }

  test('that gives something else is told what is wrong', async () => {
    for (const more of [{ head: async () => 'text' }, { head: () => 5 }, { content: async () => ({ bytes: [] }) }]) {
      await assert.rejects(Engine.follow({ ...trusted(), source: source(more) }), { name: 'SnapshotError' })
    }
  })

  test('that does not answer keeps nobody from closing', async () => {
    let silent = false
    const own = source()
    const head = async (stream) => (silent ? new Promise(() => {}) : own.head(stream))
    const engine = await Engine.follow({ ...trusted(), source: source({ head }) })
    const waiting = engine.waitFor(99, 60_000).then(
      () => undefined,
      ({ code }) => code,
    )
    silent = true
    await publishNext()
    await unpublish()
    await engine.close()
    assert.equal(await waiting, 'closed')
  })
})

test('listeners hear nothing of an engine that is closed, and may close it', async () => {
  const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 5 })
  const heard = []
  engine.on('change', () => {
    heard.push(engine.snapshot().revision)
    void engine.close()
  })
  engine.on('change', () => heard.push(engine.snapshot().revision))
  const { revision } = engine.snapshot()
  await publishNext()
  await until('it is closed', () => engine.closed)
  await unpublish()
  assert.deepEqual(heard, [revision + 1])
})

test('listeners may take themselves off and come again', async () => {
  const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 5 })
  let heard = 0
  const again = () => {
    heard += 1
    engine.off('change', again)
    engine.on('change', again)
  }
  const later = () => (heard += 100)
  engine.on('change', () => engine.off('change', later))
  engine.on('change', again)
  engine.on('change', later)
  await publishNext()
  await until('it has heard', () => heard > 0)
  await unpublish()
  await engine.close()
  assert.equal(heard, 1)
})

test('who listens twice is called twice, and leaves one at a time', () => {
  const of = (initial) =>
    Snapshot.fromDefinitions({
      features: { a: { name: 'A', name2: 'A', group: 'add_on', kind: 'switch', default: initial } },
      tenants: { t: { name: 'T', name2: 'T', region: 'R', anchor: '2026-01-01T00:00:00Z' } },
    })
  const [off, on] = [of(false), of(true)]
  const engine = new Engine(off)
  let heard = 0
  const listener = () => (heard += 1)
  const stop = engine.on('change', listener)
  engine.on('change', listener)
  const told = [on, off, on].map((next, turn) => {
    if (turn === 1) {
      // Leaving again is nothing.
      stop()
      stop()
    } else if (turn === 2) {
      engine.off('change', listener)
    }
    heard = 0
    engine.swap(next)
    return heard
  })
  assert.deepEqual(told, [2, 1, 0])
})

test('a pipe in the place of a head is not waited for', { timeout: 10_000 }, async () => {
  const heads = join(desk.at('pipes'), 'heads')
  await mkdir(heads, { recursive: true })
  execFileSync('mkfifo', [join(heads, 'GCC-OM.head')])
  await assert.rejects(Engine.follow({ directory: desk.at('pipes'), trust: desk.trust }), { name: 'SnapshotError' })
})

test('options that cannot be meant are refused', async () => {
  const good = { directory: desk.at('snapshots'), trust: desk.trust }
  const cases = [
    undefined,
    null,
    5,
    { ...good, directory: 5 },
    { ...good, keep: 5 },
    { ...good, keep: '' },
    { ...good, directory: '' },
    { ...good, kep: 'here' },
    { ...good, url: 'https://hq.example', token: 't' },
    { ...good, source: { head() {}, content() {} } },
    { ...good, engineId: 5 },
    { ...good, pack: 'x' },
    { ...good, source: {} },
    { ...good, source: 5 },
    { ...good, trust: undefined },
    { ...good, stream: 5 },
    ...[0, -5, NaN, Infinity, 2 ** 32, 1.5, '5'].flatMap((ms) =>
      ['pollMs', 'backoffMinMs', 'backoffMaxMs', 'reportMs'].map((name) => ({ ...good, [name]: ms })),
    ),
    ...['answerMs', 'contentMs', 'silenceMs', 'pauseMinMs', 'pauseMaxMs'].map((name) => ({
      url: 'https://hq.example',
      token: 't',
      trust: desk.trust,
      [name]: 2 ** 31,
    })),
    { url: 5, token: 't', trust: desk.trust },
    { url: 'https://hq.example', token: 't', trust: desk.trust, fetch: 5 },
  ]
  for (const options of cases) {
    const failed = await Engine.follow(options).then(
      () => undefined,
      (error) => error,
    )
    assert.equal(failed?.code, 'invalid_argument', `${JSON.stringify(options)}: ${failed}`)
  }
  await assert.rejects(Engine.fromLastKnownGood(5, desk.trust), { code: 'invalid_argument' })
  const engine = await Engine.fromDirectory(desk.at('snapshots'), desk.trust)
  for (const [revision, ms] of [[NaN], ['x'], [1.5], [1, NaN], [1, Infinity], [1, 0]]) {
    await assert.rejects(engine.waitFor(revision, ms), { code: 'invalid_argument' })
  }
  assert.throws(() => engine.on('nope', () => {}), { code: 'invalid_argument' })
  assert.throws(() => engine.off('nope', () => {}), { code: 'invalid_argument' })
  assert.throws(() => engine.on('change', 5), { code: 'invalid_argument' })
})

test('what is closed keeps no process alive, and answers nothing', { timeout: 120_000 }, async (t) => {
  const hq = await FakeHq.open(desk.at('snapshots'), 'GCC-OM')
  t.after(async () => hq.close())
  const script = `
    import { Engine } from 'leasehold'
    const engine = await Engine.follow(${JSON.stringify({ url: hq.url, token: 't', trust: desk.trust, engineId: 'e' })})
    const tenant = engine.tenant('${TENANT}')
    tenant.isEnabled('delivery')
    const waiting = engine.waitFor(99).catch((error) => error.code)
    await engine.close()
    await engine.close()
    let code
    try { tenant.isEnabled('delivery') } catch (error) { code = error.code }
    console.log(JSON.stringify([code, tenant.isEnabledOr('delivery', true), await waiting]))
  `
  const run = new Promise((resolve, reject) => {
    const words = ['--input-type=module', '--eval', script]
    execFile(process.execPath, words, { cwd: import.meta.dirname, timeout: 60_000 }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    )
  })
  assert.deepEqual(JSON.parse(await run), ['closed', true, 'closed'])
  await until('nobody listens', () => hq.listeners === 0)
})
