// The evaluation features of OpenFeature's specification, against the provider for its server SDK.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AsyncLocalStorageTransactionContextPropagator,
  InMemoryProvider,
  OpenFeature,
  ProviderEvents,
} from '@openfeature/server-sdk'
import { Engine } from 'leasehold'
import { LeaseholdProvider } from 'leasehold/openfeature'
import { suite } from './openfeature_spec/suite.mjs'

OpenFeature.setTransactionContextPropagator(new AsyncLocalStorageTransactionContextPropagator())

await suite({
  OpenFeature,
  ProviderEvents,
  Engine,
  Provider: LeaseholdProvider,
  ask: (client, form, key, fallback, context, options) => client[`get${form}`](key, fallback, context, options),
  /** Asks within a transaction. */
  merging: (transaction, asks) =>
    new Promise((done, failed) =>
      OpenFeature.setTransactionContext(transaction ?? {}, () => void asks().then(done, failed)),
    ),
  forget: () => OpenFeature.setContext({}),
})

test("the SDK's own provider of flags in memory says no CACHED either", async () => {
  const flag = { variants: { on: true, off: false }, defaultVariant: 'on', disabled: false }
  await OpenFeature.setProviderAndWait('memory', new InMemoryProvider({ flag }))
  const client = OpenFeature.getClient('memory')
  const twice = [await client.getBooleanDetails('flag', false), await client.getBooleanDetails('flag', false)]
  assert.deepEqual(
    twice.map(({ reason }) => reason),
    ['STATIC', 'STATIC'],
  )
})
