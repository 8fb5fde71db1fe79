// Pages that follow, in Chromium: what they keep in IndexedDB and begin with, tabs that share a connection, pages out of sight.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { DAY } from '../../bindings-node/test/support/clock.mjs'
import { until } from '../../bindings-node/test/support/wait.mjs'
import { browser, page, Site } from './support/browser.mjs'
import { FakeSlices, SliceDesk, slicesOf, STREAM, TENANT } from './support/fake_slices.mjs'

let desk
let slices
let site
let chromium

before(async () => {
  ;[desk, site, chromium] = await Promise.all([SliceDesk.open(), Site.open({ '/page': page('') }), browser()])
  slices = await slicesOf(desk)
})
after(async () => {
  await chromium?.close()
  await Promise.all([site?.close(), desk?.close()])
})

/** Shortens what takes seconds here: until a database counts as silent, and a page as out of sight. */
function hasty() {
  const own = globalThis.setTimeout
  globalThis.setTimeout = (call, ms, ...given) => own(call, ms === 3_000 || ms === 5_000 ? 100 : ms, ...given)
}

/** A browser that has kept nothing yet, in which a script runs before any other where one is given. */
async function fresh(t, script) {
  const context = await chromium.newContext()
  t.after(async () => context.close())
  await context.addInitScript(hasty)
  if (script !== undefined) {
    await context.addInitScript(script)
  }
  return context
}

async function open(t, slice = slices.first) {
  const hq = await FakeSlices.open(slice)
  t.after(async () => hq.close())
  return hq
}

const options = (hq, more = {}) => ({
  ...(hq === undefined ? {} : { url: hq.url, token: 'a-token' }),
  tenant: TENANT,
  trust: desk.trust,
  pauseMinMs: 5,
  pauseMaxMs: 50,
  backoffMinMs: 5,
  backoffMaxMs: 50,
  ...more,
})

/** A tab with an engine; what went wrong where there is none. */
async function tab(context, options) {
  const tab = await context.newPage()
  return Object.assign(tab, { failed: await load(tab, options) })
}

async function load(tab, options) {
  await tab.goto(`${site.url}/page`)
  return tab.evaluate(async (options) => {
    const { Engine, init } = await import('/dist/index.js')
    await init()
    try {
      globalThis.engine = await Engine.follow(options)
      return undefined
    } catch ({ name, code, message }) {
      return { name, code, message }
    }
  }, options)
}

/** What a tab has in force, and how it is doing. */
const state = async (tab) =>
  tab.evaluate(() => {
    const { engine } = globalThis
    const { revision, freshness, persisted, faults, expires_at, failures } = engine.health()
    const sso = engine.tenant().decide('sso')
    return {
      sso: sso.enabled,
      decided: sso.freshness,
      revision,
      freshness,
      persisted,
      codes: faults.map(({ code }) => code),
      why: faults.map(({ message }) => message).join(),
      hearing: engine.hearing,
      expires_at,
      failures,
    }
  })
const comes = async (tab, what, holds) =>
  until(what, async () => {
    const now = await state(tab)
    return holds(now) && now
  })
const hears = async (tab) => comes(tab, 'it hears', ({ hearing }) => hearing.told)
const reaches = async (tab, { revision }) => comes(tab, `revision ${revision}`, (now) => now.revision === revision)

/** Puts into the database what may lie there, or gives what does. */
const stored = async (tab, entry) =>
  tab.evaluate(
    async ([key, entry]) => {
      const done = async (request) =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result)
          request.onerror = () => reject(request.error)
        })
      const database = await done(indexedDB.open('leasehold', 1))
      const store = database.transaction('slices', 'readwrite').objectStore('slices')
      const kept = await done(store.get(key))
      if (entry !== undefined) {
        const bytes = (value) => (typeof value === 'string' ? new TextEncoder().encode(value) : value)
        const isObject = entry !== null && typeof entry === 'object'
        await done(store.put(isObject ? { head: bytes(entry.head), seen: bytes(entry.seen) } : entry, key))
      }
      database.close()
      return {
        keys: Object.keys(kept ?? {}),
        head: kept?.head instanceof Uint8Array ? new TextDecoder().decode(kept.head) : undefined,
      }
    },
    [JSON.stringify(['hq.example', 'test', STREAM, TENANT]), entry],
  )
