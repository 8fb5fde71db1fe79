// The provider for OpenFeature's web SDK. What it shares with Node's provider (how a feature becomes a resolution, what is said
// of freshness) is tested there in full, and here by examples.

import assert from 'node:assert/strict'
import { afterEach, before, describe, mock, test } from 'node:test'
import { ErrorCode, OpenFeature, ProviderEvents, ProviderStatus } from '@openfeature/web-sdk'
import { ArgumentError, Engine, init, InitError, OptionsError } from '../dist/full.js'
import { LeaseholdWebProvider } from '../dist/openfeature.js'
import { feature, MORNING, NOON, set, small } from './support/small.mjs'

const HOUR = 3_600_000
const A = { targetingKey: 'a' }
const B = { targetingKey: 'b' }

before(async () => init())
afterEach(async () => {
  mock.timers.reset()
  OpenFeature.clearHandlers()
  await OpenFeature.clearProviders()
  await OpenFeature.clearContexts()
})

const make = (of = {}, stamp = {}) => Engine.fromDefinitions(small(of), { revision: 1, ...stamp })
/** A slice is about one tenant. */
const slice = (id) => {
  const { tenants, ...others } = small()
  return Engine.fromDefinitions({ ...others, tenants: { [id]: tenants[id] } })
}
const next = (target, event) => new Promise((resolve) => target.addHandler(event, resolve))
const turns = async (count = 5) => {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}
function withResolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

describe('answers', () => {
  test('values and details of every type, at once', async () => {
    mock.timers.enable({ apis: ['Date'], now: MORNING })
    await OpenFeature.setProviderAndWait(new LeaseholdWebProvider(make()), A)
    const client = OpenFeature.getClient()
    for (const [type, key, initial, expected, variant] of [
      ['Boolean', 'pdf', false, true, 'on'],
      ['Number', 'seats', 1, 5, 'on'],
      ['Number', 'endless', 1, Number.MAX_SAFE_INTEGER, 'unlimited'],
      ['String', 'locked', 'bye', 'x', 'on'],
      ['Object', 'theme', {}, { accent: 'teal' }, 'on'],
    ]) {
      const details = client[`get${type}Details`](key, initial)
      assert.deepEqual([details.value, details.variant, details.errorCode], [expected, variant, undefined], key)
      assert.deepEqual(client[`get${type}Value`](key, initial), expected)
    }
    const { reason, flagMetadata } = client.getBooleanDetails('pdf', false)
    const { definitions, ...said } = flagMetadata
    assert.equal(reason, 'TARGETING_MATCH')
    assert.match(definitions, /^[0-9a-f]{64}$/)
    assert.deepEqual(said, { kind: 'switch', reason: 'granted', revision: 1, freshness: 'fresh', source: 'plan' })
  })

  test('what has no answer is the default of the code, and why', async () => {
    await OpenFeature.setProviderAndWait(new LeaseholdWebProvider(make()), A)
    const client = OpenFeature.getClient()
    for (const [type, key, initial, code] of [
      ['Boolean', 'nothing', true, ErrorCode.FLAG_NOT_FOUND],
      ['String', 'seats', 'many', ErrorCode.TYPE_MISMATCH],
    ]) {
      const details = client[`get${type}Details`](key, initial)
      assert.deepEqual([details.value, details.reason, details.errorCode], [initial, 'ERROR', code])
    }
  })

  test('tenants are named by tenant_org_id, else by the targeting key, else by the slice', async () => {
    const seen = async (source, context, options) => {
      await OpenFeature.setProviderAndWait('named', new LeaseholdWebProvider(source, options), context)
      const details = OpenFeature.getClient('named').getBooleanDetails('chat', false)
      await OpenFeature.clearProviders()
      return details.errorCode ?? details.value
    }
    const other = make({ overrides: { 1: set('chat', false) } })
    for (const [source, context, expected, options] of [
      [other, { targetingKey: 'b' }, true],
      [other, { targetingKey: 'b', tenant_org_id: 'a' }, false],
      [other, { targetingKey: 'user 17' }, 'INVALID_CONTEXT'],
      [other, { targetingKey: 17 }, 'INVALID_CONTEXT'],
      [other, {}, 'TARGETING_KEY_MISSING'],
      [() => other, {}, 'TARGETING_KEY_MISSING'],
      [slice('b'), {}, true],
      [Promise.resolve(slice('b')), { email: 'x@example.com' }, true],
      [other, { shop: 'a', targetingKey: 'b' }, false, { tenantOf: ({ shop }) => shop }],
    ]) {
      assert.equal(await seen(source, context, options), expected, JSON.stringify(context))
    }
  })
})

