// One scenario: a provider, questions to it, and what is expected of the answers.

import assert from 'node:assert/strict'
import { Expected } from './differences.mjs'
import { ANYBODY, made } from './flags.mjs'

const HOUR = 3_600_000

export class World {
  expected = new Expected()
  context = {}
  hooks = []
  /** Which hooks ran, with which details. */
  ran = []
  /** What stands in the context at which level. */
  levels = {}
  #sdk
  #made
  #open = () => {}
  #seen

  /**
   * @param sdk `OpenFeature`, `ProviderEvents`, `Engine` and `Provider` of an SDK; `ask(client, form, key, fallback, context,
   *   options)` its way to ask, with a form such as `StringDetails`.
   */
  constructor(sdk, flags) {
    this.#sdk = sdk
    this.#made = made(flags)
  }

  async close() {
    const { OpenFeature } = this.#sdk
    // A provider that waits for its engine is closed when it has one.
    this.#open(this.#engine())
    OpenFeature.clearHooks()
    await this.#sdk.forget()
    await OpenFeature.clearProviders()
  }

  // What is given.

  async provider(status) {
    const { OpenFeature, ProviderEvents, Provider, Engine } = this.#sdk
    const { options } = this.#made
    const set = (source) => OpenFeature.setProviderAndWait(new Provider(source, options))
    this.client = OpenFeature.getClient()
    if (status === 'stable') {
      await set(this.#engine())
    } else if (status === 'not ready') {
      OpenFeature.setProvider(new Provider(() => new Promise((open) => (this.#open = open)), options))
    } else if (status === 'error') {
      await assert.rejects(
        set(() => Promise.reject(new Error('no network'))),
        /no network/,
      )
    } else if (status === 'fatal') {
      await assert.rejects(set(() => Engine.fromDefinitions({ features: { a: 1 } })))
    } else {
      assert.equal(status, 'stale')
      const alive = setInterval(() => {}, HOUR)
      const stale = new Promise((told) => this.client.addHandler(ProviderEvents.Stale, told))
      await set(this.#engine({ issuedAt: Date.now() - HOUR, expiresAt: Date.now() - 1 }))
      await stale
      clearInterval(alive)
    }
  }

  /** A provider that sees the context that it was asked with. */
  async attentive() {
    const tenantOf = (context) => {
      this.#seen = context
      return ANYBODY
    }
    const options = { ...this.#made.options, tenantOf }
    await this.#sdk.OpenFeature.setProviderAndWait(new this.#sdk.Provider(this.#engine(), options))
    this.client = this.#sdk.OpenFeature.getClient()
  }

  flag(type, key, fallback) {
    this.asked = { type, key, fallback }
  }

  /** A hook that notes when it runs, and with what. */
  hook(name) {
    const note = (stage) => (_, details) => void this.ran.push({ name, stage, details })
    return { before: () => note('before')(), after: note('after'), error: note('error'), finally: note('finally') }
  }

  addHook() {
    this.client.addHooks(this.hook('client'))
  }

  // What is done.

  /** Asks, for the value with its details or for the value alone. */
  async evaluate(form = 'Details') {
    const { type, key, fallback } = this.asked
    const kind = { Integer: 'Number', Float: 'Number' }[type] ?? type
    const options = this.hooks.length === 0 ? {} : { hooks: this.hooks }
    const answer = this.#sdk.ask(this.client, `${kind}${form}`, key, fallback, this.context, options)
    this.answered = answer
    const found = await answer
    this.details = form === 'Details' ? found : { value: found }
  }

  /** Asks with a context at each of the levels that were given. */
  async evaluateMerged() {
    const { OpenFeature, merging } = this.#sdk
    const { API, Transaction, Client, Invocation, 'Before Hooks': hooked } = this.levels
    OpenFeature.setContext(API ?? {})
    this.client.setContext(Client ?? {})
    const hooks = hooked === undefined ? [] : [{ before: () => hooked }]
    await merging(Transaction, () => this.client.getBooleanValue('any', false, Invocation ?? {}, { hooks }))
  }

  // What is expected.

  valueIs(suite) {
    assert.deepEqual(this.details.value, suite)
  }

  variantIs(suite) {
    assert.equal(this.details.variant, suite)
  }

  reasonIs(suite) {
    assert.equal(this.details.reason, this.expected.reason(suite))
  }

  /** @param suite metadata that are there, by name. */
  metadataHas(suite) {
    const { flagMetadata } = this.details
    assert.deepEqual({ ...flagMetadata, ...suite }, flagMetadata)
  }

  metadataIsEmpty() {
    this.expected.noMetadata(this.details.flagMetadata)
  }

  errorIs(code) {
    assert.equal(this.details.errorCode, code)
  }

  /** @param suite what the details hold, by name. */
  hooksHad(stages, suite) {
    for (const stage of stages) {
      const [{ details }, another] = this.ran.filter((ran) => ran.stage === stage)
      assert.equal(another, undefined)
      assert.deepEqual(
        [details.flagKey, details.value, details.variant, details.reason, details.errorCode],
        [suite.flag_key, suite.value, suite.variant, this.expected.reason(suite.reason), suite.error_code],
      )
    }
  }

  ranAt(stage) {
    assert.ok(
      this.ran.some((ran) => ran.stage === stage),
      `no hook ran at ${stage}`,
    )
  }

  /** Hooks of a question run one after the other, and behind it the other way round. */
  ranInOrder() {
    const ran = this.ran.map(({ stage, name }) => `${stage} ${name}`)
    const names = this.hooks.map((_, place) => String(place))
    const back = names.toReversed()
    const order = [names.map((name) => `before ${name}`)]
    order.push(
      back.map((name) => `after ${name}`),
      back.map((name) => `finally ${name}`),
    )
    assert.deepEqual(ran, order.flat())
  }

  merged(key, value) {
    assert.equal(this.#seen[key], value)
  }

  #engine(stamp = {}) {
    return this.#sdk.Engine.fromDefinitions(this.#made.definitions, { revision: 7, ...stamp })
  }
}