const text = ({ document }) => document.toString()

/** As a browser does it when its tab is left or looked at again. */
const show = async (tab, visibility) =>
  tab.evaluate((visibility) => {
    Object.defineProperty(document, 'visibilityState', { value: visibility, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  }, visibility)

describe('what is kept', () => {
  test('is enough for a page that starts without HQ, and it says so', { timeout: 60_000 }, async (t) => {
    const [context, hq] = [await fresh(t), await FakeSlices.open(slices.changed)]
    const one = await tab(context, options(hq))
    const before = await state(one)
    assert.deepEqual([before.freshness, before.persisted, before.sso, before.codes], ['fresh', true, true, []])
    await hq.close()
    assert.equal(await load(one, options(hq)), undefined)
    const now = await comes(one, 'nobody answers', ({ codes }) => codes.length > 0)
    assert.deepEqual([now.freshness, now.decided, now.sso], ['fallback', 'fallback', true])
    assert.deepEqual([now.persisted, now.codes, now.revision], [true, ['unreachable'], slices.changed.revision])
    const noticed = await comes(one, 'it cannot listen', ({ hearing }) => hearing.why !== 'nobody has connected yet')
    assert.equal(noticed.hearing.told, false)
    // Nobody to ask is no fault.
    assert.equal(await load(one, options()), undefined)
    const alone = await state(one)
    assert.deepEqual([alone.freshness, alone.codes, alone.failures, alone.hearing], ['fallback', [], 0, undefined])
    // Of another tenant nothing was kept.
    const other = await load(one, options(undefined, { tenant: 'om-sohar-press' }))
    assert.deepEqual([other.name, other.code], ['SnapshotError', 'unreachable'])
    const again = await FakeSlices.open(slices.next, hq.port)
    t.after(async () => again.close())
    // Whoever does not answer is not waited for.
    again.instead = () => true
    assert.equal(await load(one, options(hq, { answerMs: 600_000 })), undefined)
    const meanwhile = await state(one)
    assert.deepEqual([meanwhile.freshness, meanwhile.sso, meanwhile.codes], ['fallback', true, []])
    again.instead = () => false
    assert.equal(await load(one, options(hq)), undefined)
    await comes(one, 'it is confirmed', ({ freshness }) => freshness === 'fresh')
  })

  test('says that it has expired', async (t) => {
    const [context, hq] = [await fresh(t), await open(t, slices.expired)]
    const one = await tab(context, options(hq))
    assert.equal((await state(one)).freshness, 'stale')
    await load(one, options())
    const { freshness, decided, persisted } = await state(one)
    assert.deepEqual([freshness, decided, persisted], ['stale', 'stale', true])
  })

  test('is never taken back, in the next page neither', async (t) => {
    const [context, hq] = [await fresh(t), await open(t, slices.changed)]
    const one = await tab(context, options(hq))
    hq.slice = slices.later
    assert.equal(await load(one, options(hq)), undefined)
    const now = await comes(one, 'it is refused', ({ codes }) => codes.length > 0)
    assert.deepEqual([now.revision, now.sso, now.freshness], [slices.changed.revision, true, 'fallback'])
    assert.deepEqual(now.codes, ['older_revision'])
    // What was seen counts, where what is answered from is older.
    await stored(one, { head: text(slices.first), seen: text(slices.changed) })
    await load(one, options(hq))
    const older = await comes(one, 'it is refused', ({ codes }) => codes.length > 0)
    assert.deepEqual([older.revision, older.codes], [slices.first.revision, ['older_revision']])
    hq.slice = slices.next
    await reaches(one, slices.next)
  })

  test('is not written over by a tab that is behind', async (t) => {
    const [context, hq, behind] = [await fresh(t), await open(t, slices.changed), await open(t, slices.first)]
    const late = await tab(context, options(behind, { share: false }))
    const one = await tab(context, options(hq, { share: false }))
    await hears(late)
    await reaches(one, slices.changed)
    await comes(one, 'it has kept it', ({ persisted }) => persisted)
    behind.slice = slices.later
    behind.tell('slice', { etag: null })
    await reaches(late, slices.later)
    await comes(late, 'it has kept it', ({ persisted }) => persisted)
    assert.equal((await stored(one)).head, text(slices.changed))
  })

  test('may be anything', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const one = await tab(context, options(hq))
    const anything = [5, null, 'text', {}, { head: 5 }, { head: [1, 2], seen: {} }, { head: '' }, { head: 'no slice' }]
    for (const entry of [
      ...anything,
      { head: text(slices.other) },
      { head: text(slices.changed.tampered()), seen: 'x' },
    ]) {
      await stored(one, entry)
      const failed = await load(one, options())
      assert.equal(failed?.name, 'SnapshotError', JSON.stringify(entry).slice(0, 50))
      await stored(one, entry)
      assert.equal(await load(one, options(hq)), undefined)
      const { freshness, persisted, codes } = await state(one)
      assert.deepEqual([freshness, persisted, codes], ['fresh', true, []])
      assert.equal((await stored(one)).head, text(slices.first))
    }
  })

  test('gives way to a newer one that comes with the page, and not to an older', async (t) => {
    const context = await fresh(t)
    const given = (slice) => options(undefined, { slice: text(slice) })
    const one = await tab(context, given(slices.later))
    const began = await state(one)
    assert.deepEqual([began.revision, began.persisted, began.codes], [slices.later.revision, true, []])
    await load(one, given(slices.changed))
    await load(one, given(slices.first))
    assert.equal((await state(one)).revision, slices.changed.revision)
    // Of the same revision the one that lasts longer.
    await load(one, options())
    assert.equal((await state(one)).revision, slices.changed.revision)
    await load(one, given(slices.changed.tampered()))
    assert.equal((await state(one)).revision, slices.changed.revision)
    await stored(one, { head: text(slices.first) })
    await load(one, given(slices.renewed))
    assert.equal((await stored(one)).head, text(slices.renewed))
    await load(one, given(slices.first))
    assert.equal((await stored(one)).head, text(slices.renewed))
  })

  test('is nothing where that is not wanted', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const one = await tab(context, options(hq, { keep: false }))
    const { persisted, codes } = await state(one)
    assert.deepEqual([persisted, codes], [false, []])
    assert.deepEqual(await one.evaluate(async () => (await indexedDB.databases()).length), 0)
  })
})