describe('life of a provider', () => {
  test('takes an engine, a promise or a function, and nothing else', async () => {
    for (const source of [undefined, null, {}, 'https://hq.example']) {
      assert.throws(() => new LeaseholdWebProvider(source), ArgumentError)
    }
    for (const options of [null, 5, { tenantOf: 'tenant' }, { tenant: () => 'a' }]) {
      assert.throws(() => new LeaseholdWebProvider(make(), options), ArgumentError)
    }
    for (const [source, closes] of [
      [make(), false],
      [Promise.resolve(make()), false],
      [() => make(), true],
      [async () => make(), true],
    ]) {
      let engine = await (typeof source === 'function' ? undefined : source)
      const spied = typeof source === 'function' ? async (tenant) => (engine = await source(tenant)) : source
      const provider = new LeaseholdWebProvider(spied)
      assert.deepEqual([provider.metadata.name, provider.runsOn], ['leasehold', 'client'])
      await OpenFeature.setProviderAndWait('life', provider, A)
      assert.equal(OpenFeature.getClient('life').getBooleanValue('chat', false), true)
      await provider.onClose()
      assert.equal(engine.closed, closes)
      assert.equal(provider.resolveBooleanEvaluation('chat', false, A).errorCode, 'PROVIDER_NOT_READY')
      await provider.onClose()
      await OpenFeature.clearProviders()
    }
  })

  test('what no second try would mend is fatal; what failed is tried again', async () => {
    const wrong = new LeaseholdWebProvider(() => ({}))
    await assert.rejects(wrong.initialize(A), (error) => error.code === ErrorCode.PROVIDER_FATAL)
    const options = new LeaseholdWebProvider(async () => {
      throw new OptionsError('invalid_token', 'no token')
    })
    await assert.rejects(options.initialize(A), (error) => error.code === ErrorCode.PROVIDER_FATAL)
    let tries = 0
    const provider = new LeaseholdWebProvider(() => {
      tries += 1
      if (tries === 1) {
        throw new InitError('wasm_unavailable', 'no network')
      }
      return make()
    })
    await assert.rejects(OpenFeature.setProviderAndWait('again', provider, A), /no network/)
    await OpenFeature.clearProviders()
    await OpenFeature.setProviderAndWait('again', provider, A)
    assert.equal(OpenFeature.getClient('again').getBooleanValue('chat', false), true)
  })

  test('an engine that is made while its provider is closed is closed as well', async () => {
    const { promise, resolve } = withResolvers()
    const provider = new LeaseholdWebProvider(() => promise)
    const ready = provider.initialize(A)
    const closed = provider.onClose()
    const engine = make()
    resolve(engine)
    await Promise.all([ready, closed])
    assert.ok(engine.closed)
  })

  test('an engine that is closed under it: an error event, once', async () => {
    const engine = make()
    await OpenFeature.setProviderAndWait('closed', new LeaseholdWebProvider(engine), A)
    const client = OpenFeature.getClient('closed')
    let events = 0
    client.addHandler(ProviderEvents.Error, () => void (events += 1))
    await engine.close()
    for (let asked = 0; asked < 3; asked += 1) {
      const details = client.getBooleanDetails('chat', true)
      assert.deepEqual([details.value, details.errorCode], [true, 'GENERAL'])
    }
    await turns()
    assert.deepEqual([client.providerStatus, events], [ProviderStatus.ERROR, 1])
  })
})

