// The evaluation features of OpenFeature's specification, against the provider for its web SDK.

import { isDeepStrictEqual } from 'node:util'
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk'
import { suite } from '../../bindings-node/test/openfeature_spec/suite.mjs'
import { Engine, init } from '../dist/full.js'
import { LeaseholdWebProvider } from '../dist/openfeature.js'

await init()
await suite(
  {
    OpenFeature,
    ProviderEvents,
    Engine,
    Provider: LeaseholdWebProvider,
    async ask(client, form, key, fallback, context, options) {
      // Whoever sets a context waits for the provider, if only for the same one again.
      if (!isDeepStrictEqual(OpenFeature.getContext(), context)) {
        await OpenFeature.setContext(context)
      }
      return client[`get${form}`](key, fallback, options)
    },
    forget: () => OpenFeature.clearContexts(),
  },
  {
    'contextMerging: ': 'the web SDK has one context: that of the API, or of a domain',
    'evaluation_v2: Asynchronous': 'the web SDK answers at once',
  },
)