describe('a page that asks', () => {
  test('asks for leave once, and not before every question', { timeout: 60_000 }, async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const one = await tab(context, options(hq, { pollMs: 20 }))
    await until('it has asked often', () => hq.asked >= 10)
    const { codes } = await state(one)
    assert.deepEqual(codes, [])
    assert.equal(hq.preflights.filter((path) => path.endsWith('/slice')).length, 1, hq.preflights.join())
  })
})

describe('a browser that does not keep anything', () => {
  const wrong = {
    'because it throws': () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('denied', 'SecurityError')
      }
    },
    'because it fails': () => {
      IDBFactory.prototype.open = () => {
        const request = { error: new DOMException('denied', 'UnknownError') }
        queueMicrotask(() => request.onerror())
        return request
      }
    },
    'because it never answers': () => {
      IDBFactory.prototype.open = () => ({})
    },
    'because it has another database of that name': () => {
      const { open } = IDBFactory.prototype
      IDBFactory.prototype.open = function (name) {
        return open.call(this, name, 7)
      }
      IDBDatabase.prototype.createObjectStore = () => {}
    },
    'because it is full': () => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError')
      }
    },
    'because it finds out later that it is full': () => {
      const { put } = IDBObjectStore.prototype
      IDBObjectStore.prototype.put = function (...entry) {
        put.apply(this, entry)
        this.transaction.abort()
      }
    },
  }
  for (const [what, script] of Object.entries(wrong)) {
    test(`${what} is a fault, and the engine answers`, async (t) => {
      const [context, hq] = [await fresh(t, script), await open(t)]
      const one = await tab(context, options(hq))
      assert.equal(one.failed, undefined)
      const now = await comes(one, 'it is told', ({ codes }) => codes.includes('not_persisted'))
      assert.deepEqual([now.freshness, now.persisted, now.codes], ['fresh', false, ['not_persisted']])
      assert.match(now.why, /\S/)
      await hears(one)
      hq.put(slices.changed)
      assert.equal((await reaches(one, slices.changed)).sso, true)
      // What came with the page is not kept either.
      assert.equal(await load(one, options(undefined, { slice: text(slices.first) })), undefined)
      const given = await state(one)
      assert.deepEqual([given.freshness, given.persisted, given.codes], ['fallback', false, ['not_persisted']])
    })
  }

  test('because it has no database is none', async (t) => {
    const script = () => Object.defineProperty(globalThis, 'indexedDB', { value: undefined })
    const [context, hq] = [await fresh(t, script), await open(t)]
    const one = await tab(context, options(hq))
    const { persisted, codes, freshness } = await state(one)
    assert.deepEqual([persisted, codes, freshness], [false, [], 'fresh'])
  })
})

