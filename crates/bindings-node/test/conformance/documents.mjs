// What is signed, hashed and carried: documents, and what is to be said of each.

import assert from 'node:assert/strict'
import { Engine } from 'leasehold'
import {
  canonicalForm,
  checkCanonical,
  hashOf,
  hashOfDefinitions,
  isStaged,
  keyId,
  openChunk,
  placeOf,
  verifyCertificate,
  verifyHead,
  verifySlice,
} from 'leasehold/documents'
import { ask, outcome } from './engine.mjs'
import { bytes, bytesOf, fail, onlyKeys, text, trust } from './vectors.mjs'

const calls = {
  canonical(args) {
    const document = bytesOf(args.document)
    checkCanonical(document)
    // What is read is what is written.
    const written = new TextDecoder().decode(document)
    assert.equal(canonicalForm(JSON.parse(written)), written)
    return { canonical: true }
  },
  place: (args) => placeOf(text(args, 'tenant')),
  key_id: (args) => ({ id: keyId(text(args, 'key')) }),
  definitions_hash: (args) => ({ hash: hashOfDefinitions(args.definitions) }),
  staging: (args) => ({ included: isStaged(text(args, 'engine'), text(args, 'candidate'), args.share_permille) }),
  verify_certificate: (args) => verifyCertificate(bytesOf(args.document), trust(args)),
  verify_head: (args) =>
    verifyHead(bytesOf(args.document), trust(args), args.seen === undefined ? undefined : bytesOf(args.seen)),
  verify_slice: (args) => verifySlice(bytesOf(args.document), text(args, 'tenant'), trust(args)),
  open_pack(args) {
    const named = args.pack.name
    const pack = named === undefined ? bytesOf(args.pack) : bytes(`packs/${named}.pack`)
    const engine = Engine.fromPack(pack, trust(args))
    const { revision, issued_at, expires_at, definitions, tenants, needs } = engine.snapshot().about
    assert.equal(engine.snapshot().tenantIds().length, tenants)
    const says = { revision, issued_at, expires_at, definitions, tenants, needs }
    if (args.ask === undefined) {
      return says
    }
    onlyKeys(args.ask, ['call', 'args'], 'ask')
    const { answer, error } = ask(engine, text(args.ask, 'call'), args.ask.args)
    return { ...says, answer: answer ?? fail(JSON.stringify(error)) }
  },
  open_chunk(args) {
    const { hash, length } = args.reference
    const content = openChunk(args.reference, text(args, 'encoding'), bytesOf(args.bytes))
    assert.deepEqual([hashOf(content), content.length], [hash, length])
    return { length: content.length }
  },
}

/** The outcome of a question about documents; nothing where the call is none. */
export function askDocuments(call, args) {
  return Object.hasOwn(calls, call) ? outcome(() => calls[call](args)) : undefined
}
