// The hooks of React: in a page (jsdom), and rendered by a server with either engine.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { text as read } from 'node:stream/consumers'
import { afterEach, before, beforeEach, describe, mock, test } from 'node:test'
import { JSDOM } from 'jsdom'
import {
  act,
  Component,
  createElement as h,
  memo,
  startTransition,
  StrictMode,
  useEffect,
  useLayoutEffect,
  useMemo,
  useState,
  version,
} from 'react'
import { version as versionOfDom } from 'react-dom'
import { hydrateRoot, createRoot } from 'react-dom/client'
import { renderToPipeableStream, renderToString } from 'react-dom/server'
import { Engine, init } from '../dist/full.js'
import {
  Entitled,
  LeaseholdProvider,
  useDecision,
  useFeature,
  useLimit,
  useTenant,
  useTransitions,
  useValue,
} from '../dist/react.js'
import { Desk } from '../../bindings-node/test/support/desk.mjs'
import { feature, MORNING, NOON, set, small } from './support/small.mjs'

globalThis.IS_REACT_ACT_ENVIRONMENT = true

let page
let errors
before(async () => init())
beforeEach(() => {
  page = new JSDOM('<div id="root"></div>', { url: 'http://127.0.0.1/' }).window
  globalThis.window = page
  globalThis.document = page.document
  errors = []
  mock.method(console, 'error', (...told) => errors.push(told.map(String).join(' ')))
})
afterEach(() => {
  mock.reset()
  mock.timers.reset()
  page.close()
  delete globalThis.window
  delete globalThis.document
})

const make = (of = {}, revision = 1) => Engine.fromDefinitions(small(of), { revision })
const at = (now) => mock.timers.enable({ apis: ['Date', 'setTimeout'], now })
const element = () => page.document.getElementById('root')
const text = () => element().textContent

function Features({ keys = ['pdf', 'chat'] }) {
  return keys.map((key) => h(Switch, { key, feature: key }))
}
const Switch = ({ feature }) => `${feature} ${useFeature(feature) ? 'on' : 'off'};`

/** Puts an app into the page, until `done`. */
async function mounted(tree, options) {
  const root = createRoot(element(), options)
  await act(async () => root.render(tree))
  return {
    show: async (next) => act(async () => root.render(next)),
    done: async () => act(async () => root.unmount()),
  }
}

const inSight = () =>
  [...element().childNodes]
    .filter((node) => node.style?.display !== 'none')
    .map((node) => node.textContent)
    .join('')

/** What an app shows, once. */
async function shown(tree) {
  const { done } = await mounted(tree)
  const said = text()
  await done()
  return said
}

class Boundary extends Component {
  state = {}
  static getDerivedStateFromError = (error) => ({ error })
  render() {
    return this.state.error === undefined ? this.props.children : `broke: ${this.state.error.message}`
  }
}

test('React is the one that is meant', () => {
  const meant = process.env.LEASEHOLD_REACT ?? '19'
  assert.deepEqual(
    [version, versionOfDom].map((version) => version.split('.')[0]),
    [meant, meant],
  )
})

