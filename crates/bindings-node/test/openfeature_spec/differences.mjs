// Where Leasehold answers something else, on purpose, than the specification's scenarios expect. This is all of it: whatever is
// not listed has to be as the scenarios say. docs/openfeature-node.md has the same table.

import assert from 'node:assert/strict'

export const DIFFERENCES = {
  cached: {
    suite: 'the reason `CACHED`, the second time',
    ours: 'the reason of the first time',
    why: 'there is no cache: every question is decided, in process',
  },
  metadata: {
    suite: 'no metadata, of a flag for which nobody wrote any',
    ours: 'where the answer comes from: reason, layer, revision',
    why: 'every answer says where it comes from',
  },
}

const METADATA = ['definitions', 'freshness', 'kind', 'reason', 'revision', 'source']

/** What is expected of Leasehold where the specification's scenario expects something. Notes the differences that it met. */
export class Expected {
  /** The names of differences. */
  met = new Set()

  reason(suite) {
    return suite === 'CACHED' ? this.#instead('cached', 'STATIC') : suite
  }

  /** Metadata that nobody wrote. */
  noMetadata(found) {
    this.#instead('metadata')
    assert.deepEqual(Object.keys(found).sort(), METADATA)
    assert.deepEqual([found.reason, found.revision], ['granted', 7])
  }

  #instead(name, value) {
    assert.ok(name in DIFFERENCES)
    this.met.add(name)
    return value
  }
}