describe('tabs', () => {
  test('share one connection, and what came over it', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const first = await tab(context, options(hq))
    await hears(first)
    const second = await tab(context, options(hq))
    await hears(second)
    assert.deepEqual([hq.listeners, hq.heard], [1, 1])
    const { asked } = hq
    hq.put(slices.changed)
    await Promise.all([reaches(first, slices.changed), reaches(second, slices.changed)])
    assert.deepEqual([hq.asked - asked, hq.heard], [1, 1])

    // Whether HQ is heard, both know.
    hq.instead = ({ response }) => response.destroy() && true
    hq.hangUp()
    const deaf = async (tab) => comes(tab, 'it is noticed', ({ hearing }) => !hearing.told)
    await Promise.all([deaf(first), deaf(second)])
    hq.instead = () => false
    await Promise.all([hears(first), hears(second)])
    assert.equal(hq.listeners, 1)

    await first.close()
    await until('the second listens', () => hq.listeners === 1 && hq.heard > 2)
    hq.put(slices.next)
    await reaches(second, slices.next)
    await second.evaluate(async () => globalThis.engine.close())
    await until('nobody listens', () => hq.listeners === 0)
  })

  test('of two engines in one page share it as well', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const one = await tab(context, options(hq))
    await one.evaluate(async (options) => {
      const { Engine } = await import('/dist/index.js')
      globalThis.another = await Engine.follow(options)
    }, options(hq))
    await hears(one)
    await until('the other hears', async () => one.evaluate(() => globalThis.another.hearing.told))
    assert.equal(hq.listeners, 1)
    await one.evaluate(async () => globalThis.engine.close())
    await until('the other listens', () => hq.heard === 2 && hq.listeners === 1)
    hq.put(slices.changed)
    await one.evaluate(async (revision) => globalThis.another.waitFor(revision, 60_000), slices.changed.revision)
  })

  test('leave it to the next one where they are not let in', { timeout: 60_000 }, async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const isStale = ({ headers }) => headers.authorization === 'Bearer a-stale-token'
    hq.instead = ({ request, response }) => isStale(request) && Boolean(response.writeHead(401).end())
    // It comes first, and begins with a slice that came with its page.
    const stale = await tab(context, options(hq, { token: 'a-stale-token', slice: text(slices.first) }))
    await comes(stale, 'it is refused', ({ hearing }) => hearing.why !== 'nobody has connected yet')
    const other = await tab(context, options(hq))
    await Promise.all([stale, other].map(hears))
    assert.equal(hq.listeners, 1)
    hq.put(slices.changed)
    // One hears of it, and both have it.
    await Promise.all([stale, other].map(async (tab) => reaches(tab, slices.changed)))
  })

  test('out of sight let go for those that are looked at, and catch up', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const first = await tab(context, options(hq))
    await hears(first)
    await show(first, 'hidden')
    await show(first, 'visible')
    await show(first, 'hidden')
    await until('nobody listens', () => hq.listeners === 0)
    const { hearing } = await comes(first, 'it says so', ({ hearing }) => !hearing.told)
    assert.equal(hearing.why, 'the page is out of sight')
    const second = await tab(context, options(hq))
    await hears(second)
    hq.put(slices.changed)
    // The one out of sight is told by the other.
    await Promise.all([reaches(first, slices.changed), reaches(second, slices.changed)])
    assert.equal(hq.heard, 2)
    await second.close()
    await until('nobody listens', () => hq.listeners === 0)
    hq.slice = slices.next
    await show(first, 'visible')
    await reaches(first, slices.next)
    await until('it listens', () => hq.listeners === 1)
    await hears(first)
  })

  test('that are all out of sight hear nothing, and say so', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    // Nobody finds out by waiting.
    const patient = options(hq, { silenceMs: 600_000 })
    const first = await tab(context, patient)
    await hears(first)
    const others = [await tab(context, patient), await tab(context, patient)]
    await Promise.all(others.map(hears))
    const deaf = async (tab) => comes(tab, 'it says so', ({ hearing }) => !hearing.told && hearing.why !== '')
    // Those who do not listen themselves go first, and go on to be told.
    await Promise.all(others.map(async (other) => show(other, 'hidden')))
    await until('they have let go', async () => {
      const { pending } = await first.evaluate(async () => navigator.locks.query())
      return pending.length === 0
    })
    await Promise.all(others.map(hears))
    await show(first, 'hidden')
    await until('nobody listens', () => hq.listeners === 0)
    await Promise.all([first, ...others].map(deaf))
    // The next is the other way round.
    await show(first, 'visible')
    await Promise.all([first, ...others].map(hears))
    await show(others[0], 'visible')
    await show(first, 'hidden')
    await until('another one listens', () => hq.heard === 3 && hq.listeners === 1)
    await show(others[0], 'hidden')
    await until('nobody listens', () => hq.listeners === 0)
    await Promise.all([first, ...others].map(deaf))
    // One that closes its engine says so too.
    await show(others[1], 'visible')
    await Promise.all([first, ...others].map(hears))
    await others[1].evaluate(async () => globalThis.engine.close())
    await Promise.all([first, others[0]].map(deaf))
  })

  test('out of sight notice that the one that listened is gone without a word', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const patient = options(hq, { silenceMs: 2_000 })
    const first = await tab(context, patient)
    await show(first, 'hidden')
    await until('nobody listens', () => hq.listeners === 0)
    const second = await tab(context, patient)
    await Promise.all([hears(first), hears(second)])
    await second.close()
    await comes(first, 'it is noticed', ({ hearing }) => hearing.why === 'the tab that listened does so no more')
  })

  for (const who of ['one that listens not itself', 'both']) {
    test(`are asked to wait for what leaves the slice as it was: ${who}`, async (t) => {
      const [context, hq] = [await fresh(t), await open(t)]
      // Nobody asks for any other reason.
      const patient = options(hq, { silenceMs: 600_000, keep: false })
      const first = await tab(context, patient)
      await hears(first)
      const second = await tab(context, patient)
      await hears(second)
      const { asked } = hq
      const { revision } = slices.later
      const tabs = who === 'both' ? [first, second] : [second]
      const waiting = tabs.map(async (tab) =>
        // The next question that nobody has cause for would come after a minute.
        tab.evaluate(async (revision) => globalThis.engine.waitFor(revision, 30_000), revision),
      )
      await until('HQ has said that there is nothing', () => hq.asked === asked + tabs.length)
      hq.slice = slices.later
      hq.tell('heartbeat')
      assert.deepEqual(
        await Promise.all(waiting),
        tabs.map(() => revision),
      )
      await Promise.all([first, second].map(async (tab) => reaches(tab, slices.later)))
      // What one asks, the others need not; and none has the others ask again and again.
      assert.ok(hq.asked <= asked + 2 * tabs.length, `it was asked ${hq.asked - asked} times`)
      assert.deepEqual([hq.heard, hq.listeners], [1, 1])
    })
  }

  test('that begin out of sight listen once they are looked at', async (t) => {
    const script = () => Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })
    const [context, hq] = [await fresh(t, script), await open(t)]
    const one = await tab(context, options(hq))
    assert.deepEqual((await state(one)).hearing, { told: false, why: 'nobody has connected yet' })
    assert.equal(hq.heard, 0)
    await show(one, 'visible')
    await hears(one)
  })

  const lacking = {
    'locks and channels': () => {
      Object.defineProperty(navigator, 'locks', { value: undefined })
      Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined })
    },
    locks: () => Object.defineProperty(navigator, 'locks', { value: undefined }),
    channels: () => Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined }),
    'locks, which it denies': () => {
      LockManager.prototype.request = async () => {
        throw new DOMException('denied', 'SecurityError')
      }
    },
  }
  for (const [what, script] of Object.entries(lacking)) {
    test(`listen each by itself without ${what}`, async (t) => {
      const [context, hq] = [await fresh(t, script), await open(t)]
      const patient = options(hq, { silenceMs: 600_000 })
      const [first, second] = [await tab(context, patient), await tab(context, patient)]
      await Promise.all([hears(first), hears(second)])
      assert.equal(hq.listeners, 2)
      hq.put(slices.changed)
      await Promise.all([reaches(first, slices.changed), reaches(second, slices.changed)])
      assert.ok(hq.asked <= 4, `it was asked ${hq.asked} times`)
      await show(first, 'hidden')
      await until('one listens', () => hq.listeners === 1)
      // What another one hears, this one is told, where it can be.
      const isTold = !what.includes('channels')
      await comes(first, 'it knows', ({ hearing }) => hearing.told === isTold)
      await show(first, 'visible')
      await hears(first)
      await until('both listen', () => hq.listeners === 2)
    })
  }

  test('are not taken back by an answer that another tab waited for longer', async (t) => {
    const [context, hq] = [await fresh(t), await open(t, slices.changed)]
    const one = await tab(context, options(hq))
    await hears(one)
    await one.evaluate(() => {
      globalThis.codes = []
      engine.on('fault', ({ code }) => codes.push(code))
    })
    /** Tells of an older slice, and gives the faults that are seen until the tab has asked by itself. */
    const told = async (asked) => {
      const before = hq.asked
      await one.evaluate(
        ([name, etag, older, asked]) => {
          const document = new TextEncoder().encode(older)
          new BroadcastChannel(name).postMessage({ etag, document, isWhole: true, asked })
        },
        [`leasehold ${hq.url} ${STREAM} ${TENANT}`, slices.first.etag, text(slices.first), asked],
      )
      await until('it asks by itself', () => hq.asked > before)
      return one.evaluate(() => codes)
    }
    assert.deepEqual(await told(Date.now() - 5_000), [])
    // One that is said to be newer is looked at, and refused.
    assert.deepEqual(await told(Date.now() + 5_000), ['older_revision'])
    await reaches(one, slices.changed)
  })

  test('know that the one that listened is gone, also where the clock is put back', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const name = `leasehold ${hq.url} ${STREAM} ${TENANT}`
    const other = await context.newPage()
    await other.goto(`${site.url}/page`)
    await other.evaluate(
      async (name) =>
        new Promise((is) => {
          void navigator.locks.request(name, async () => new Promise(() => is()))
        }),
      name,
    )
    const one = await tab(context, options(hq, { silenceMs: 2_000 }))
    await other.evaluate((name) => new BroadcastChannel(name).postMessage({ hearing: { told: true } }), name)
    await hears(one)
    await one.evaluate((day) => {
      const own = Date.now
      Date.now = () => own() - day
    }, DAY)
    await comes(one, 'it is known', ({ hearing }) => !hearing.told)
    assert.equal((await state(one)).hearing.why, 'the tab that listened does so no more')
  })

  test('say why they hear nothing: refused, out of sight, closed', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    hq.instead = ({ response, pathname }) => pathname.endsWith('/events') && Boolean(response.writeHead(403).end())
    const one = await tab(context, options(hq))
    const says = async (why) =>
      comes(one, `it says ${why}`, ({ hearing }) => !hearing.told && hearing.why.includes(why))
    await says('403')
    await show(one, 'hidden')
    await says('out of sight')
    await show(one, 'visible')
    await says('403')
    assert.equal((await one.evaluate(async () => (await engine.close(), engine.hearing))).told, false)
  })

  test('heed nothing that others say on their channel', async (t) => {
    const [context, hq] = [await fresh(t), await open(t)]
    const one = await tab(context, options(hq))
    await hears(one)
    const nonsense = [null, 5, 'text', {}, { hearing: 5 }, { hearing: null }, { etag: 5, document: 5, isWhole: 5 }]
    await one.evaluate(
      async ([name, nonsense, older]) => {
        const channel = new BroadcastChannel(name)
        nonsense.forEach((data) => channel.postMessage(data))
        channel.postMessage({ etag: 'x', document: new Uint8Array(9), isWhole: true })
        channel.postMessage({ etag: 'x', document: new TextEncoder().encode(older), isWhole: false })
      },
      [`leasehold ${hq.url} ${STREAM} ${TENANT}`, nonsense, text(slices.expired)],
    )
    hq.put(slices.changed)
    assert.equal((await reaches(one, slices.changed)).hearing.told, true)
    await comes(one, 'it has forgotten it', ({ codes }) => codes.length === 0)
  })
})