describe('until there is an engine', () => {
  test('nothing or the fallback is shown, and children are not rendered', async () => {
    let rendered = 0
    const Child = () => ((rendered += 1), 'child')
    for (const [fallback, expected] of [
      [undefined, ''],
      ['wait', 'wait'],
    ]) {
      for (const engine of [undefined, null, new Promise(() => {})]) {
        assert.equal(await shown(h(LeaseholdProvider, { engine, fallback }, h(Child))), expected)
      }
    }
    assert.equal(rendered, 0)
  })

  test('a promise: the first that children see are answers', async () => {
    at(MORNING)
    const seen = []
    const Child = () => {
      seen.push(useFeature('pdf'))
      return 'there'
    }
    const { promise, resolve } = withResolvers()
    const { done } = await mounted(h(LeaseholdProvider, { engine: promise, tenant: 'a', fallback: 'wait' }, h(Child)))
    assert.deepEqual([text(), seen], ['wait', []])
    await act(async () => resolve(make()))
    assert.deepEqual([text(), new Set(seen)], ['there', new Set([true])])
    await done()
  })

  test('an engine that does not come', async () => {
    const why = new Error('no network')
    const failing = () => {
      const engine = Promise.reject(why)
      engine.catch(() => {})
      return engine
    }
    const failed = (error) => `sorry: ${error.message}`
    assert.equal(await shown(h(LeaseholdProvider, { engine: failing(), failed }, 'child')), 'sorry: no network')
    const provider = h(LeaseholdProvider, { engine: failing() }, 'child')
    assert.equal(await shown(h(Boundary, null, provider)), 'broke: no network')
    // Neither is a tenant that is not there a reason to show anything else.
    const unknown = h(LeaseholdProvider, { engine: make(), tenant: 'c', failed }, 'child')
    assert.match(await shown(unknown), /^sorry: tenant `c` is not known/)
    const closed = make()
    await closed.close()
    assert.match(
      await shown(h(LeaseholdProvider, { engine: closed, tenant: 'a', failed }, 'child')),
      /^sorry: .*closed/,
    )
  })

  test('another engine after one that failed, and a promise after an engine', async () => {
    at(NOON)
    const failing = Promise.reject(new Error('no network'))
    failing.catch(() => {})
    const app = (engine, tenant) =>
      h(LeaseholdProvider, { engine, tenant, failed: () => 'sorry', fallback: 'wait' }, h('p', null, h(Features)))
    const { show, done } = await mounted(app(failing))
    assert.equal(text(), 'sorry')
    await show(app(make(), 'a'))
    assert.equal(text(), 'pdf off;chat on;')
    const { promise, resolve } = withResolvers()
    await show(app(promise, 'b'))
    // Nothing of the last tenant's is in sight: it is hidden, or gone.
    assert.equal(inSight(), 'wait')
    await act(async () => resolve(make({ overrides: {} })))
    assert.equal(inSight(), 'pdf off;chat on;')
    await done()
  })
})

function withResolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