describe('another context', () => {
  /** Makes slices, and knows them. */
  function maker() {
    const made = []
    const source = (tenant) => {
      const engine = slice(tenant)
      made.push({ tenant, engine })
      return engine
    }
    return { made, source, open: () => made.filter(({ engine }) => !engine.closed).map(({ tenant }) => tenant) }
  }

  test('another tenant: another engine, and the old one is closed', async () => {
    mock.timers.enable({ apis: ['Date'], now: MORNING })
    const { made, source, open } = maker()
    await OpenFeature.setProviderAndWait('turn', new LeaseholdWebProvider(source), A)
    const client = OpenFeature.getClient('turn')
    assert.deepEqual([client.getBooleanValue('pdf', false), open()], [true, ['a']])
    await OpenFeature.setContext('turn', B)
    assert.deepEqual([client.getBooleanValue('pdf', true), open(), client.providerStatus], [false, ['b'], 'READY'])
    // Somebody else of the same tenant changes nothing.
    let reconciled = 0
    client.addHandler(ProviderEvents.Reconciling, () => void (reconciled += 1))
    await OpenFeature.setContext('turn', { ...B, user: 'u' })
    assert.deepEqual([open(), made.length, reconciled], [['b'], 2, 0])
    // Who logs out is nobody, and who logs in again is somebody.
    await OpenFeature.setContext('turn', {})
    assert.deepEqual([client.getBooleanDetails('pdf', true).errorCode, open()], ['TARGETING_KEY_MISSING', []])
    await OpenFeature.setContext('turn', A)
    assert.deepEqual([client.getBooleanValue('pdf', false), open()], [true, ['a']])
  })

  test('before anybody logs in', async () => {
    const { source, open } = maker()
    await OpenFeature.setProviderAndWait('late', new LeaseholdWebProvider(source))
    const client = OpenFeature.getClient('late')
    assert.deepEqual([client.providerStatus, open()], ['READY', []])
    assert.equal(client.getBooleanDetails('chat', false).errorCode, 'TARGETING_KEY_MISSING')
    await OpenFeature.setContext('late', B)
    assert.equal(client.getBooleanValue('chat', false), true)
  })

  test('while the next engine is being made, nothing of the last tenant is answered; the last one named counts', async () => {
    const waiting = {}
    const engines = []
    const provider = new LeaseholdWebProvider((tenant) => {
      if (tenant === 'a') {
        return slice('a')
      }
      waiting[tenant] = withResolvers()
      return waiting[tenant].promise
    })
    await OpenFeature.setProviderAndWait('slow', provider, A)
    const client = OpenFeature.getClient('slow')
    const b = OpenFeature.setContext('slow', B)
    const during = client.getBooleanDetails('chat', false)
    assert.deepEqual([during.errorCode, client.providerStatus], ['PROVIDER_NOT_READY', 'RECONCILING'])
    const c = OpenFeature.setContext('slow', { targetingKey: 'c' })
    engines.push(slice('b'))
    waiting.b.resolve(engines[0])
    await turns()
    // The one that came too late is closed, and nobody thinks that it is ready.
    assert.deepEqual([engines[0].closed, client.providerStatus], [true, 'RECONCILING'])
    assert.equal(client.getBooleanDetails('chat', false).errorCode, 'PROVIDER_NOT_READY')
    const { tenants, ...others } = small()
    waiting.c.resolve(Engine.fromDefinitions({ ...others, tenants: { c: tenants.b } }))
    await Promise.all([b, c])
    assert.deepEqual([client.getBooleanValue('chat', false), client.providerStatus], [true, 'READY'])
  })

  /** Engines of which one takes its time to close, all of them with a trial that ends at noon. */
  function slowToClose(stamps) {
    const { promise: closing, resolve: close } = withResolvers()
    const engines = {}
    const { tenants, ...others } = small()
    const source = (tenant) => {
      const engine = Engine.fromDefinitions({ ...others, tenants: { [tenant]: tenants.a } }, stamps[tenant])
      engines[tenant] = engine
      if (tenant === 'a') {
        engine.close = async () => {
          await closing
          return Engine.prototype.close.call(engine)
        }
      }
      return engine
    }
    return { engines, source, close }
  }

  test('an engine that waits for the last one to close is heard no more once another tenant is named', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: MORNING })
    const stamps = { a: { revision: 1 }, b: { revision: 2 }, c: { revision: 3 } }
    const { engines, source, close } = slowToClose(stamps)
    const provider = new LeaseholdWebProvider(source)
    await OpenFeature.setProviderAndWait('heard', provider, A)
    const told = []
    for (const event of [ProviderEvents.Stale, ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]) {
      provider.events.addHandler(event, ({ metadata, flagsChanged }) =>
        told.push([event, metadata.revision, flagsChanged]),
      )
    }
    const b = OpenFeature.setContext('heard', B)
    await turns()
    const c = OpenFeature.setContext('heard', { targetingKey: 'c' })
    await turns()
    const { tenants, ...others } = small()
    const stale = { revision: 4, issuedAt: MORNING - HOUR, expiresAt: MORNING - 1 }
    engines.b.swap(Engine.fromDefinitions({ ...others, tenants: { b: tenants.a } }, stale).snapshot())
    mock.timers.tick(NOON - MORNING + 1)
    // Nor does it take away what the one that counts has to tell.
    assert.deepEqual(told, [[ProviderEvents.ConfigurationChanged, 3, ['locked', 'pdf', 'vans']]])
    assert.equal(OpenFeature.getClient('heard').providerStatus, ProviderStatus.READY)
    close()
    await Promise.all([b, c])
    assert.deepEqual([engines.a.closed, engines.b.closed, engines.c.closed], [true, true, false])
  })

  test('an engine that is stale before the last one is closed is so afterwards', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: MORNING })
    const { source, close } = slowToClose({ b: { issuedAt: MORNING - HOUR, expiresAt: MORNING - 1 } })
    await OpenFeature.setProviderAndWait('waits', new LeaseholdWebProvider(source), A)
    const b = OpenFeature.setContext('waits', B)
    await turns()
    mock.timers.tick(1)
    close()
    await b
    mock.timers.tick(1)
    assert.equal(OpenFeature.getClient('waits').providerStatus, ProviderStatus.STALE)
  })

  test('an engine that cannot be made: an error, and another try', async () => {
    let fails = true
    const provider = new LeaseholdWebProvider(async (tenant) => {
      if (tenant === 'b' && fails) {
        throw new Error('no network')
      }
      return slice(tenant)
    })
    await OpenFeature.setProviderAndWait('fails', provider, A)
    const client = OpenFeature.getClient('fails')
    const quiet = { debug() {}, info() {}, warn() {}, error() {} }
    OpenFeature.setLogger(quiet)
    const error = next(client, ProviderEvents.Error)
    await OpenFeature.setContext('fails', B)
    assert.match((await error).message, /no network/)
    assert.equal(client.providerStatus, 'ERROR')
    assert.equal(client.getBooleanDetails('chat', false).errorCode, 'PROVIDER_NOT_READY')
    fails = false
    await OpenFeature.setContext('fails', { ...B })
    assert.deepEqual([client.getBooleanValue('chat', false), client.providerStatus], [true, 'READY'])
  })

  test('an engine that was handed in answers for whomever it knows, and stays open', async () => {
    mock.timers.enable({ apis: ['Date'], now: MORNING })
    const engine = make()
    await OpenFeature.setProviderAndWait('handed', new LeaseholdWebProvider(engine), A)
    const client = OpenFeature.getClient('handed')
    assert.equal(client.getBooleanValue('pdf', false), true)
    await OpenFeature.setContext('handed', B)
    assert.equal(client.getBooleanValue('pdf', true), false)
    assert.equal(engine.closed, false)
  })
})

