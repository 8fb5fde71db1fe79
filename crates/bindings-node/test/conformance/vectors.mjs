// The corpus in Node: read from the disk, and asked of the package as it was built.

import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as engine from 'leasehold'
import * as documents from 'leasehold/documents'
import { use } from './corpus.mjs'

export { bytes, engineOf, read, trust } from './corpus.mjs'

const require = createRequire(import.meta.url)
const { native } = require('../../dist/native.js')
const { told } = require('../../dist/errors.js')
const folder = new URL('../../../../tests/conformance/', import.meta.url)

use({
  names: readdirSync(folder),
  file: (name) => new Uint8Array(readFileSync(new URL(name, folder))),
  engine,
  documents,
  inside: { native, told },
  lacks: { capabilities: [], calls: [] },
})
