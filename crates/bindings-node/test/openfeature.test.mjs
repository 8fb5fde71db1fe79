// The provider for OpenFeature: what it answers, and what else the SDK makes of it. The scenarios of OpenFeature's own
// specification are in openfeature_spec.test.mjs.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, afterEach, before, describe, test } from 'node:test'
import { ErrorCode, OpenFeature, ProviderEvents, ProviderStatus } from '@openfeature/server-sdk'
import { ArgumentError, Engine } from 'leasehold'
import { LeaseholdProvider } from 'leasehold/openfeature'
import { Desk } from './support/desk.mjs'

const MOST = Number.MAX_SAFE_INTEGER
const HOUR = 3_600_000
const PICTURES = { showImages: true, title: 'Look at this', imagesPerPage: 100 }

const feature = (of) => ({ name: 'F', name2: 'F', group: 'x', ...of })
const value = (type, initial) => feature({ kind: 'value', type, default: initial })
const set = (key, to) => ({ feature: key, op: 'set', value: to, reason: 'r', actor: 'a' })
const tenant = (of = {}) => ({ name: 'T', name2: 'T', region: 'R', anchor: '2026-01-01T00:00:00Z', ...of })

const definitions = {
  features: {
    'a-boolean': feature({ kind: 'switch', default: true }),
    'a-string': value('string', 'hi'),
    'an-integer': value('integer', 10),
    'a-decimal': value('string', '0.5'),
    'a-rate': value('string', '0.25'),
    'an-object': value('json', PICTURES),
    'a-list': value('json', ['a', 1]),
    'a-null': value('json', null),
    'a-false': feature({ kind: 'switch' }),
    'an-empty-string': value('string', ''),
    'a-zero': value('integer', 0),
    'an-empty-object': value('json', {}),
    seats: feature({ kind: 'limit', unit: 'seat', default: { amount: 5 } }),
    endless: feature({ kind: 'limit', unit: 'seat', default: { amount: 'unlimited' } }),
    audience: value('string', 'EXTERNAL'),
    'killed-boolean': feature({ kind: 'switch', default: true }),
    'killed-string': value('string', 'hi'),
    'killed-decimal': value('string', '0.5'),
    'killed-integer': value('integer', 10),
    'killed-object': value('json', PICTURES),
    'killed-null': value('json', null),
    'killed-limit': feature({ kind: 'limit', unit: 'seat', default: { amount: 5 } }),
  },
  // It says something about one feature, and nobody has it.
  plans: {
    other: {
      name: 'P',
      name2: 'P',
      rank: 1,
      price: { amount: '1.000', currency: 'OMR', period: 'month' },
      versions: {
        1: {
          effective_from: '2026-01-01T00:00:00Z',
          moves: 'now',
          contributions: [{ feature: 'audience', op: 'set', value: 'OTHER' }],
        },
      },
    },
  },
  kills: Object.fromEntries(
    [
      'killed-boolean',
      'killed-string',
      'killed-decimal',
      'killed-integer',
      'killed-object',
      'killed-null',
      'killed-limit',
    ].map((key) => [key, { feature: key, since: '2026-01-01T00:00:00Z', reason: 'r', actor: 'a' }]),
  ),
  tenants: {
    plain: tenant(),
    targeted: tenant({
      overrides: {
        1: set('audience', 'INTERNAL'),
        2: set('a-boolean', false),
        3: set('a-string', ''),
        4: set('an-integer', 0),
        5: set('an-object', {}),
        6: set('seats', { amount: 0 }),
        7: set('endless', { amount: 3 }),
      },
    }),
  },
}