describe('events', () => {
  test('a new snapshot: the flags that are others for this tenant, and nothing where none is', async () => {
    const engine = make()
    await OpenFeature.setProviderAndWait('changes', new LeaseholdWebProvider(engine), A)
    const client = OpenFeature.getClient('changes')
    const told = []
    client.addHandler(ProviderEvents.ConfigurationChanged, (details) => told.push(details))
    const swap = (revision, of) => engine.swap(make(of, { revision }).snapshot())
    swap(2, {})
    swap(3, { overrides: { 1: set('chat', false) }, more: { extra: feature({ kind: 'switch' }) } })
    swap(4, { without: ['chat'] })
    await turns()
    assert.deepEqual(
      told.map(({ flagsChanged, metadata }) => [metadata.revision, flagsChanged]),
      [
        [3, ['chat', 'extra']],
        [4, ['chat', 'extra']],
      ],
    )
    assert.equal(client.providerStatus, ProviderStatus.READY)
  })

  test('a trial that ends at noon', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: MORNING })
    await OpenFeature.setProviderAndWait('noon', new LeaseholdWebProvider(make()), A)
    const client = OpenFeature.getClient('noon')
    const told = []
    client.addHandler(ProviderEvents.ConfigurationChanged, ({ flagsChanged }) => told.push(flagsChanged))
    mock.timers.tick(NOON - MORNING - 1)
    assert.deepEqual([told, client.getBooleanValue('pdf', false)], [[], true])
    mock.timers.tick(2)
    assert.deepEqual([told, client.getBooleanValue('pdf', true)], [[['locked', 'pdf', 'vans']], false])
  })

  test('stale, still stale in another context, and ready again', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: MORNING })
    const engine = make({}, { issuedAt: MORNING - HOUR, expiresAt: MORNING + 60 })
    await OpenFeature.setProviderAndWait('fresh', new LeaseholdWebProvider(engine), B)
    const client = OpenFeature.getClient('fresh')
    mock.timers.tick(1)
    assert.equal(client.providerStatus, ProviderStatus.READY)
    mock.timers.tick(60)
    assert.equal(client.providerStatus, ProviderStatus.STALE)
    assert.equal(client.getBooleanDetails('chat', false).flagMetadata.freshness, 'stale')
    // The SDK says that it is ready, and is told that it is not.
    await OpenFeature.setContext('fresh', { ...B, user: 'u' })
    mock.timers.tick(1)
    assert.equal(client.providerStatus, ProviderStatus.STALE)
    engine.swap(make({}, { revision: 2, expiresAt: MORNING + HOUR }).snapshot())
    assert.equal(client.providerStatus, ProviderStatus.READY)
  })

  test('nothing is told once the provider is closed', async () => {
    const engine = make()
    const provider = new LeaseholdWebProvider(engine)
    const told = []
    provider.events.addHandler(ProviderEvents.ConfigurationChanged, (details) => told.push(details))
    await provider.initialize(A)
    await provider.onClose()
    engine.swap(make({ without: ['chat'] }, { revision: 2 }).snapshot())
    assert.deepEqual([told, engine.closed], [[], false])
  })
})