test('what the browser keeps of answers by itself is not taken for an answer', async (t) => {
  const [context, hq] = [await fresh(t), await open(t)]
  const one = await tab(context, options(hq, { keep: false }))
  const before = await state(one)
  hq.slice = slices.renewed
  await load(one, options(hq, { keep: false }))
  const now = await state(one)
  assert.ok(now.expires_at > before.expires_at, `${now.expires_at} after ${before.expires_at}`)
})

test('the function of the window may be passed as `fetch`', async (t) => {
  const [context, hq] = [await fresh(t), await open(t)]
  const one = await context.newPage()
  await one.goto(`${site.url}/page`)
  const failures = await one.evaluate(async (options) => {
    const { Engine, init } = await import('/dist/index.js')
    await init()
    return (await Engine.follow({ ...options, fetch: globalThis.fetch })).health().failures
  }, options(hq))
  assert.equal(failures, 0)
})

test('a network that is back is used at once', async (t) => {
  const [context, hq] = [await fresh(t), await FakeSlices.open(slices.first)]
  const patient = { pauseMinMs: 600_000, pauseMaxMs: 600_000, backoffMinMs: 600_000, backoffMaxMs: 600_000 }
  const one = await tab(context, options(hq, patient))
  await hears(one)
  await hq.close()
  await comes(one, 'it is noticed', ({ hearing }) => !hearing.told)
  const again = await FakeSlices.open(slices.changed, hq.port)
  t.after(async () => again.close())
  await one.evaluate(() => globalThis.dispatchEvent(new Event('online')))
  await Promise.all([hears(one), reaches(one, slices.changed)])
})
