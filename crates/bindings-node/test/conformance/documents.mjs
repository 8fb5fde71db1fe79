// What is signed, hashed and carried: documents, and what is to be said of each.

import { bytes, bytesOf, fail, host, onlyKeys, same, text, trust } from './corpus.mjs'
import { ask, outcome } from './engine.mjs'

const calls = {
  canonical(args) {
    const { canonicalForm, checkCanonical } = host.documents
    const document = bytesOf(args.document)
    checkCanonical(document)
    // What is read is what is written.
    const written = new TextDecoder().decode(document)
    same(canonicalForm(JSON.parse(written)), written)
    return { canonical: true }
  },
  place: (args) => host.documents.placeOf(text(args, 'tenant')),
  key_id: (args) => ({ id: host.documents.keyId(text(args, 'key')) }),
  definitions_hash: (args) => ({ hash: host.documents.hashOfDefinitions(args.definitions) }),
  staging: (args) => ({
    included: host.documents.isStaged(text(args, 'engine'), text(args, 'candidate'), args.share_permille),
  }),
  verify_certificate: (args) => host.documents.verifyCertificate(bytesOf(args.document), trust(args)),
  verify_head: (args) =>
    host.documents.verifyHead(
      bytesOf(args.document),
      trust(args),
      args.seen === undefined ? undefined : bytesOf(args.seen),
    ),
  verify_slice: (args) => host.documents.verifySlice(bytesOf(args.document), text(args, 'tenant'), trust(args)),
  open_pack(args) {
    const named = args.pack.name
    const pack = named === undefined ? bytesOf(args.pack) : bytes(`packs/${named}.pack`)
    const engine = host.engine.Engine.fromPack(pack, trust(args))
    const { revision, issued_at, expires_at, definitions, tenants, needs } = engine.snapshot().about
    same(engine.snapshot().tenantIds().length, tenants)
    const says = { revision, issued_at, expires_at, definitions, tenants, needs }
    if (args.ask === undefined) {
      return says
    }
    onlyKeys(args.ask, ['call', 'args'], 'ask')
    const { answer, error } = ask(engine, text(args.ask, 'call'), args.ask.args)
    return { ...says, answer: answer ?? fail(JSON.stringify(error)) }
  },
  open_chunk(args) {
    const { hashOf, openChunk } = host.documents
    const { hash, length } = args.reference
    const content = openChunk(args.reference, text(args, 'encoding'), bytesOf(args.bytes))
    same([hashOf(content), content.length], [hash, length])
    return { length: content.length }
  },
}

/** The outcome of a question about documents; nothing where the call is none. */
export function askDocuments(call, args) {
  return Object.hasOwn(calls, call) ? outcome(() => calls[call](args)) : undefined
}
