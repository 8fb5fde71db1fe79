// Where Leasehold answers something else, on purpose, than the specification's scenarios expect of a provider that keeps its
// flags in memory. This is all of it: whatever is not listed has to be as the scenarios say. docs/openfeature-node.md has the
// same table.

import assert from 'node:assert/strict'

export const DIFFERENCES = {
  static: {
    suite: 'the reason `STATIC`, of a flag that is the same for everybody',
    ours: '`DEFAULT`',
    why: 'it is the global default, which is what `DEFAULT` says. The next publication, a block or a kill switch may change it, and what is `STATIC` may be kept',
  },
  cached: {
    suite: 'the reason `CACHED`, the second time',
    ours: 'the reason of the first time',
    why: 'there is no cache: every question is decided, in process',
  },
  variant: {
    suite: 'names of variants, such as `greeting` or `ten`',
    ours: '`on`',
    why: 'a feature has a value, with no name beside it: a tenant has it or not',
  },
  fraction: {
    suite: 'the float 0.5',
    ours: 'the text `"0.5"`, asked for as a string',
    why: 'there are no floats: amounts, rates and prices are exact in every language',
  },
  off: {
    suite: 'the default of the code, for a flag that is disabled',
    ours: 'what is empty of its type: `false`, `""`, `0`, `{}`',
    why: 'off is an answer. A kill switch or a block must not turn into whatever the code has as its default',
  },
  metadata: {
    suite: 'metadata that somebody wrote for a flag, or none',
    ours: 'where the answer comes from: reason, layer, revision',
    why: 'features carry no data beside their value, and every answer says where it comes from',
  },
  details: {
    suite: 'details that cannot be changed',
    ours: 'metadata that cannot be changed',
    why: 'the SDKs for JavaScript make the details, and freeze the metadata alone',
  },
}

const METADATA = ['definitions', 'freshness', 'kind', 'reason', 'revision', 'source']

/** What is expected of Leasehold where the specification's scenario expects something. Notes the differences that it met. */
export class Expected {
  /** The names of differences. */
  met = new Set()

  reason(suite) {
    const name = { STATIC: 'static', CACHED: 'cached' }[suite]
    return name === undefined ? suite : this.#instead(name, 'DEFAULT')
  }

  variant(suite) {
    const isOurs = suite === undefined || ['on', 'off'].includes(suite)
    return isOurs ? suite : this.#instead('variant', 'on')
  }

  /** @param flag `isText`: a decimal, asked for as a text; `isOff`: it was killed. */
  value(suite, { isText, isOff }) {
    const asked = isText ? this.#instead('fraction', String(suite)) : suite
    if (!isOff) {
      return asked
    }
    const empty = { boolean: false, string: '', number: 0, object: {} }[typeof asked]
    // A default of the code that is empty itself is no difference.
    return asked === empty ? asked : this.#instead('off', empty)
  }

  /** Metadata are not what was written for the flag, but always the same names. */
  metadata(found) {
    this.#instead('metadata')
    assert.deepEqual(Object.keys(found).sort(), METADATA)
    assert.deepEqual([found.reason, found.revision], ['granted', 7])
  }

  frozen(details) {
    this.#instead('details')
    assert.ok(Object.isFrozen(details.flagMetadata))
  }

  #instead(name, value) {
    assert.ok(name in DIFFERENCES)
    this.met.add(name)
    return value
  }
}