describe('hooks', () => {
  test('answer as the tenant does', async () => {
    at(MORNING)
    const engine = make()
    const tenant = engine.tenant('a')
    let seen
    const Child = () => {
      seen = {
        tenant: useTenant().id,
        feature: useFeature('pdf'),
        read: useFeature('pdf', 'read'),
        decision: useDecision('vans'),
        value: useValue('theme'),
        one: useLimit('seats', 4),
        two: useLimit('seats', 4, 2),
        moves: useTransitions('order', 'ready', { inputs: { due: 0 }, roles: ['driver'] }),
        blocked: useTransitions('order', 'ready'),
      }
      return null
    }
    await shown(h(LeaseholdProvider, { engine, tenant: 'a' }, h(Child)))
    assert.deepEqual(seen, {
      tenant: 'a',
      feature: true,
      read: true,
      decision: tenant.decide('vans'),
      value: { accent: 'teal' },
      one: tenant.checkLimit('seats', 4, 1),
      two: tenant.checkLimit('seats', 4, 2),
      moves: tenant.machine('order').transitions('ready', { inputs: { due: 0 }, roles: ['driver'] }),
      blocked: tenant.machine('order').transitions('ready'),
    })
    assert.deepEqual([seen.one.outcome, seen.two.outcome], ['allow', 'deny'])
    assert.deepEqual(
      [seen.moves, seen.blocked].map((moves) => moves.map(({ state }) => state)),
      [
        ['enabled', 'enabled'],
        ['enabled', 'blocked'],
      ],
    )
  })

  test('the tenant of a slice need not be named', async () => {
    const { tenants, ...others } = small()
    const engine = Engine.fromDefinitions({ ...others, tenants: { b: tenants.b } })
    assert.equal(await shown(h(LeaseholdProvider, { engine }, h(Features))), 'pdf off;chat on;')
  })

  test('Entitled shows its children or the fallback, for a feature of any kind', async () => {
    at(MORNING)
    const engine = make()
    const entitled = (feature) => h(Entitled, { feature, fallback: 'upgrade' }, 'open')
    for (const [feature, tenant, expected] of [
      ['pdf', 'a', 'open'],
      ['pdf', 'b', 'upgrade'],
      ['vans', 'a', 'open'],
      ['vans', 'b', 'upgrade'],
      ['theme', 'b', 'open'],
    ]) {
      assert.equal(await shown(h(LeaseholdProvider, { engine, tenant }, entitled(feature))), expected, feature)
    }
    assert.equal(
      await shown(h(LeaseholdProvider, { engine, tenant: 'b' }, h(Entitled, { feature: 'pdf' }, 'open'))),
      '',
    )
  })

  test('outside of a provider, they say so', async () => {
    for (const ask of [
      useTenant,
      () => useFeature('pdf'),
      () => useLimit('seats', 1),
      () => useTransitions('order', 'ready'),
    ]) {
      const Child = () => (ask(), null)
      assert.match(await shown(h(Boundary, null, h(Child))), /broke: nobody answers here: put `<LeaseholdProvider>`/)
    }
  })

  test('equal answers are the same objects, from one rendering and one revision to the next', async () => {
    at(MORNING)
    const engine = make()
    const seen = []
    const Child = () => {
      const [limit, moves, theme] = [
        useLimit('seats', 4),
        useTransitions('order', 'ready', { inputs: { due: 0 } }),
        useValue('theme'),
      ]
      seen.push([limit, moves, theme])
      return null
    }
    const app = (key) => h(LeaseholdProvider, { engine, tenant: 'a' }, h(Child, { [key]: key }))
    const { show, done } = await mounted(app('one'))
    await show(app('two'))
    await act(async () => engine.swap(make({}, 2).snapshot()))
    const [first, second, third] = [seen.at(0), seen.at(1), seen.at(-1)]
    assert.ok(seen.length >= 3)
    first.forEach((answer, which) => assert.equal(answer, second[which]))
    assert.deepEqual([third[0].revision, first[0].revision], [2, 1])
    assert.deepEqual([third[1] === first[1], third[2] === first[2]], [true, true])
    await done()
  })

  test('answers are shared, and nobody can change them', async () => {
    at(MORNING)
    let seen
    const Child = () => {
      seen = {
        decision: useDecision('vans'),
        value: useValue('theme'),
        limit: useLimit('seats', 4),
        noLimit: useLimit('no_limit', 4),
        moves: useTransitions('order', 'ready'),
        noMoves: useTransitions('no_workflow', 'ready'),
      }
      return JSON.stringify(seen)
    }
    const engine = make()
    const app = (key) => h(LeaseholdProvider, { engine, tenant: 'a' }, h(Child, { [key]: key }))
    const { show, done } = await mounted(app('one'))
    const before = text()
    const changes = {
      decision: ({ decision }) => (decision.enabled = false),
      value: ({ value }) => (value.accent = 'red'),
      limit: ({ limit }) => limit.thresholds_crossed.push(80),
      noLimit: ({ noLimit }) => (noLimit.outcome = 'allow'),
      moves: ({ moves }) => moves.reverse(),
      blockers: ({ moves }) => (moves.find(({ blockers }) => blockers?.length > 0).blockers[0].code = 'other'),
      noMoves: ({ noMoves }) => noMoves.push({}),
    }
    for (const [what, change] of Object.entries(changes)) {
      assert.throws(() => change(seen), TypeError, what)
    }
    await show(app('two'))
    assert.equal(text(), before)
    await done()
  })

  test('a handle on the tenant is another one when answers may be other ones', async () => {
    at(MORNING)
    const engine = make()
    const Child = memo(() => {
      const tenant = useTenant()
      return useMemo(() => `${tenant.id} ${tenant.isEnabled('pdf')}`, [tenant])
    })
    const { done } = await mounted(h(LeaseholdProvider, { engine, tenant: 'a' }, h(Child)))
    assert.equal(text(), 'a true')
    await act(async () => engine.swap(make({ overrides: { 1: set('pdf', false) } }, 2).snapshot()))
    assert.equal(text(), 'a false')
    await done()
  })
})

