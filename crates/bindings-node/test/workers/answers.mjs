// What engines say, wherever they are asked.

import { QuestionError } from 'leasehold'
import { engineOf } from '../conformance/vectors.mjs'

export const NOW = Date.parse('2026-03-10T12:00:00Z')

export function answers() {
  const shop = engineOf('shop')
  const machine = engineOf('guards').tenant('t').machine('guards')
  const tenant = shop.tenant('t1')
  const heard = []
  for (let times = 0; times < 5; times += 1) {
    heard.push(tenant.isEnabled('orders', NOW), shop.isEnabled('t1', 'labs', NOW))
  }
  heard.push(tenant.checkLimit('max_users', 1, 1, NOW), tenant.explain('orders', NOW), tenant.entitlements(NOW))
  heard.push(machine.check('start', 'integer_equal', { inputs: { n: 5 } }))
  try {
    tenant.isEnabled('nothing')
  } catch (error) {
    heard.push(error instanceof QuestionError, error.code)
  }
  return JSON.stringify(heard)
}
