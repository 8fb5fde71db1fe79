// The evaluation features of OpenFeature's specification, against the provider for its server SDK.

import { AsyncLocalStorageTransactionContextPropagator, OpenFeature, ProviderEvents } from '@openfeature/server-sdk'
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