describe('answers that become other ones', () => {
  test('a new snapshot: whatever asks is rendered anew, and nothing else', async () => {
    at(MORNING)
    const engine = make()
    let others = 0
    const Other = () => ((others += 1), 'other;')
    const { done } = await mounted(h(LeaseholdProvider, { engine, tenant: 'a' }, h(Features), h(Other)))
    assert.equal(text(), 'pdf on;chat on;other;')
    await act(async () => engine.swap(make({ overrides: { 1: set('chat', false) } }, 2).snapshot()))
    assert.equal(text(), 'pdf on;chat off;other;')
    assert.equal(others, 1)
    await done()
  })

  test('a trial that ends at noon takes its button at noon', async () => {
    at(MORNING)
    const button = h(Entitled, { feature: 'pdf', fallback: 'upgrade' }, h('button', null, 'Print'))
    const { done } = await mounted(h(StrictMode, null, h(LeaseholdProvider, { engine: make(), tenant: 'a' }, button)))
    assert.equal(text(), 'Print')
    await act(async () => mock.timers.tick(NOON - MORNING - 1))
    assert.equal(text(), 'Print')
    await act(async () => mock.timers.tick(2))
    assert.equal(text(), 'upgrade')
    await done()
  })

  test('a boundary between the first rendering and the first look', async () => {
    at(NOON - 1)
    const Late = () => {
      // By the time that the page is there, it is noon.
      useEffect(() => mock.timers.setTime(NOON + 1), [])
      return null
    }
    const { done } = await mounted(h(LeaseholdProvider, { engine: make(), tenant: 'a' }, h(Late), h(Features)))
    assert.equal(text(), 'pdf off;chat on;')
    await done()
  })

  test('a clock that is set back', async () => {
    at(NOON)
    const { done } = await mounted(h(LeaseholdProvider, { engine: make(), tenant: 'a' }, h(Features)))
    assert.equal(text(), 'pdf off;chat on;')
    mock.timers.setTime(MORNING)
    await act(async () => page.document.dispatchEvent(new page.Event('visibilitychange')))
    assert.equal(text(), 'pdf on;chat on;')
    await done()
  })

  test('a window of a limit that starts again', async () => {
    at(Date.parse('2026-02-01T23:59:59Z'))
    const Child = () => useLimit('calls', 1).resets_at
    const { done } = await mounted(h(LeaseholdProvider, { engine: make(), tenant: 'a' }, h(Child)))
    assert.equal(text(), '2026-02-02T00:00:00Z')
    await act(async () => mock.timers.tick(1_001))
    assert.equal(text(), '2026-02-03T00:00:00Z')
    await done()
  })

  test('who leaves listens no more', async () => {
    const engine = make()
    const subscribed = mock.method(engine, 'subscribe')
    let listening = 0
    subscribed.mock.mockImplementation((listener) => {
      const leave = Engine.prototype.subscribe.call(engine, listener)
      listening += 1
      return () => ((listening -= 1), leave())
    })
    const { done } = await mounted(h(StrictMode, null, h(LeaseholdProvider, { engine, tenant: 'a' }, h(Features))))
    assert.equal(listening, 1)
    await done()
    assert.equal(listening, 0)
  })
})

