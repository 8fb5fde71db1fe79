// Documents that differ in what changes from run to run, and have to be of one shape.

import assert from 'node:assert/strict'

/** Fails where the two have other members, or values of other types. An empty list is of any shape. */
export function sameShape(actual, shown, at = '') {
  assert.equal(kind(actual), kind(shown), `${at}: ${JSON.stringify(actual)} where ${JSON.stringify(shown)} is shown`)
  if (kind(shown) === 'object') {
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(shown).sort(), at)
    Object.entries(shown).forEach(([key, value]) => sameShape(actual[key], value, `${at}/${key}`))
  } else if (kind(shown) === 'list' && shown.length > 0) {
    actual.forEach((item, index) => sameShape(item, shown[Math.min(index, shown.length - 1)], `${at}/${index}`))
  }
}

const kind = (value) => (value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value)
