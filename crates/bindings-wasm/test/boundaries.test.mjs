// What begins and ends by itself: engines say so when it happens, whatever clocks and timers do.

import assert from 'node:assert/strict'
import { afterEach, before, beforeEach, mock, test } from 'node:test'
import { ArgumentError, Engine, init } from 'leasehold-web/full'
import { feature, MORNING, NOON, set, small } from './support/small.mjs'

/** A clock that is set, and timers that are over when that is said. */
const clock = {
  now: MORNING,
  timers: new Map(),
  /** Time passes, and timers are over at their time. */
  pass(ms) {
    const end = clock.now + ms
    for (;;) {
      const [id, next] = [...clock.timers].sort(([, one], [, other]) => one.at - other.at)[0] ?? []
      if (next === undefined || next.at > end) {
        clock.now = end
        return
      }
      clock.timers.delete(id)
      clock.now = Math.max(clock.now, next.at)
      next.call()
    }
  },
  /** Somebody sets the clock, or the computer has slept: timers go on as if nothing had been. */
  jump(to) {
    const by = to - clock.now
    clock.now = to
    clock.timers.forEach((timer) => (timer.at += by))
  },
}

before(async () => init())
beforeEach(() => {
  clock.now = MORNING
  clock.timers.clear()
  mock.method(Date, 'now', () => clock.now)
  mock.method(globalThis, 'setTimeout', (call, ms) => {
    const id = Symbol('timer')
    clock.timers.set(id, { call, at: clock.now + ms })
    return id
  })
  mock.method(globalThis, 'clearTimeout', (id) => clock.timers.delete(id))
})
afterEach(() => {
  mock.restoreAll()
  delete globalThis.document
})

const make = (of, stamp = {}) => Engine.fromDefinitions(small(of), { revision: 1, ...stamp })

/** How often it was called. */
function counting(engine) {
  const count = { times: 0 }
  count.stop = engine.subscribe(() => (count.times += 1))
  return count
}

test('a trial that ends at noon hides its button at noon', () => {
  const engine = make()
  const tenant = engine.tenant('a')
  const [heard, version] = [counting(engine), engine.version]
  for (let times = 0; times < 5; times += 1) {
    // From its table as well.
    assert.equal(tenant.isEnabled('pdf'), true)
  }
  clock.pass(NOON - 1 - clock.now)
  assert.deepEqual([heard.times, engine.version, tenant.isEnabled('pdf')], [0, version, true])
  clock.pass(2)
  assert.deepEqual([heard.times, engine.version, tenant.isEnabled('pdf')], [1, version + 1, false])
  clock.pass(3_600_000)
  assert.deepEqual([heard.times, engine.version], [1, version + 1])
})

test('what ends between a look at the version and listening is another version', () => {
  const engine = make()
  const { version } = engine
  assert.equal(engine.tenant('a').isEnabled('pdf'), true)
  clock.pass(NOON - clock.now)
  engine.subscribe(() => undefined)
  // Whoever listens looks once more, as React does.
  assert.deepEqual([engine.version, engine.tenant('a').isEnabled('pdf')], [version + 1, false])
})

test('who asks in the callback hears what is true by then', () => {
  const engine = make()
  const answers = []
  engine.subscribe(() => answers.push([clock.now >= NOON, engine.tenant('a').isEnabled('pdf')]))
  clock.pass(20_000)
  assert.deepEqual(answers, [[true, false]])
})

test('what begins later is waited for as well: all that is to come, one after another', () => {
  const at = (seconds) => new Date(NOON + seconds * 1000).toISOString()
  const chat = { ...set('chat', false), from: at(60), until: at(7200) }
  const engine = make({ overrides: { chat } })
  const [heard, seen] = [counting(engine), []]
  engine.subscribe(() => seen.push([(clock.now - NOON) / 1000, engine.tenant('a').isEnabled('chat')]))
  clock.pass(86_400_000)
  const rounded = seen.map(([seconds, on]) => [Math.floor(seconds), on])
  assert.deepEqual(
    [heard.times, rounded],
    [
      3,
      [
        [0, true],
        [60, false],
        [7200, true],
      ],
    ],
  )
})

test('the version tells those who do not listen, too', () => {
  const engine = make()
  const { version } = engine
  clock.now = NOON - 1
  assert.equal(engine.version, version)
  clock.now = NOON
  assert.equal(engine.version, version + 1)
  assert.equal(engine.version, version + 1)
  clock.now = MORNING
  assert.equal(engine.version, version + 2)
  assert.equal(clock.timers.size, 0)
})

test('who compares versions first, and hears of it later, hears of it', async () => {
  const engine = make()
  const [heard, version] = [counting(engine), engine.version]
  // Something is asked before the timer is over.
  clock.now = NOON
  assert.equal(engine.version, version + 1)
  assert.equal(heard.times, 0, 'not in the middle of a question')
  await Promise.resolve()
  assert.deepEqual([heard.times, engine.version], [1, version + 1])
  clock.pass(60_000)
  assert.deepEqual([heard.times, engine.version], [1, version + 1])
})

test('a clock that is put forward and back', () => {
  const engine = make()
  const tenant = engine.tenant('a')
  const heard = counting(engine)
  const on = () => tenant.isEnabled('pdf')
  clock.jump(NOON + 3_600_000)
  assert.equal(on(), false, 'answers are about the time that it is')
  clock.pass(15_000)
  assert.equal(heard.times, 1)
  clock.jump(MORNING - 86_400_000)
  assert.equal(on(), true)
  clock.pass(15_001)
  assert.equal(heard.times, 2)
  clock.jump(NOON)
  clock.pass(15_001)
  assert.deepEqual([heard.times, on()], [3, false])
  // Within what holds, nothing is other than it was.
  clock.jump(NOON + 5)
  clock.pass(60_000)
  assert.equal(heard.times, 3)
})