test("a page that turns to another tenant, as the documentation says: nothing of one is shown as the other one's", async () => {
  at(MORNING)
  const { tenants, ...others } = small()
  const engines = []
  const follow = async (id) => {
    const engine = Engine.fromDefinitions({ ...others, tenants: { [id]: tenants[id] } })
    engines.push({ id, engine })
    return engine
  }
  function useEngine(tenant) {
    const [opened, setOpened] = useState({})
    useEffect(() => {
      const engine = follow(tenant)
      setOpened({ tenant, engine })
      return () => void engine.then((engine) => engine.close())
    }, [tenant])
    return opened.tenant === tenant ? opened.engine : undefined
  }
  const shown = []
  const Child = ({ tenant }) => {
    const said = `${tenant} is ${useTenant().id}, pdf ${useFeature('pdf')}`
    useLayoutEffect(() => void shown.push(said))
    return said
  }
  const App = ({ tenant }) => h(LeaseholdProvider, { engine: useEngine(tenant) }, h(Child, { tenant }))
  const app = (tenant) => h(StrictMode, null, h(App, { tenant }))
  const { show, done } = await mounted(app('a'))
  await show(app('b'))
  await done()
  assert.deepEqual([...new Set(shown)], ['a is a, pdf true', 'b is b, pdf false'])
  assert.ok(engines.length >= 2 && engines.every(({ engine }) => engine.closed))
  assert.deepEqual(errors, [])
})

describe('what is not there', () => {
  const Asks = () => {
    const limit = useLimit('no_limit', 3)
    const moves = useTransitions('no_workflow', 'x').length + useTransitions('order', 'no_stage').length
    const said = [
      useFeature('no_feature'),
      useFeature('seats'),
      useValue('no_value'),
      limit.outcome,
      limit.remaining,
      moves,
    ]
    return said.map(String).join(' ')
  }
  const EXPECTED = 'false false null deny 0 0'

  test('is off, and said once', async () => {
    const engine = make()
    const app = (of) => h(LeaseholdProvider, { engine, tenant: 'b' }, h(Asks, of))
    const { show, done } = await mounted(app({ one: 1 }))
    await show(app({ two: 2 }))
    await act(async () => engine.swap(make({}, 2).snapshot()))
    assert.equal(text(), EXPECTED)
    assert.equal(errors.length, 6, errors.join('\n'))
    errors.forEach((error) => assert.match(error, /^leasehold: .*(no_\w+|seats)/))
    await done()
  })

  test('a feature that HQ removes does not break the page', async () => {
    at(MORNING)
    const engine = make()
    const { done } = await mounted(h(LeaseholdProvider, { engine, tenant: 'a' }, h(Features)))
    await act(async () => engine.swap(make({ without: ['chat'] }, 2).snapshot()))
    assert.equal(text(), 'pdf on;chat off;')
    assert.match(errors.join(), /feature `chat` is not known/)
    await done()
  })

  test('is told to `onUnknown`, which may throw', async () => {
    const told = []
    const app = (onUnknown) =>
      h(Boundary, null, h(LeaseholdProvider, { engine: make(), tenant: 'b', onUnknown }, h(Asks)))
    assert.equal(await shown(app((error) => told.push(error.code))), EXPECTED)
    const codes = [
      'unknown_feature',
      'unknown_workflow',
      'unknown_stage',
      'unknown_feature',
      'wrong_kind',
      'unknown_feature',
    ]
    assert.deepEqual([told, errors], [codes, []])
    const thrown = app((error) => {
      throw error
    })
    assert.match(await shown(thrown), /broke: feature `no_limit` is not known/)
  })

  test('mistakes in a call are thrown', async () => {
    for (const [ask, expected] of [
      [() => useLimit('seats', -1).outcome, /amount -1 is out of range/],
      [() => useFeature(7), /`feature` is a text/],
      [() => useTransitions('order', 'ready', 'paid').length, /`context` is an object/],
    ]) {
      const Child = () => ask()
      const app = h(Boundary, null, h(LeaseholdProvider, { engine: make(), tenant: 'b' }, h(Child)))
      assert.match(await shown(app), expected)
    }
  })

  test('an engine that is closed too early: what is in sight stays, and nothing breaks', async () => {
    at(MORNING)
    const engine = make()
    const app = (keys) =>
      h(LeaseholdProvider, { engine, tenant: 'a' }, h(Entitled, { feature: 'pdf' }, 'open;'), h(Features, { keys }))
    const { show, done } = await mounted(app([]))
    await engine.close()
    await show(app(['chat']))
    assert.equal(text(), 'open;chat off;')
    assert.match(errors.join(), /the engine is closed/)
    await done()
  })
})

