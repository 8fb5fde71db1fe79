// Whatever is passed in: an error of ours, of a class and with a code, or a right answer. Never a crash, never an error
// of the language about our own code. The packages for Node and for browsers share these cases.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { types } from 'node:util'
import { bytes, engineOf, host, read, trust } from '../conformance/corpus.mjs'

/** Declares the cases, of the package that the corpus is asked of. */
export function badInput() {
  const {
    engine: exported,
    documents,
    inside: { native, told },
  } = host
  const {
    ArgumentError,
    ClosedError,
    DefinitionsError,
    Engine,
    LeaseholdError,
    Machine,
    QuestionError,
    Snapshot,
    SnapshotError,
    Tenant,
    TransitionError,
  } = exported

  const shop = () => engineOf('shop')
  const tenant = () => shop().tenant('t1')
  /** A tenant that answers from its table. */
  function answering() {
    const one = tenant()
    for (let times = 0; times < 5; times += 1) {
      one.isEnabled('orders', NOW)
    }
    return one
  }
  const machine = () => engineOf('guards').tenant('t').machine('guards')
  const NOW = Date.parse('2026-03-10T12:00:00Z')

  function revoked() {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }

  const oops = () => {
    throw new Error('{oops')
  }
  /** Objects that answer nothing: whoever looks into them is thrown at. */
  const hostile = {
    'a proxy that throws': new Proxy({}, { get: oops, has: oops, ownKeys: oops, getPrototypeOf: oops }),
    'a revoked proxy': revoked(),
    'a getter that throws': Object.defineProperty({}, 'toString', { get: oops, enumerable: true }),
    'toJSON that throws': { toJSON: oops },
    'toJSON that throws what cannot be told': {
      toJSON() {
        throw Object.create(null)
      },
    },
    'toJSON that says nothing': { toJSON() {} },
    'no prototype': Object.create(null),
  }
  /** What is of every kind but the one that is wanted. */
  const others = {
    undefined: undefined,
    null: null,
    true: true,
    'a BigInt': 10n,
    'a symbol': Symbol('s'),
    'a function': () => 'orders',
    'a list': ['orders'],
    'an object': { toString: () => 'orders' },
    'a boxed text': new String('orders'),
    ...hostile,
  }
  const without = (...names) => Object.entries(others).filter(([name]) => !names.includes(name))

  /** It throws an error of ours: of this class, with this code, and a message of one line that somebody can act on. */
  function refuses(ask, Class, code, what) {
    let thrown
    try {
      const answer = ask()
      assert.fail(`${what}: answered ${typeof answer}`)
    } catch (error) {
      thrown = error
    }
    assert.ok(thrown instanceof LeaseholdError, `${what}: ${thrown?.stack ?? String(thrown)}`)
    assert.equal(thrown.constructor, Class, `${what}: ${thrown}`)
    assert.equal(thrown.name, Class.name)
    assert.equal(thrown.code, code, `${what}: ${thrown}`)
    assert.match(thrown.message, /^[^A-Z].*[^.]$/s, what)
    return thrown
  }

  const argument = (ask, what) => refuses(ask, ArgumentError, 'invalid_argument', what)
  const question = (code) => (ask, what) => refuses(ask, QuestionError, code, what)

  test('texts that are none', () => {
    for (const [what, other] of [...without(), ['a number', 1], ['NaN', NaN]]) {
      const [engine, one, move] = [shop(), answering(), machine()]
      for (const ask of [
        () => engine.tenant(other),
        () => engine.isEnabled(other, 'orders'),
        () => engine.isEnabled('t1', other),
        () => engine.isEnabledOr(other, 'orders', true),
        () => one.isEnabled(other),
        () => one.isEnabled(other, NOW),
        () => one.isEnabledOr(other, false),
        () => one.decide(other),
        () => one.value(other),
        () => one.checkLimit(other, 0, 1),
        () => one.explain(other),
        () => one.evaluate(other),
        () => one.machine(other),
        () => one.diff(other),
        () => move.transitions(other),
        () => move.check(other, 'start'),
        () => move.check('start', other),
        () => move.explain('start', other),
        () => move.picture(other),
        () => engine.snapshot().diffTenants('t1', other),
        () => engine.snapshot().compareVersions(other, 1, 2),
        () => engine.snapshot().upgrade('t1', 'order', 1, other),
        () => engine.snapshot().replay(other, 1, []),
        () => documents.placeOf(other),
        () => documents.keyId(other),
        () => documents.isStaged(other, 'a'.repeat(64), 1),
        () => documents.isStaged('e', other, 1),
        () => documents.openChunk({ hash: other, length: 1 }, 'raw', new Uint8Array()),
      ]) {
        argument(ask, `${ask} with ${what}`)
      }
      if (other !== undefined) {
        argument(() => one.machine('guards', other), `category with ${what}`)
        argument(() => move.picture('svg', { language: other }), `language with ${what}`)
        argument(() => move.picture('svg', { against: other }), `against with ${what}`)
        argument(() => move.picture('svg', { current: other }), `current with ${what}`)
        argument(() => one.isEnabled('orders', NOW, other), `action with ${what}`)
        argument(() => one.decide('orders', NOW, other), `action with ${what}`)
        argument(() => one.answerTable(NOW, other), `action with ${what}`)
      }
    }
  })

  test('texts that name nothing', () => {
    const one = tenant()
    const huge = 'a'.repeat(16 * 1024 * 1024)
    const names = [
      '',
      'Orders',
      ' orders',
      'orders\0',
      'or\0ders',
      '\ud800',
      'orders\udfff',
      '💧',
      '__proto__',
      'constructor',
    ]
    for (const name of [...names, 'toString', 'hasOwnProperty', 'valueOf', huge]) {
      const what = name.slice(0, 40)
      for (let times = 0; times < 5; times += 1) {
        // With and without a table.
        one.isEnabled('orders', NOW)
        question('unknown_feature')(() => one.isEnabled(name, NOW), what)
        assert.equal(one.isEnabledOr(name, true, NOW), true)
      }
      question('unknown_feature')(() => one.decide(name, NOW), what)
      question('unknown_feature')(() => one.checkLimit(name, 0, 1, NOW), what)
      question('unknown_tenant')(() => shop().tenant(name), what)
      question('unknown_tenant')(() => shop().isEnabled(name, 'orders'), what)
      question('unknown_tenant')(() => one.diff(name), what)
      question('unknown_workflow')(() => one.machine(name), what)
      question('unknown_stage')(() => machine().transitions(name), what)
    }
    question('wrong_kind')(() => one.isEnabled('max_users', NOW), 'a limit')
    question('wrong_kind')(() => one.value('orders', NOW), 'a switch')
    question('wrong_kind')(() => one.checkLimit('theme', 0, 1, NOW), 'a value')
  })

  test('a tenant or a feature with a name of the language is one like others', () => {
    const labels = { name: 'N', name2: 'ن' }
    const place = { ...labels, region: 'GCC-OM', anchor: '2026-01-01T00:00:00Z' }
    const feature = { kind: 'switch', group: 'module', default: true, ...labels }
    const definitions = {
      features: { constructor: feature, to_string: feature, value_of: { ...feature, default: false } },
      tenants: { constructor: place, toString: place, hasOwnProperty: place },
    }
    const engine = Engine.fromDefinitions(definitions)
    for (const id of ['constructor', 'toString', 'hasOwnProperty']) {
      for (let times = 0; times < 5; times += 1) {
        assert.equal(engine.isEnabled(id, 'constructor', NOW), true)
        assert.equal(engine.tenant(id).isEnabled('value_of', NOW), false)
        question('unknown_feature')(() => engine.isEnabled(id, '__proto__', NOW), id)
        question('unknown_feature')(() => engine.isEnabled(id, 'valueOf', NOW), id)
      }
    }
    for (const id of ['__proto__', 'valueOf', 'isPrototypeOf']) {
      question('unknown_tenant')(() => engine.tenant(id), id)
    }
  })

  test('instants that are none', () => {
    const [engine, one] = [shop(), answering()]
    const none = { ...others, NaN, 'a text': '2026-01-01', 'an invalid date': new Date(NaN) }
    none['a false date'] = Object.create(Date.prototype)
    none['a proxy of a date'] = new Proxy(new Date(), {})
    delete none.undefined
    for (const now of [8.64e15 + 2, -8.64e15 - 2, Infinity, -Infinity, Number.MAX_VALUE]) {
      none[now] = now
    }
    const asks = {
      isEnabled: (now) => one.isEnabled('orders', now),
      'isEnabled by id': (now) => engine.isEnabled('t1', 'orders', now),
      isEnabledOr: (now) => one.isEnabledOr('orders', true, now),
      decide: (now) => one.decide('orders', now),
      value: (now) => one.value('theme', now),
      checkLimit: (now) => one.checkLimit('max_users', 0, 1, now),
      entitlements: (now) => one.entitlements(now),
      answerTable: (now) => one.answerTable(now),
      explain: (now) => one.explain('orders', now),
      whatIf: (now) => one.whatIf({}, {}, now),
      diff: (now) => one.diff('t2', now),
      evaluate: (now) => one.evaluate('orders', now),
      evaluateAll: (now) => one.evaluateAll(now),
      freshness: (now) => engine.snapshot().freshness(now),
      'diff of snapshots': (now) => engine.snapshot().diff(engine.snapshot(), now),
      changes: (now) => engine.snapshot().changes(engine.snapshot(), now),
    }
    const stamps = {
      issuedAt: (now) => Engine.fromDefinitions({}, { issuedAt: now }),
      expiresAt: (now) => Engine.fromDefinitions({}, { expiresAt: now }),
    }
    for (const [name, ask] of Object.entries({ ...asks, ...stamps })) {
      for (const [what, now] of Object.entries(none)) {
        const { message } = argument(() => ask(now), `${name} at ${what}`)
        assert.ok(message.includes(name in stamps ? name : 'now'), message)
      }
      const outside = ['-000001-12-31T23:59:59.999Z', '+010000-01-01T00:00:00Z'].map((text) => new Date(text))
      for (const now of [...outside, 8.64e15, -8.64e15]) {
        if (name !== 'isEnabledOr') {
          question('time_out_of_range')(() => ask(now), `${name} at ${now}`)
        }
      }
    }
    class Broken extends Date {
      getTime = oops
    }
    for (const now of [new Broken(), -0, 0.5, -0.5, NOW + 0.999, Number.MIN_VALUE, new Date(0)]) {
      assert.equal(typeof one.isEnabled('labs', now), 'boolean')
    }
  })

  test('amounts that are none', () => {
    const one = tenant()
    const check = (used, requested) => one.checkLimit('max_users', used, requested, NOW)
    for (const [what, other] of [...without(), ['a text', '1'], ['a boxed number', new Number(1)]]) {
      argument(() => check(other, 1), what)
      argument(() => check(1, other), what)
    }
    assert.match(argument(() => check(1n, 1), 'a BigInt').message, /`used`.*`Number/)
    const beyond = [
      NaN,
      Infinity,
      -Infinity,
      -1,
      0.5,
      1e-300,
      2 ** 53,
      2 ** 63,
      2 ** 64,
      1e300,
      -(2 ** 53),
      -Number.MIN_VALUE,
    ]
    for (const number of beyond) {
      question('amount_out_of_range')(() => check(number, 1), `${number} used`)
      question('amount_out_of_range')(() => check(1, number), `${number} requested`)
    }
    assert.deepEqual(check(-0, -0), check(0, 0))
    assert.equal(check(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).outcome, 'deny')
    assert.equal(check(0, Number.MAX_SAFE_INTEGER).outcome, 'deny')
  })

  test('options that are none', () => {
    const move = machine()
    for (const [what, other] of [
      ...without('undefined', 'an object', 'no prototype', 'a boxed text'),
      ['a text', 'ar'],
    ]) {
      if (what !== 'toJSON that throws' && !what.startsWith('toJSON')) {
        argument(() => move.picture('svg', other), what)
      }
    }
  })

  test('versions that are none', () => {
    const snapshot = engineOf('workflows').snapshot()
    for (const [what, other] of [
      ...without(),
      ['NaN', NaN],
      ['-1', -1],
      ['0.5', 0.5],
      ['2^32', 2 ** 32],
      ['a text', '1'],
    ]) {
      argument(() => snapshot.compareVersions('order', other, 1), what)
      argument(() => snapshot.compareVersions('order', 1, other), what)
      argument(() => snapshot.upgrade('pinned', 'order', other, 'ours'), what)
      argument(() => snapshot.replay('order', other, []), what)
    }
    question('unknown_workflow_version')(() => snapshot.compareVersions('order', 1, 0), '0')
    question('unknown_workflow_version')(() => snapshot.compareVersions('order', 1, 2 ** 32 - 1), 'the greatest')
  })

  test('defaults that are none', () => {
    for (const [what, other] of without('true')) {
      argument(() => tenant().isEnabledOr('orders', other, NOW), what)
      argument(() => shop().isEnabledOr('t1', 'orders', other, NOW), what)
      argument(() => shop().isEnabledOr('nobody', 'orders', other, NOW), what)
    }
  })

  test('contexts that are none', () => {
    const move = machine()
    const cyclic = { inputs: {} }
    cyclic.inputs.n = cyclic
    const none = {
      ...others,
      'a text': '{}',
      cyclic,
      'a BigInt inside': { inputs: { n: 5n } },
      'a lone surrogate': { inputs: { s: '\ud800' } },
      'a lone surrogate as a name': { inputs: { '\udc00': 1 } },
      'inputs that are a list': { inputs: [1] },
      'inputs that are null': { inputs: null },
      'roles that are a text': { roles: 'manager' },
      'roles that are numbers': { roles: [1] },
      'an unknown key': { input: { n: 5 } },
      'a map': new Map([['n', 5]]),
      'a date': new Date(0),
    }
    // What has nothing in it says nothing.
    for (const empty of ['undefined', 'no prototype', 'a map']) {
      delete none[empty]
    }
    delete none['an object']
    for (const [what, context] of Object.entries(none)) {
      argument(() => move.check('start', 'integer_equal', context), what)
      argument(() => move.explain('start', 'integer_equal', context), what)
      argument(() => move.transitions('start', context), what)
    }
    const refused = (inputs, code) => {
      const ask = () => move.check('start', 'integer_equal', { inputs })
      const error = refuses(ask, TransitionError, 'guard_failed', JSON.stringify(inputs))
      assert.deepEqual(
        error.blockers.map((blocker) => blocker.code),
        [code],
        JSON.stringify(inputs),
      )
    }
    // Whatever a guard cannot read, it does not pass.
    refused({}, 'input_missing')
    refused(undefined, 'input_missing')
    refused({ n: undefined }, 'input_missing')
    refused({ n: Symbol('5') }, 'input_missing')
    refused({ __proto__: { n: 5 } }, 'input_missing')
    refused({ n: NaN }, 'input_mistyped')
    refused({ n: Infinity }, 'input_mistyped')
    refused({ n: 5.5 }, 'input_mistyped')
    refused({ n: '5' }, 'input_mistyped')
    refused({ n: [5] }, 'input_mistyped')
    refused({ n: 2 ** 53 }, 'input_out_of_range')
    refused({ n: -(2 ** 53) }, 'input_out_of_range')
    refused({ n: 1e20 }, 'input_out_of_range')
    refused({ n: -1e300 }, 'input_out_of_range')
    assert.equal(move.check('start', 'integer_equal', { inputs: { n: 5 } }).transition, 'integer_equal')
    assert.equal(
      move.check('start', 'integer_equal', { inputs: JSON.parse('{"n": 5, "__proto__": 1}') }).event,
      'integer_equal',
    )
  })

  test('objects that are none', () => {
    const [engine, one] = [shop(), tenant()]
    const snapshot = engine.snapshot()
    const cyclic = { add_ons: [] }
    cyclic.add_ons.push(cyclic)
    // An object with nothing in it changes nothing.
    const bad = without('undefined', 'an object', 'no prototype', 'a list', 'a boxed text')
    for (const [what, other] of [...bad, ['a text', '{}'], ['cyclic', cyclic]]) {
      argument(() => one.whatIf(other, {}, NOW), what)
      argument(() => one.whatIf({}, other, NOW), what)
      argument(() => snapshot.replay('order', 1, other), what)
    }
    for (const change of [
      undefined,
      { plan: 1 },
      { plan: 'No Key' },
      { version: 1 },
      { add_ons: [{ key: 'a' }] },
      { plans: 'a' },
      [],
    ]) {
      argument(() => one.whatIf(change, {}, NOW), JSON.stringify(change))
    }
    for (const usage of [{ max_users: '1' }, { max_users: null }, { 'No Key': 1 }]) {
      argument(() => one.whatIf({}, usage, NOW), JSON.stringify(usage))
    }
    question('amount_out_of_range')(() => one.whatIf({}, { max_users: -1 }, NOW), 'usage below 0')
    question('amount_out_of_range')(() => one.whatIf({}, { max_users: 0.5 }, NOW), 'usage of a half')
    question('amount_out_of_range')(() => one.whatIf({}, { max_users: 1e300 }, NOW), 'usage beyond all bounds')
    const quantity = (quantity) => ({ add_ons: [{ key: 'extra_user', quantity }] })
    for (const number of [-1, 0.5, 2 ** 64, 'a', null]) {
      argument(() => one.whatIf(quantity(number), {}, NOW), `a quantity of ${number}`)
    }
    const real = Object.create(Snapshot.prototype)
    for (const [what, other] of [
      ...without(),
      ['a pack', bytes('packs/shop.pack')],
      ['a false snapshot', real],
      ['an engine', engine],
    ]) {
      argument(() => new Engine(other), what)
      argument(() => engine.swap(other), what)
      argument(() => snapshot.diff(other), what)
      argument(() => snapshot.changes(other), what)
    }
    assert.equal(engine.snapshot(), snapshot, 'what is no snapshot is not put in')
    assert.equal(typeof one.isEnabled('orders', NOW), 'boolean')
  })

  test('classes that only the package makes', () => {
    const engine = shop()
    for (const [what, other] of [...without(), ['an engine', engine]]) {
      argument(() => new Snapshot(other), what)
      argument(() => new Machine(other), what)
      argument(() => new Tenant(other), what)
      argument(() => new Tenant(engine, other, 't1'), what)
    }
    argument(() => new Tenant(), 'nothing')
    argument(() => new Machine(), 'nothing')
    argument(() => new Snapshot(), 'nothing')
    assert.throws(() => new native.NativeEngine(new native.NativeFollower(trust())))
  })

  test('methods on what they are not of', () => {
    const things = [
      undefined,
      null,
      1,
      'orders',
      {},
      shop(),
      shop().snapshot(),
      tenant(),
      machine(),
      new Map(),
      hostile['a proxy that throws'],
    ]
    const isOf = (Class, thing) => !types.isProxy(thing) && thing instanceof Class
    for (const Class of [Engine, Snapshot, Tenant, Machine]) {
      for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(Class.prototype))) {
        const method = value ?? get
        // Of these, each has what it needs in common with others.
        if (/^(constructor|on|off|open|close|closed|hearing|revision)$/.test(name)) {
          continue
        }
        for (const thing of things.filter((thing) => !isOf(Class, thing))) {
          // As with classes of the language itself, the language says so. What counts is that nothing is answered.
          let answer
          try {
            answer = method.call(thing, 'orders', 'start', {})
          } catch (error) {
            assert.ok(error instanceof TypeError || error instanceof LeaseholdError || error.message === '{oops', error)
            continue
          }
          // A promise is refused, not answered.
          assert.ok(answer instanceof Promise, `${Class.name}.${name} answered`)
          answer.catch(() => {})
        }
      }
    }
  })

  test('packs that are none', () => {
    const pack = bytes('packs/shop.pack')
    const believed = JSON.parse(trust())
    for (const [what, other] of [
      ...without(),
      ['a text', 'pack'],
      ['a view', new DataView(new ArrayBuffer(8))],
      ['a buffer', pack.buffer],
    ]) {
      argument(() => Engine.fromPack(other, believed), what)
    }
    argument(() => Engine.fromPack(Object.create(Uint8Array.prototype), believed), 'a false list')
    argument(() => Engine.fromPack(new Proxy(pack, {}), believed), 'a proxy')
    for (const [what, other] of without('an object', 'no prototype', 'a boxed text')) {
      argument(() => Engine.fromPack(pack, other), `trust: ${what}`)
    }
    const refused = (pack, trust, what) => {
      assert.throws(
        () => Engine.fromPack(pack, trust),
        (error) => {
          assert.ok(error instanceof SnapshotError, `${what}: ${error.stack}`)
          assert.ok(error.code !== '' && error.stage !== '' && error.item !== '', what)
          return true
        },
        what,
      )
    }
    for (const other of ['', '{', '[]', '{"issuer": 1}', {}, { ...believed, more: 1 }, '\0', 'x'.repeat(1_000_000)]) {
      refused(pack, other, `trust: ${JSON.stringify(other).slice(0, 40)}`)
    }
    const code = (pack, trust) => {
      try {
        Engine.fromPack(pack, trust)
        return undefined
      } catch (error) {
        return error.code
      }
    }
    assert.equal(code(pack, believed), undefined)
    assert.equal(code(Buffer.from(pack), trust()), undefined)
    assert.equal(code(pack, { ...believed, stream: 'GCC-SA' }), 'wrong_stream')
    assert.equal(code(pack, { ...believed, issuer: 'else.example' }), 'wrong_issuer')
    assert.equal(
      code(pack, { ...believed, roots: ['ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c'] }),
      'unknown_key',
    )
    for (let length = 0; length < pack.length; length += Math.ceil(pack.length / 200)) {
      refused(pack.subarray(0, length), believed, `the first ${length} bytes`)
    }
    refused(new Uint8Array([...pack, 0]), believed, 'a byte too many')
    refused(new Uint8Array(32 * 1024 * 1024), believed, 'many zeros')
    for (let at = 0; at < pack.length; at += Math.ceil(pack.length / 400)) {
      const flipped = pack.slice()
      flipped[at] ^= 1 << (at % 8)
      refused(flipped, believed, `a flipped bit in byte ${at}`)
    }
  })

  test('definitions that are none', () => {
    for (const [what, other] of [
      ...without('a list', 'no prototype', 'an object', 'a boxed text', 'a getter that throws'),
      ['a text', '{}'],
    ]) {
      argument(() => Engine.fromDefinitions(other), what)
    }
    const cyclic = { features: {} }
    cyclic.features.a = cyclic
    argument(() => Engine.fromDefinitions(cyclic), 'cyclic')
    argument(() => Engine.fromDefinitions({ features: { a: 1n } }), 'a BigInt inside')
    for (const [what, other] of without()) {
      argument(() => Engine.fromDefinitions([other]), `a file that is ${what}`)
      argument(() => Engine.fromDefinitions([{ name: other, content: '{}' }]), `a name that is ${what}`)
      argument(() => Engine.fromDefinitions([{ name: 'a.json', content: other }]), `a content that is ${what}`)
      argument(() => Engine.fromDefinitions([{ name: 'a.json', content: '{}' }], { revision: other ?? null }), what)
    }
    argument(
      () =>
        Engine.fromDefinitions([
          {
            get name() {
              return oops()
            },
          },
        ]),
      'a getter that throws',
    )
    for (const stamp of [
      null,
      1,
      'now',
      { revision: -1 },
      { revision: 0.5 },
      { revision: NaN },
      { revision: 2 ** 53 },
      { revision: '1' },
      { expires_at: NOW },
    ]) {
      argument(() => Engine.fromDefinitions({}, stamp), JSON.stringify(stamp))
    }
    argument(() => Engine.fromDefinitions([{ name: 'a.json', content: '{"\ud800": 1}' }]), 'half of a character')
    for (const content of [
      '',
      '[]',
      '{',
      '\0',
      '{"a": 1, "a": 2}',
      'x'.repeat(8 * 1024 * 1024),
      new Uint8Array([0xff]),
      '[['.repeat(1_000_000),
    ]) {
      const ask = () => Engine.fromDefinitions([{ name: 'a.json', content }])
      const error = refuses(ask, DefinitionsError, 'invalid_definitions', content.slice(0, 20))
      assert.ok(error.diagnostics.length > 0 && error.diagnostics.every(({ file }) => file === 'a.json'))
    }
    // Definitions without anything in them are definitions.
    assert.deepEqual(Engine.fromDefinitions({}).snapshot().tenantIds(), [])
    assert.deepEqual(Engine.fromDefinitions([]).snapshot().tenantIds(), [])
  })

  test('all mistakes in definitions are told at once', () => {
    const features = {}
    for (let at = 0; at < 2_000; at += 1) {
      features[`f${at}`] = { kind: 'switch', name: 'N', name2: 'ن', group: 'module', requires: [`no_such_${at}`] }
    }
    const error = refuses(() => Engine.fromDefinitions({ features }), DefinitionsError, 'invalid_definitions', 'many')
    assert.equal(error.diagnostics.length, 2_000)
    const [first] = error.diagnostics
    assert.deepEqual([first.severity, first.code, first.path], ['error', 'unknown_feature', '/features/f0/requires/0'])
    assert.ok(first.message.includes('`no_such_0`') && typeof first.hint === 'string')
    const files = [
      { name: 'a.json', content: '{' },
      { name: 'b.json', content: '{"features": {"A": 1}, "plans": 2}' },
    ]
    const two = refuses(() => Engine.fromDefinitions(files), DefinitionsError, 'invalid_definitions', 'two files')
    assert.deepEqual([...new Set(two.diagnostics.map(({ file }) => file))], ['a.json', 'b.json'])
  })

  test('a closed engine', async () => {
    const engine = shop()
    const [one, snapshot] = [engine.tenant('t1'), engine.snapshot()]
    for (let times = 0; times < 5; times += 1) {
      one.isEnabled('orders', NOW)
    }
    await engine.close()
    await engine.close()
    assert.equal(engine.closed, true)
    const closed = [
      () => engine.tenant('t1'),
      () => engine.tenant(undefined),
      () => engine.snapshot(),
      () => engine.swap(snapshot),
      () => engine.swap(),
      () => engine.isEnabled('t1', 'orders', NOW),
      () => engine.health(),
      () => one.isEnabled('orders', NOW),
      () => one.isEnabled('orders'),
      () => one.isEnabled('orders', NOW, 'read'),
      () => one.decide('orders'),
      () => one.value('theme'),
      () => one.checkLimit('max_users', 0, 1),
      () => one.entitlements(),
      () => one.answerTable(),
      () => one.explain('orders'),
      () => one.whatIf({}),
      () => one.diff('t2'),
      () => one.evaluate('orders'),
      () => one.evaluateAll(),
      () => one.machine('order'),
      () => one.transitions('order', 'intake'),
      () => one.checkTransition('order', 'intake', 'ready'),
    ]
    for (const ask of closed) {
      refuses(ask, ClosedError, 'closed', String(ask))
    }
    await assert.rejects(engine.waitFor(1), ClosedError)
    assert.equal(one.isEnabledOr('orders', true, NOW), true)
    assert.equal(engine.isEnabledOr('t1', 'orders', false, NOW), false)
    // What was taken from it stays.
    assert.equal(snapshot.tenantIds().length, snapshot.about.tenants)
  })

  test('documents that are none', () => {
    for (const [what, other] of [...without(), ['a text', 'x']]) {
      argument(() => documents.checkCanonical(other), what)
      argument(() => documents.hashOf(other), what)
      argument(() => documents.verifyHead(other, trust()), what)
      argument(() => documents.verifyCertificate(other, trust()), what)
      argument(() => documents.verifySlice(other, 't', trust()), what)
      argument(() => documents.openChunk({ hash: 'a'.repeat(64), length: 1 }, 'raw', other), what)
      argument(() => documents.openChunk({ hash: 'a'.repeat(64), length: other }, 'raw', new Uint8Array()), what)
      argument(() => documents.openChunk({ hash: 'a'.repeat(64), length: 1 }, other, new Uint8Array()), what)
      argument(() => documents.isStaged('e', 'a'.repeat(64), other), what)
    }
    for (const other of [undefined, null, 1]) {
      argument(() => documents.openChunk(other, 'raw', new Uint8Array()), String(other))
      argument(() => documents.hashOfDefinitions(other), String(other))
    }
    for (const other of [
      undefined,
      1n,
      Symbol('s'),
      () => 1,
      hostile['toJSON that throws'],
      hostile['a revoked proxy'],
    ]) {
      argument(() => documents.canonicalForm(other), typeof other)
      argument(() => documents.merge(other, {}, {}), typeof other)
      argument(() => documents.merge({}, other, {}), typeof other)
      argument(() => documents.merge({}, {}, other), typeof other)
    }
    for (const share of [-1, 1001, 0.5, NaN, Infinity]) {
      argument(() => documents.isStaged('e', 'a'.repeat(64), share), `a share of ${share}`)
    }
    for (const length of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      assert.throws(
        () => documents.openChunk({ hash: 'a'.repeat(64), length }, 'raw', new Uint8Array(1)),
        LeaseholdError,
      )
    }
  })

  test('a follower that is told nonsense', async () => {
    const follower = () => new native.NativeFollower(trust())
    const refused = (ask, Class) =>
      assert.rejects(
        async () => ask(),
        (thrown) => told(thrown).constructor === Class,
        String(ask),
      )
    await refused(() => follower().handle({ type: 'nonsense' }, NOW, 0), ArgumentError)
    await refused(() => follower().handle({ type: 'head' }, NOW, 0), ArgumentError)
    await refused(
      () => follower().handle({ type: 'chunk', hash: 'x', document: new Uint8Array() }, NOW, 0),
      ArgumentError,
    )
    await refused(() => follower().handle({ type: 'started' }, NaN, 0), ArgumentError)
    await refused(() => follower().handle(undefined, NOW, 0), ArgumentError)
    await refused(() => follower().open(new Uint8Array(3), NOW), SnapshotError)
    for (const random of [NaN, Infinity, -1, 2 ** 53]) {
      assert.ok((await follower().handle({ type: 'started' }, NOW, random)).length > 0)
    }
    // A document that is none is a fault, which the follower tells.
    const one = follower()
    await one.handle({ type: 'started' }, NOW, 0)
    await one.handle({ type: 'head', document: new Uint8Array([1, 2, 3]) }, NOW, 0)
    const faults = JSON.parse(one.health(NOW)).faults
    assert.equal(faults.length, 1)
  })

  test('codes are those of the vectors', () => {
    const shared = new Set(read('errors.json').cases.map((one) => one.error?.code ?? one.error))
    for (const code of ['unknown_feature', 'unknown_tenant', 'wrong_kind', 'amount_out_of_range']) {
      assert.ok(shared.has(code), code)
    }
  })
}
