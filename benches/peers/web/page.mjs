// What a page runs: the contest, with the peers' builds for browsers.

import * as leasehold from 'leasehold-web/full'
import { RulesEngineJS } from 'schematic-rules-engine'
import { contest } from './contest.mjs'

/** The peer's client is for Node; this is what it does around the same WebAssembly. */
class RulesEngineClient {
  async initialize() {
    this.engine = new RulesEngineJS()
  }

  async checkFlag(flag, company) {
    return JSON.parse(this.engine.checkFlagWithOptions(JSON.stringify(flag), JSON.stringify(company)))
  }
}

globalThis.contested = (async () => {
  await leasehold.init()
  return contest(leasehold, {
    '@cedar-policy/cedar-wasm': async () => {
      const cedar = await import('@cedar-policy/cedar-wasm/web')
      await cedar.default({ module_or_path: '/cedar.wasm' })
      return cedar
    },
    '@schematichq/schematic-typescript-node': async () => ({ RulesEngineClient }),
  })
})()
