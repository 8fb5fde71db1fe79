// Whatever is passed in: see `support/bad_input.mjs`. Here is what only the addon has.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { InternalError, QuestionError } from 'leasehold'
import { engineOf } from './conformance/vectors.mjs'
import { badInput } from './support/bad_input.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../dist/native.js')
const { asked } = require('../dist/arguments.js')
const { told } = require('../dist/errors.js')

badInput()

test('a native tenant is not made by hand', () => {
  assert.throws(() => new native.NativeTenant())
})

test('errors of another realm, as test runners have them, are told all the same', () => {
  const text = JSON.stringify({ kind: 'question', code: 'unknown_tenant', message: 'nobody' })
  const error = told(runInNewContext('new Error(text)', { text }))
  assert.ok(error instanceof QuestionError)
  assert.deepEqual([error.code, error.message], ['unknown_tenant', 'nobody'])
  assert.ok(told(runInNewContext('new WebAssembly.RuntimeError("unreachable")')) instanceof InternalError)
})

test('a panic is one error of one call', () => {
  assert.equal(typeof native.panics, 'function', 'these tests run on a development build')
  const one = engineOf('shop').tenant('t1')
  const now = Date.parse('2026-03-10T12:00:00Z')
  for (let times = 0; times < 3; times += 1) {
    assert.throws(
      () => asked(() => native.panics()),
      (error) => error.constructor === InternalError && error.code === 'internal' && /on purpose/.test(error.message),
    )
    assert.equal(typeof one.isEnabled('orders', now), 'boolean')
    assert.equal(one.decide('orders', now).enabled, one.isEnabled('orders', now))
  }
})