describe('rendered by a server', () => {
  const App = ({ engine, tenant, renderedAt }) =>
    h(
      LeaseholdProvider,
      { engine, tenant, renderedAt, fallback: 'wait' },
      h(Entitled, { feature: 'pdf', fallback: h('a', null, 'upgrade') }, h('button', null, 'Print')),
      h('p', null, h(Seats)),
    )
  const Seats = () => `${useLimit('seats', 3).remaining} left, ${useTransitions('order', 'ready').length} moves`

  /** Takes over what a server rendered; what React finds otherwise is an error of this test. */
  async function hydrated(html, tree) {
    element().innerHTML = html
    const before = element().querySelector('button, a')
    const recovered = []
    let root
    await act(async () => {
      root = hydrateRoot(element(), tree, { onRecoverableError: (error) => recovered.push(error) })
    })
    return { before, recovered, done: async () => act(async () => root.unmount()) }
  }

  /** The addon for Node, where it was built. */
  const addon = resolve(import.meta.dirname, '../../bindings-node/dist/index.js')
  const servers = existsSync(addon) ? [Engine, createRequire(import.meta.url)(addon).Engine] : [Engine]

  test('with its own engine, and taken over in the page without a difference', async () => {
    at(MORNING)
    for (const Server of servers) {
      const server = Server.fromDefinitions(small(), { revision: 1 })
      for (const [tenant, expected] of [
        ['a', /<button>Print<\/button><p>2 left, 2 moves<\/p>/],
        ['b', /<a>upgrade<\/a><p>2 left, 2 moves<\/p>/],
      ]) {
        const html = renderToString(h(App, { engine: server, tenant }))
        assert.match(html, expected)
        const { before, recovered, done } = await hydrated(html, h(App, { engine: make(), tenant }))
        assert.deepEqual([recovered, errors], [[], []])
        // It is the same element, which was kept.
        assert.equal(element().querySelector('button, a'), before)
        await done()
      }
    }
  })

  test('what the server rendered stays in sight until the engine of the page is there', async () => {
    at(MORNING)
    const html = renderToString(h(App, { engine: make(), tenant: 'a' }))
    const { promise, resolve } = withResolvers()
    const { before, recovered, done } = await hydrated(html, h(App, { engine: promise, tenant: 'a' }))
    assert.equal(text(), 'Print2 left, 2 moves')
    await act(async () => resolve(make()))
    assert.equal(text(), 'Print2 left, 2 moves')
    assert.equal(element().querySelector('button'), before)
    assert.deepEqual([recovered, errors], [[], []])
    await done()
  })

  test('it stays in sight whatever is rendered anew around it: all the same, or in a transition', async () => {
    at(MORNING)
    const inside = h(Entitled, { feature: 'pdf' }, h('button', null, 'Print'))
    for (const [render, children, isKept] of [
      [(set) => set('dark'), () => inside, true],
      [(set) => startTransition(() => set('dark')), () => h('i', null, inside), true],
      // React gives it up for this, and this test would see it.
      [(set) => set('dark'), () => h('i', null, inside), false],
    ]) {
      const { promise, resolve } = withResolvers()
      let set
      const Themed = ({ engine }) => {
        const [theme, setTheme] = useState('light')
        set = setTheme
        return h(
          'main',
          { className: theme },
          h(LeaseholdProvider, { engine, tenant: 'a', fallback: 'wait' }, children()),
        )
      }
      const html = renderToString(h(Themed, { engine: make() }))
      const { before, recovered, done } = await hydrated(html, h(Themed, { engine: promise }))
      await act(async () => render(set))
      assert.equal(text(), isKept ? 'Print' : 'wait')
      await act(async () => resolve(make()))
      assert.deepEqual([text(), element().querySelector('main').className], ['Print', 'dark'])
      assert.equal(element().querySelector('button') === before, isKept)
      // React 18 tells that it gave it up, and 19 does not.
      assert.deepEqual([isKept ? recovered : [], errors], [[], []])
      await done()
    }
  })

  test('something that ended meanwhile: first as the server said, then as it is', async () => {
    at(NOON - 1)
    const html = renderToString(h(App, { engine: make(), tenant: 'a', renderedAt: NOON - 1 }))
    mock.timers.setTime(NOON + 5)
    const { recovered, done } = await hydrated(html, h(App, { engine: make(), tenant: 'a', renderedAt: NOON - 1 }))
    assert.deepEqual([recovered, errors], [[], []])
    assert.equal(text(), 'upgrade2 left, 2 moves')
    await done()
    // Without the instant, React finds a difference and says so: this test would see it.
    const without = await hydrated(html, h(App, { engine: make(), tenant: 'a' }))
    assert.notEqual(without.recovered.length, 0)
    await without.done()
  })

  test('the server asks its own engine, and the page the slice that came with it', async () => {
    const desk = await Desk.open()
    try {
      await desk.does('keygen slice --out slice.key')
      await desk.build(' --slice-key slice.key.pub')
      const tenant = 'om-muscat-sparkle'
      const from = '-d snapshots --stream GCC-OM --key slice.key --out own.slice'
      await desk.does(`slice ${tenant} ${from}`)
      const slice = await readFile(desk.at('own.slice'), 'utf8')
      const follow = async () => Engine.follow({ slice, tenant, trust: desk.trust })
      // The addon answers from what HQ published; without it, a server of slices does.
      const Server = servers[1]
      const server = await (Server?.fromDirectory(desk.at('snapshots'), desk.trust) ?? follow())
      const Page = () => {
        const currency = useValue('currency')
        const users = useLimit('max_users', 3)
        const moves = useTransitions('order', 'ready', { inputs: {}, roles: ['driver'] })
        return `${currency}, ${users.remaining} of ${users.limit} left, ${moves.map(({ name2, state }) => name2 + state)}`
      }
      const app = (engine, of) =>
        h(
          LeaseholdProvider,
          { engine, ...of },
          h(Page),
          h('p', null, h(Entitled, { feature: 'custom_domain', fallback: 'upgrade' }, 'domain')),
        )
      const html = renderToString(app(server, { tenant }))
      assert.match(html, /^<!--\$-->OMR, \d+ of \d+ left, .*(enabled|blocked)/)
      // As in the page: without a network, and without naming the tenant again.
      const engine = await follow()
      const { recovered, done } = await hydrated(html, app(engine, {}))
      assert.deepEqual([recovered, errors], [[], []])
      await done()
      await Promise.all([engine.close(), server.close()])
    } finally {
      await desk.close()
    }
  })

  test('as a stream, with the promise of an engine', async () => {
    const { promise, resolve } = withResolvers()
    const stream = renderToPipeableStream(h(App, { engine: promise, tenant: 'b' }), {
      onShellReady: () => resolve(make()),
    })
    const html = await read(stream.pipe(new PassThrough()))
    assert.match(html, /<a>upgrade<\/a><p>2 left, 2 moves<\/p>/)
  })

  test('an engine of the server has to be told whom it is about', () => {
    const failed = (error) => `sorry: ${error.message}`
    const html = renderToString(h(LeaseholdProvider, { engine: make(), failed }, 'child'))
    assert.match(html, /sorry: this snapshot is not about one tenant/)
  })
})
