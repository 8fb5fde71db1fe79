// The same contest in Node and in a page: our package and its peers, asked the same questions, in turns.

import { measure } from '../node/measure.mjs'
import { peers } from '../node/peers.mjs'
import { definitions, isGranted, questions } from '../node/world.mjs'

const BESIDE = {
  tenant: 'the peer is told the plan of the tenant',
  entitled: 'the peer is handed the tenant with its entitlements',
}

/**
 * What each comparison comes to.
 * @param {object} leasehold The package, initialized.
 * @param {Record<string, () => Promise<object>>} entries The peers by name, loaded when they are called.
 */
export async function contest(leasehold, entries) {
  const engine = leasehold.Engine.fromDefinitions(definitions)
  const ids = questions.map(({ tenant }) => tenant.id)
  const keys = questions.map(({ key }) => key)
  const handles = ids.map((id) => engine.tenant(id))
  const contestants = [
    { name: 'handle', ask: (n) => handles[n].isEnabled(keys[n]) },
    { name: 'texts', ask: (n) => engine.isEnabled(ids[n], keys[n]) },
    { name: 'decide', ask: (n) => handles[n].decide(keys[n]).enabled },
  ]
  const comparisons = []
  const missing = []
  for (const [name, load] of Object.entries(entries)) {
    try {
      for (const [variant, ask] of Object.entries(await peers[name].load(await load()))) {
        const theirs = `${name} ${variant}`
        contestants.push({ name: theirs, ask, answers: ask(0) instanceof Promise ? 'later' : 'now' })
        for (const [ours, id] of [
          ['handle', 'check.handle'],
          ['texts', 'check.strings'],
          ['decide', 'check.decide'],
        ]) {
          comparisons.push({ id: `${id}.${variant}`, ours, peer: name, theirs, says: BESIDE[variant] })
        }
      }
    } catch (error) {
      missing.push(`${name}: ${error.message}`)
    }
  }
  // An answer that is not the right one is no answer.
  for (const { name, ask } of contestants) {
    for (const [n, { tenant, key }] of questions.entries()) {
      if ((await ask(n)) !== isGranted(tenant, key)) {
        throw new Error(`${name} answers wrongly to whether ${tenant.id} may use ${key}`)
      }
    }
  }
  const figures = await measure(contestants)
  await engine.close()
  return { comparisons, figures: Object.fromEntries(figures), missing }
}