/** A proxy that throws whatever is asked of it. */
function closed() {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const make = (revision = 7, stamp = {}) => Engine.fromDefinitions(definitions, { revision, ...stamp })
const PLAIN = { targetingKey: 'plain' }
const TARGETED = { targetingKey: 'targeted' }

const asks = {
  boolean: ['getBooleanValue', 'getBooleanDetails'],
  string: ['getStringValue', 'getStringDetails'],
  number: ['getNumberValue', 'getNumberDetails'],
  object: ['getObjectValue', 'getObjectDetails'],
}

/** Both forms of a question, which have to agree. */
async function evaluated(client, type, key, initial, context, options) {
  const [plain, detailed] = asks[type]
  const details = await client[detailed](key, initial, context, options)
  assert.deepEqual(await client[plain](key, initial, context, options), details.value, `${key} as ${type}`)
  assert.equal(details.flagKey, key)
  return details
}

/** Resolves with what the next event of a sort says. Nothing of a provider keeps the process alive meanwhile. */
function next(target, event) {
  const alive = setInterval(() => {}, HOUR)
  return new Promise((resolve) => {
    const handler = (details) => {
      clearInterval(alive)
      target.removeHandler(event, handler)
      resolve(details)
    }
    target.addHandler(event, handler)
  })
}

afterEach(async () => {
  await OpenFeature.close()
  OpenFeature.clearHooks()
  OpenFeature.clearHandlers()
  await OpenFeature.clearProviders()
})

describe('questions and answers', () => {
  let client
  async function stable() {
    await OpenFeature.setProviderAndWait('stable', new LeaseholdProvider(make()))
    client = OpenFeature.getClient('stable')
  }

  test('values and details of every type', async () => {
    await stable()
    for (const [type, key, initial, expected, variant = 'on'] of [
      ['boolean', 'a-boolean', false, true],
      ['string', 'a-string', 'bye', 'hi'],
      ['number', 'an-integer', 1, 10],
      ['string', 'a-decimal', '0.1', '0.5'],
      ['number', 'a-decimal', 0.1, 0.5],
      ['object', 'an-object', {}, PICTURES],
      ['object', 'an-object', null, PICTURES],
      ['object', 'a-list', [], ['a', 1]],
      ['object', 'a-null', {}, null],
      ['number', 'seats', 1, 5],
      ['number', 'endless', 1, MOST, 'unlimited'],
    ]) {
      const details = await evaluated(client, type, key, initial, PLAIN)
      assert.deepEqual(details.value, expected, key)
      assert.deepEqual([details.variant, details.reason, details.errorCode], [variant, 'STATIC', undefined], key)
    }
  })

  test('values that are false, zero or empty are not the default of the code', async () => {
    await stable()
    for (const [type, key, initial, expected, variant] of [
      ['boolean', 'a-false', true, false, 'off'],
      ['string', 'an-empty-string', 'hi', '', 'on'],
      ['number', 'a-zero', 1, 0, 'on'],
      ['object', 'an-empty-object', { a: 1 }, {}, 'on'],
    ]) {
      const details = await evaluated(client, type, key, initial, PLAIN)
      assert.deepEqual([details.value, details.variant, details.reason], [expected, variant, 'STATIC'], key)
    }
  })

  test('answers depend on the context, zero values as well', async () => {
    await stable()
    for (const [type, key, initial, expected, variant = 'on'] of [
      ['string', 'audience', 'NOBODY', 'INTERNAL'],
      ['boolean', 'a-boolean', true, false, 'off'],
      ['string', 'a-string', 'hi', ''],
      ['number', 'an-integer', 1, 0],
      ['object', 'an-object', { a: 1 }, {}],
      ['number', 'seats', 1, 0],
      ['number', 'endless', 1, 3],
    ]) {
      const details = await evaluated(client, type, key, initial, TARGETED)
      assert.deepEqual([details.value, details.variant, details.reason], [expected, variant, 'TARGETING_MATCH'], key)
    }
    const other = await evaluated(client, 'string', 'audience', 'NOBODY', PLAIN)
    assert.deepEqual([other.value, other.reason], ['EXTERNAL', 'DEFAULT'])
  })

  test('whatever else is in the context decides nothing', async () => {
    await stable()
    for (const more of [
      { email: 'a@example.com', role: 'admin', age: 65, customer: false },
      { fn: 'Sulisław', ln: 'Świętopełk', nothing: null, at: new Date(0), list: [1, { a: [] }] },
    ]) {
      const context = { ...more, ...TARGETED }
      const before = structuredClone(context)
      assert.equal((await evaluated(client, 'string', 'audience', 'NOBODY', context)).value, 'INTERNAL')
      assert.deepEqual(context, before)
    }
  })

  test('contexts of the API, the client and the question are merged', async () => {
    await stable()
    OpenFeature.setContext(PLAIN)
    try {
      assert.equal(await client.getStringValue('audience', 'NOBODY'), 'EXTERNAL')
      client.setContext(TARGETED)
      assert.equal(await client.getStringValue('audience', 'NOBODY'), 'INTERNAL')
      assert.equal(await client.getStringValue('audience', 'NOBODY', PLAIN), 'EXTERNAL')
    } finally {
      OpenFeature.setContext({})
      client.setContext({})
    }
  })

  test('a flag that is not there', async () => {
    await stable()
    for (const [type, initial] of [
      ['boolean', true],
      ['string', 'uh-oh'],
      ['number', 1],
      ['number', 0.1],
      ['object', { a: 1 }],
    ]) {
      for (const key of ['nothing', 'Not A Key', '__proto__', '']) {
        const details = await evaluated(client, type, key, initial, PLAIN)
        assert.deepEqual([details.value, details.reason, details.errorCode], [initial, 'ERROR', 'FLAG_NOT_FOUND'], key)
        assert.match(details.errorMessage, new RegExp(`\`${key}\` is not known`))
        assert.equal(details.variant, undefined)
      }
    }
  })

  test('a flag of another type', async () => {
    await stable()
    const types = {
      'a-boolean': 'boolean',
      'a-string': 'string',
      'an-integer': 'number',
      'an-object': 'object',
      seats: 'number',
    }
    const initials = { boolean: false, string: 'bye', number: 13, object: { a: 1 } }
    for (const [key, own] of Object.entries(types)) {
      for (const [type, initial] of Object.entries(initials).filter(([type]) => type !== own)) {
        const details = await evaluated(client, type, key, initial, PLAIN)
        assert.deepEqual([details.value, details.reason, details.errorCode], [initial, 'ERROR', 'TYPE_MISMATCH'], key)
        assert.equal(details.errorMessage, `\`${key}\` is of type ${own}, and was asked for as ${type}`)
        assert.equal(details.flagMetadata.revision, 7)
      }
    }
  })

  test('a text that is a decimal is a number too, if a double keeps all of it', async () => {
    const ask = async (text) => {
      const features = { rate: value('string', text) }
      const provider = new LeaseholdProvider(Engine.fromDefinitions({ features, tenants: { plain: tenant() } }))
      await OpenFeature.setProviderAndWait('decimal', provider)
      return OpenFeature.getClient('decimal').getNumberDetails('rate', 7, PLAIN)
    }
    for (const text of ['0', '0.0', '-0.5', '12', '0.1', '1234567.12345678', '0.000000123456789012345', '100.00']) {
      const { value: number, reason, variant } = await ask(text)
      assert.deepEqual([number, reason, variant], [Number(text), 'STATIC', 'on'], text)
    }
    for (const text of ['', ' 1', '1 ', '+1', '01', '.5', '5.', '1e3', '0x10', '1,5', '٠', 'Infinity', 'NaN', 'uno']) {
      const { value: number, errorCode, errorMessage } = await ask(text)
      assert.deepEqual([number, errorCode], [7, 'TYPE_MISMATCH'], text)
      assert.equal(errorMessage, '`rate` is of type string, and was asked for as number')
    }
    // More digits than a double keeps, or too far down.
    for (const text of ['1234567.123456789', `0.${'0'.repeat(400)}1`, `0.${'0'.repeat(320)}12345`]) {
      assert.equal((await ask(text)).errorCode, 'TYPE_MISMATCH', text)
    }
  })

  test('a flag that is disabled: what has no value then is the default of the code', async () => {
    await stable()
    for (const [type, key, initial, expected] of [
      ['boolean', 'killed-boolean', true, false],
      ['number', 'killed-limit', 3, 0],
      ['string', 'killed-string', 'bye', 'bye'],
      ['number', 'killed-decimal', 0.1, 0.1],
      ['number', 'killed-integer', 1, 1],
      ['object', 'killed-object', { a: 1 }, { a: 1 }],
      // What it may be when it is on, its default does not tell.
      ['object', 'killed-null', { a: 1 }, { a: 1 }],
      ['string', 'killed-null', 'bye', 'bye'],
    ]) {
      const details = await evaluated(client, type, key, initial, PLAIN)
      assert.deepEqual([details.value, details.variant, details.reason], [expected, 'off', 'DISABLED'], key)
      assert.equal(details.flagMetadata.reason, 'killed')
    }
    // Asked for as another type, it is a mistake as it is when it is on.
    assert.equal((await client.getStringDetails('killed-object', 'bye', PLAIN)).errorCode, 'TYPE_MISMATCH')
    assert.equal((await client.getBooleanDetails('killed-string', true, PLAIN)).errorCode, 'TYPE_MISMATCH')
  })

  test('values have the names that they are given, and flags the metadata', async () => {
    const variants = { gallery: structuredClone(PICTURES), nothing: {} }
    const flags = {
      'a-string': {
        variants: { greeting: 'hi', parting: 'bye' },
        metadata: { owner: 'ops', since: 3, share: 0.5, open: true },
      },
      'a-decimal': { variants: { text: '0.5', half: 0.5 } },
      'a-rate': { variants: { quarter: '0.25' } },
      'an-object': { variants },
      'a-list': { variants: { other: ['a'], same: ['a', 1] } },
      'a-null': { variants: { none: null } },
      'a-boolean': { variants: { yes: true, no: false } },
      'an-integer': { variants: { text: '10' } },
      endless: { variants: { most: MOST } },
      'killed-string': { variants: { greeting: 'hi' }, metadata: { owner: 'ops' } },
      'not-there': { variants: { a: 1 }, metadata: { a: 1 } },
    }
    await OpenFeature.setProviderAndWait('named', new LeaseholdProvider(make(), { flags }))
    // Whoever made the options may change them.
    variants.gallery.title = 'Another one'
    delete flags['a-string']
    const named = OpenFeature.getClient('named')
    for (const [type, key, initial, context, variant] of [
      ['string', 'a-string', 'bye', PLAIN, 'greeting'],
      ['string', 'a-string', 'bye', TARGETED, 'on'],
      ['string', 'a-decimal', '0.1', PLAIN, 'text'],
      ['number', 'a-decimal', 0.1, PLAIN, 'half'],
      ['object', 'an-object', {}, PLAIN, 'gallery'],
      ['object', 'an-object', {}, TARGETED, 'nothing'],
      ['object', 'a-list', [], PLAIN, 'same'],
      ['object', 'a-null', {}, PLAIN, 'none'],
      ['boolean', 'a-boolean', false, PLAIN, 'yes'],
      ['boolean', 'a-boolean', true, TARGETED, 'off'],
      ['number', 'an-integer', 1, PLAIN, 'on'],
      ['number', 'a-rate', 0.1, PLAIN, 'quarter'],
      ['number', 'endless', 1, PLAIN, 'unlimited'],
      ['string', 'killed-string', 'bye', PLAIN, 'off'],
    ]) {
      assert.equal((await evaluated(named, type, key, initial, context)).variant, variant, key)
    }
    const { flagMetadata } = await named.getStringDetails('a-string', 'bye', PLAIN)
    const { definitions: _, ...said } = flagMetadata
    assert.deepEqual(said, {
      ...{ owner: 'ops', since: 3, share: 0.5, open: true },
      ...{ kind: 'value', reason: 'granted', source: 'default', revision: 7, freshness: 'fresh' },
    })
    // What goes wrong says what is known of the flag as well.
    assert.equal((await named.getBooleanDetails('a-string', false, PLAIN)).flagMetadata.owner, 'ops')
    assert.equal((await named.getStringDetails('killed-string', '', PLAIN)).flagMetadata.owner, 'ops')
    // Features may come later.
    assert.equal((await named.getNumberDetails('not-there', 3, PLAIN)).errorCode, 'FLAG_NOT_FOUND')
  })

  test('metadata are flat, frozen, and say where an answer comes from', async () => {
    await stable()
    const of = async (key, context) => (await client.getStringDetails(key, '', context)).flagMetadata
    const { definitions: hash, ...plain } = await of('audience', PLAIN)
    assert.deepEqual(plain, { kind: 'value', reason: 'granted', source: 'default', revision: 7, freshness: 'fresh' })
    assert.match(hash, /^[0-9a-f]{64}$/)
    const targeted = await of('audience', TARGETED)
    assert.deepEqual(targeted, { ...plain, definitions: hash, source: 'tenant' })
    assert.ok(Object.isFrozen(targeted))
    // The next one has its own.
    assert.notEqual(await of('audience', TARGETED), targeted)
    const { source, ...off } = targeted
    assert.deepEqual(await of('killed-string', PLAIN), { ...off, reason: 'killed' })
  })

  test('hooks run in their order, with what was answered', async () => {
    await stable()
    const seen = []
    const hook = (name) => ({
      before: ({ context }) => (seen.push(`before ${name}`), { ...context, targetingKey: 'targeted' }),
      after: (_, details) => void seen.push(`after ${name} ${details.value} ${details.flagMetadata.source}`),
      error: (_, error) => void seen.push(`error ${name} ${error.code}`),
      finally: (_, details) => void seen.push(`finally ${name} ${details.reason}`),
    })
    OpenFeature.addHooks(hook('api'))
    client.addHooks(hook('client'))
    const options = { hooks: [hook('call')], hookHints: { a: 1 } }
    try {
      await client.getStringDetails('audience', 'NOBODY', PLAIN, options)
      assert.deepEqual(seen.splice(0), [
        ...['api', 'client', 'call'].map((name) => `before ${name}`),
        ...['call', 'client', 'api'].map((name) => `after ${name} INTERNAL tenant`),
        ...['call', 'client', 'api'].map((name) => `finally ${name} TARGETING_MATCH`),
      ])
      await client.getStringDetails('nothing', 'NOBODY', PLAIN, options)
      assert.deepEqual(seen.splice(0).slice(3), [
        ...['call', 'client', 'api'].map((name) => `error ${name} FLAG_NOT_FOUND`),
        ...['call', 'client', 'api'].map((name) => `finally ${name} ERROR`),
      ])
    } finally {
      client.clearHooks()
    }
  })

  test('a provider that is not ready, in error or fatal', async () => {
    const { promise, resolve } = withResolvers()
    OpenFeature.setProvider('waiting', new LeaseholdProvider(() => promise))
    const broken = new LeaseholdProvider(() => Promise.reject(new Error('no network')))
    await assert.rejects(OpenFeature.setProviderAndWait('broken', broken), /no network/)
    const wrong = new LeaseholdProvider(() => Engine.fromDefinitions({ features: { a: 1 } }))
    await assert.rejects(OpenFeature.setProviderAndWait('wrong', wrong), (error) => {
      assert.deepEqual([error.code, error.cause.code], [ErrorCode.PROVIDER_FATAL, 'invalid_definitions'])
      return true
    })
    for (const [domain, status, code] of [
      ['waiting', ProviderStatus.NOT_READY, 'PROVIDER_NOT_READY'],
      ['broken', ProviderStatus.ERROR, 'PROVIDER_NOT_READY'],
      ['wrong', ProviderStatus.FATAL, 'PROVIDER_FATAL'],
    ]) {
      const client = OpenFeature.getClient(domain)
      assert.equal(client.providerStatus, status)
      for (const [type, key, initial] of [
        ['boolean', 'a-boolean', false],
        ['string', 'a-string', 'bye'],
        ['number', 'an-integer', 0.1],
        ['object', 'an-object', { a: 1 }],
      ]) {
        const details = await evaluated(client, type, key, initial, PLAIN)
        assert.deepEqual([details.value, details.reason, details.errorCode], [initial, 'ERROR', code])
      }
    }
    const client = OpenFeature.getClient('waiting')
    const ready = next(client, ProviderEvents.Ready)
    resolve(make())
    assert.equal((await ready).providerName, 'leasehold')
    assert.equal(client.providerStatus, ProviderStatus.READY)
    assert.equal(await client.getBooleanValue('a-boolean', false, PLAIN), true)
  })
})

function withResolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

describe('tenants', () => {
  test('are named by tenant_org_id, else by the targeting key, as in OFREP', async () => {
    await OpenFeature.setProviderAndWait(new LeaseholdProvider(make()))
    const client = OpenFeature.getClient()
    for (const [context, expected] of [
      [{ targetingKey: 'targeted' }, 'INTERNAL'],
      [{ targetingKey: 'user 17', tenant_org_id: 'targeted' }, 'INTERNAL'],
      [{ tenant_org_id: 'targeted' }, 'INTERNAL'],
      [{ targetingKey: 'targeted', tenant_org_id: 'plain' }, 'EXTERNAL'],
      [{ targetingKey: 'plain', tenantId: 'targeted' }, 'EXTERNAL'],
      [undefined, 'TARGETING_KEY_MISSING'],
      [{}, 'TARGETING_KEY_MISSING'],
      [{ targetingKey: '' }, 'TARGETING_KEY_MISSING'],
      [{ targetingKey: null }, 'TARGETING_KEY_MISSING'],
      [{ targetingKey: 17 }, 'INVALID_CONTEXT'],
      [{ targetingKey: 'plain', tenant_org_id: ['targeted'] }, 'INVALID_CONTEXT'],
      [{ targetingKey: 'user 17' }, 'INVALID_CONTEXT'],
      [{ targetingKey: 'PLAIN' }, 'INVALID_CONTEXT'],
      [{ targetingKey: 'plain\ud800' }, 'INVALID_CONTEXT'],
    ]) {
      const details = await client.getStringDetails('audience', 'NOBODY', context)
      assert.equal(details.errorCode ?? details.value, expected, JSON.stringify(context))
      if (details.errorCode !== undefined) {
        assert.deepEqual([details.value, details.reason], ['NOBODY', 'ERROR'])
        assert.match(details.errorMessage, /^[a-z]/)
      }
    }
  })

  test('are found by a function of the app', async () => {
    const provider = new LeaseholdProvider(make(), {
      tenantOf: ({ shop }) => {
        if (shop === 'none') {
          throw new TypeError('there is no such shop')
        }
        return shop?.tenant
      },
    })
    await OpenFeature.setProviderAndWait(provider)
    const client = OpenFeature.getClient()
    const of = async (context) => client.getStringDetails('audience', 'NOBODY', context)
    assert.equal((await of({ shop: { tenant: 'targeted' }, targetingKey: 'plain' })).value, 'INTERNAL')
    assert.equal((await of({ targetingKey: 'plain' })).errorCode, 'TARGETING_KEY_MISSING')
    const thrown = await of({ shop: 'none' })
    assert.deepEqual([thrown.value, thrown.errorCode], ['NOBODY', 'GENERAL'])
    assert.equal(thrown.errorMessage, 'there is no such shop')
  })
})

describe('life of a provider', () => {
  test('takes an engine, a promise or a function, and nothing else', async () => {
    for (const source of [undefined, null, {}, 'https://hq.example', definitions]) {
      assert.throws(() => new LeaseholdProvider(source), ArgumentError)
    }
    for (const options of [
      ...[null, 5, { tenantOf: 'tenant' }, { tenant: () => 'a' }, { flags: 5 }, { flags: { a: null } }],
      ...[{ flags: { a: { variant: {} } } }, { flags: { a: { variants: ['x'] } } }, { flags: { a: { metadata: 5 } } }],
      ...[{ x: null }, { x: {} }, { x: [1] }, { x: NaN }, { x: 1n }, { revision: 3 }].map((metadata) => ({
        flags: { a: { metadata } },
      })),
      ...[
        { x: 1n },
        { x: NaN },
        { x: undefined },
        { x: [new Date(0)] },
        { x: 1, y: 1 },
        { x: { a: 1, b: 2 }, y: { b: 2, a: 1 } },
      ].map((variants) => ({ flags: { a: { variants } } })),
      ...[{ toJSON: () => null }, { toJSON: () => 'abc' }, closed()].map((variants) => ({
        flags: { a: { variants } },
      })),
      ...[{ flags: closed() }, { flags: { a: closed() } }, { flags: { a: { metadata: closed() } } }],
      {
        flags: {
          a: {
            get variants() {
              throw new Error('no')
            },
          },
        },
      },
    ]) {
      assert.throws(() => new LeaseholdProvider(make(), options), ArgumentError)
    }
    for (const [source, closes] of [
      [make(), false],
      [Promise.resolve(make()), false],
      [() => make(), true],
      [async () => make(), true],
    ]) {
      let engine = await (typeof source === 'function' ? undefined : source)
      const spied = typeof source === 'function' ? async () => (engine = await source()) : source
      const provider = new LeaseholdProvider(spied)
      assert.deepEqual([provider.metadata.name, provider.runsOn], ['leasehold', 'server'])
      await OpenFeature.setProviderAndWait('life', provider)
      assert.equal(await OpenFeature.getClient('life').getBooleanValue('a-boolean', false, PLAIN), true)
      await provider.onClose()
      assert.equal(engine.closed, closes)
      // Whoever asks it still is told; and closing twice is closing once.
      assert.equal((await provider.resolveBooleanEvaluation('a-boolean', false, PLAIN)).errorCode, 'PROVIDER_NOT_READY')
      await provider.onClose()
      await OpenFeature.clearProviders()
    }
  })

  test('a promise that fails is no unhandled rejection, and what is no engine is fatal', async () => {
    const failing = new LeaseholdProvider(Promise.reject(new Error('too late')))
    await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(failing.initialize(), /too late/)
    const wrong = new LeaseholdProvider(() => ({}))
    await assert.rejects(wrong.initialize(), (error) => error.code === ErrorCode.PROVIDER_FATAL)
    const follow = { url: 'http://127.0.0.1:9', token: 'lht_none', engineId: 'orders-1', trust: '{}' }
    const untrusted = new LeaseholdProvider(() => Engine.follow(follow))
    await assert.rejects(untrusted.initialize(), (error) => {
      assert.deepEqual([error.code, error.cause.code], [ErrorCode.PROVIDER_FATAL, 'malformed'])
      return true
    })
  })

  test('what failed is tried again when it is set again', async () => {
    let tries = 0
    const provider = new LeaseholdProvider(() => {
      tries += 1
      if (tries === 1) {
        throw new Error('not yet')
      }
      return make()
    })
    await assert.rejects(OpenFeature.setProviderAndWait('again', provider), /not yet/)
    await OpenFeature.clearProviders()
    await OpenFeature.setProviderAndWait('again', provider)
    assert.equal(await OpenFeature.getClient('again').getBooleanValue('a-boolean', false, PLAIN), true)
  })

  test('an engine that is made while its provider is closed is closed as well', async () => {
    const { promise, resolve } = withResolvers()
    const provider = new LeaseholdProvider(() => promise)
    const ready = provider.initialize()
    const closed = provider.onClose()
    const engine = make()
    resolve(engine)
    await Promise.all([ready, closed])
    assert.ok(engine.closed)
    assert.equal((await provider.resolveBooleanEvaluation('a-boolean', false, PLAIN)).errorCode, 'PROVIDER_NOT_READY')
  })

  test('a provider that was closed makes another engine when it is set again', async () => {
    const engines = []
    const provider = new LeaseholdProvider(() => engines[engines.push(make()) - 1])
    await provider.initialize()
    await provider.onClose()
    await provider.initialize()
    assert.equal((await provider.resolveBooleanEvaluation('a-boolean', false, PLAIN)).value, true)
    assert.deepEqual(
      engines.map((engine) => engine.closed),
      [true, false],
    )
    await provider.onClose()
  })

  test('several domains: one provider for two, another engine for a third', async () => {
    let made = 0
    const shared = new LeaseholdProvider(() => {
      made += 1
      return make(1)
    })
    await OpenFeature.setProviderAndWait('one', shared)
    await OpenFeature.setProviderAndWait('two', shared)
    await OpenFeature.setProviderAndWait('three', new LeaseholdProvider(() => make(3)))
    const revisions = async () => {
      const asked = ['one', 'two', 'three'].map(async (domain) => {
        const client = OpenFeature.getClient(domain)
        const { flagMetadata, errorCode } = await client.getBooleanDetails('a-boolean', false, PLAIN)
        return errorCode ?? flagMetadata.revision
      })
      return Promise.all(asked)
    }
    assert.deepEqual([await revisions(), made], [[1, 1, 3], 1])
    // One of two domains takes another provider: the other one goes on.
    await OpenFeature.setProviderAndWait('one', new LeaseholdProvider(() => make(2)))
    assert.deepEqual(await revisions(), [2, 1, 3])
  })

  test('an engine that is closed under it: an error event, once, and the default of the code', async () => {
    const engine = make()
    await OpenFeature.setProviderAndWait('closed', new LeaseholdProvider(engine))
    const client = OpenFeature.getClient('closed')
    let events = 0
    client.addHandler(ProviderEvents.Error, () => void (events += 1))
    const failed = next(client, ProviderEvents.Error)
    await engine.close()
    for (let asked = 0; asked < 3; asked += 1) {
      const details = await client.getBooleanDetails('a-boolean', true, PLAIN)
      assert.deepEqual([details.value, details.errorCode], [true, 'GENERAL'])
      assert.match(details.errorMessage, /closed/)
    }
    assert.match((await failed).message, /closed/)
    assert.deepEqual([client.providerStatus, events], [ProviderStatus.ERROR, 1])
    // One that was closed before it was handed in never gets ready.
    await assert.rejects(OpenFeature.setProviderAndWait('late', new LeaseholdProvider(engine)), { code: 'closed' })
  })

  test('the same for those who require it', () => {
    const require = createRequire(import.meta.url)
    assert.equal(require('leasehold/openfeature').LeaseholdProvider, LeaseholdProvider)
  })
})

describe('freshness', () => {
  test('a snapshot that expires is stale, and ready again with the next one', async () => {
    const engine = make(7, { expiresAt: Date.now() + 60 })
    const provider = new LeaseholdProvider(engine)
    await OpenFeature.setProviderAndWait('fresh', provider)
    const client = OpenFeature.getClient('fresh')
    const stale = await next(client, ProviderEvents.Stale)
    assert.deepEqual([stale.metadata.revision, client.providerStatus], [7, ProviderStatus.STALE])
    // It goes on answering, and says so.
    const details = await client.getBooleanDetails('a-boolean', false, PLAIN)
    assert.deepEqual([details.value, details.flagMetadata.freshness], [true, 'stale'])
    const ready = next(client, ProviderEvents.Ready)
    engine.swap(make(8, { expiresAt: Date.now() + HOUR }).snapshot())
    assert.equal((await client.getBooleanDetails('a-boolean', false, PLAIN)).flagMetadata.freshness, 'fresh')
    assert.equal((await ready).metadata.revision, 8)
    assert.equal(client.providerStatus, ProviderStatus.READY)
  })

  test('one that has expired before it begins is ready, then stale', async () => {
    const provider = new LeaseholdProvider(make(7, { issuedAt: Date.now() - HOUR, expiresAt: Date.now() - 1 }))
    const seen = []
    for (const event of [ProviderEvents.Ready, ProviderEvents.Stale]) {
      OpenFeature.addHandler(event, ({ domain }) => void (domain === 'old' && seen.push(event)))
    }
    const stale = next(OpenFeature.getClient('old'), ProviderEvents.Stale)
    await OpenFeature.setProviderAndWait('old', provider)
    await stale
    assert.deepEqual(seen, [ProviderEvents.Ready, ProviderEvents.Stale])
  })

  test('an expiry beyond what a timer can wait for', async () => {
    const warnings = []
    const hear = (warning) => warnings.push(warning.name)
    process.on('warning', hear)
    const provider = new LeaseholdProvider(make(7, { expiresAt: Date.now() + 400 * 24 * HOUR }))
    await OpenFeature.setProviderAndWait('far', provider)
    for (let turn = 0; turn < 3; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    process.off('warning', hear)
    assert.deepEqual([OpenFeature.getClient('far').providerStatus, warnings], [ProviderStatus.READY, []])
  })
})

describe('an engine that follows', () => {
  let desk
  before(async () => {
    desk = await Desk.open()
    await desk.build()
  })
  after(async () => desk.close())
  const write = (file, document) => writeFile(desk.at('definitions', file), JSON.stringify(document))

  test('tells of changes until the provider is closed, which closes it', async () => {
    let engine
    const provider = new LeaseholdProvider(async () => {
      engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 20 })
      return engine
    })
    await OpenFeature.setProviderAndWait('followed', provider)
    const client = OpenFeature.getClient('followed')
    const [id] = engine.snapshot().tenantIds()
    const key = 'changed_by_a_test'
    const asked = async () => client.getStringDetails(key, 'none', { targetingKey: id })
    assert.equal((await asked()).errorCode, 'FLAG_NOT_FOUND')

    const publish = async (to) => {
      const told = next(client, ProviderEvents.ConfigurationChanged)
      const other = { features: { [key]: value('string', to) } }
      await write('changed.json', other)
      await desk.build()
      return told
    }
    const first = await publish('first')
    assert.deepEqual([first.flagsChanged, first.providerName], [[key], 'leasehold'])
    assert.equal(first.metadata.revision, engine.snapshot().revision)
    assert.equal((await asked()).value, 'first')
    const second = await publish('second')
    assert.deepEqual(second.flagsChanged, [key])
    assert.ok(second.metadata.revision > first.metadata.revision)
    assert.equal((await asked()).value, 'second')

    let heard = 0
    client.addHandler(ProviderEvents.ConfigurationChanged, () => void (heard += 1))
    await provider.onClose()
    assert.ok(engine.closed)
    await OpenFeature.clearProviders()
    assert.equal(heard, 0)
  })

  test('that was handed in goes on when the provider is closed, and tells it nothing more', async () => {
    const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 20 })
    try {
      const provider = new LeaseholdProvider(engine)
      const heard = []
      provider.events.addHandler(ProviderEvents.ConfigurationChanged, (details) => void heard.push(details))
      await provider.initialize()
      await provider.onClose()
      const changed = new Promise((resolve) => engine.on('change', resolve))
      await write('changed.json', { features: { changed_by_a_test: value('string', 'third') } })
      await desk.build()
      await changed
      assert.deepEqual([engine.closed, heard], [false, []])
    } finally {
      await engine.close()
    }
  })

  test('a tenant that comes changes all flags of its own: none is named', async () => {
    const engine = await Engine.follow({ directory: desk.at('snapshots'), trust: desk.trust, pollMs: 20 })
    try {
      await OpenFeature.setProviderAndWait('come', new LeaseholdProvider(engine))
      const client = OpenFeature.getClient('come')
      const told = next(client, ProviderEvents.ConfigurationChanged)
      await write('come.json', { tenants: { 'has-come': tenant({ region: 'GCC-OM' }) } })
      await desk.build()
      assert.equal((await told).flagsChanged, undefined)
      const details = await client.getStringDetails('changed_by_a_test', '', { targetingKey: 'has-come' })
      assert.equal(details.reason, 'STATIC')
    } finally {
      await engine.close()
    }
  })
})