test('a computer that sleeps over noon, and a page that is looked at again', () => {
  globalThis.document = new EventTarget()
  const engine = make()
  const heard = counting(engine)
  clock.jump(NOON + 3_600_000)
  assert.equal(heard.times, 0)
  document.dispatchEvent(new Event('visibilitychange'))
  assert.equal(heard.times, 1)
  document.dispatchEvent(new Event('visibilitychange'))
  assert.equal(heard.times, 1, 'answers are what they were')
  heard.stop()
  clock.jump(MORNING)
  document.dispatchEvent(new Event('visibilitychange'))
  assert.equal(heard.times, 1)
})

test('a snapshot that expires, and is no longer expired', () => {
  const labs = feature({ kind: 'switch', default: true, staleness: 'off' })
  const engine = make({ more: { labs } }, { expiresAt: MORNING + 5_000 })
  const heard = counting(engine)
  const told = () => [engine.tenant('b').isEnabled('labs'), engine.tenant('b').decide('chat').freshness]
  assert.deepEqual(told(), [true, 'fresh'])
  clock.pass(5_001)
  assert.deepEqual([heard.times, told()], [1, [false, 'stale']])
  clock.jump(MORNING)
  clock.pass(4_000)
  clock.jump(MORNING)
  clock.pass(15_001)
  assert.ok(heard.times >= 2)
  // Without a feature that goes off, freshness is an answer all the same.
  const plain = make({}, { expiresAt: clock.now + 5_000 })
  const more = counting(plain)
  clock.pass(5_001)
  assert.equal(more.times, 1)
  clock.jump(clock.now - 5_002)
  assert.equal(plain.version, 2)
})

test('a swap is told, and what begins and ends from then on', () => {
  const engine = make()
  const [heard, { version }] = [counting(engine), engine]
  engine.swap(make({ without: ['calls'] }).snapshot())
  assert.deepEqual([heard.times, engine.version], [1, version + 1])
  clock.pass(20_000)
  assert.deepEqual([heard.times, engine.version], [2, version + 2])
  // Nobody listens: it is found out when somebody asks.
  heard.stop()
  engine.swap(make().snapshot())
  assert.equal(clock.timers.size, 0)
  assert.equal(engine.version, version + 3)
})

test('more tenants than are looked at one by one: answers may be other ones at every look', () => {
  const { tenants, ...others } = small()
  const many = Array.from({ length: 101 }, (_, number) => [`t${number}`, tenants.b])
  const engine = Engine.fromDefinitions({ ...others, tenants: { ...Object.fromEntries(many), z: tenants.a } })
  const heard = counting(engine)
  assert.equal(engine.tenant('z').isEnabled('pdf'), true)
  clock.pass(15_001)
  assert.deepEqual([heard.times, engine.tenant('z').isEnabled('pdf')], [1, false])
})

test('who has left hears nothing, and nothing waits for nobody', async () => {
  const engine = make()
  const heard = counting(engine)
  assert.equal(clock.timers.size, 1)
  heard.stop()
  heard.stop()
  assert.equal(clock.timers.size, 0)
  clock.pass(20_000)
  assert.equal(heard.times, 0)
  const again = counting(engine)
  assert.equal(clock.timers.size, 1)
  await engine.close()
  assert.equal(clock.timers.size, 0)
  const late = counting(engine)
  late.stop()
  clock.pass(86_400_000)
  assert.deepEqual([again.times, late.times, clock.timers.size], [0, 0, 0])
  assert.equal(typeof engine.version, 'number')
})

test('who subscribes twice leaves twice', () => {
  const engine = make()
  let times = 0
  const listener = () => (times += 1)
  const [first, second] = [engine.subscribe(listener), engine.subscribe(listener)]
  engine.swap(make().snapshot())
  assert.equal(times, 2)
  first()
  engine.swap(make().snapshot())
  assert.equal(times, 3)
  second()
  engine.swap(make().snapshot())
  assert.equal(times, 3)
})

test('listeners may leave, come, swap and close while they are told', async () => {
  const engine = make()
  const heard = []
  const leaves = [
    engine.subscribe(() => {
      heard.push('first')
      leaves[1]()
      if (heard.length === 1) {
        engine.subscribe(() => heard.push('new'))
      }
    }),
    engine.subscribe(() => heard.push('second')),
    engine.subscribe(() => {
      heard.push('third')
      void engine.close()
    }),
    engine.subscribe(() => heard.push('fourth')),
  ]
  engine.swap(make().snapshot())
  assert.deepEqual(heard, ['first', 'third'])
})

test('a mistake of a listener keeps nobody else from hearing, and is told', () => {
  const engine = make()
  const tasks = mock.method(globalThis, 'queueMicrotask', () => {})
  engine.subscribe(() => {
    throw new Error('theirs')
  })
  const heard = counting(engine)
  clock.pass(20_000)
  assert.equal(heard.times, 1)
  const [{ arguments: given }] = tasks.mock.calls
  assert.throws(given[0], /theirs/)
})

test('listeners that are none', () => {
  const engine = make()
  for (const listener of [undefined, null, 5, 'text', {}, [], 5n, Symbol('s')]) {
    assert.throws(
      () => engine.subscribe(listener),
      (error) => error instanceof ArgumentError && error.code === 'invalid_argument',
    )
  }
  assert.equal(clock.timers.size, 0)
})
