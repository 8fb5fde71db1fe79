// Scripts for a follower: what happens, one event after another, and what it is to do about each.

import { bytesOf, fail, host, onlyKeys, text, time, trust, wrong } from './corpus.mjs'
import { ask } from './engine.mjs'

/** Follows a script; gives the first step whose outcome is another, with what is wrong. */
export async function follow(args, documents) {
  onlyKeys(args, ['trust', 'engine', 'tenant', 'steps'], 'args')
  const script = new Script(args, documents)
  for (const [at, step] of args.steps.entries()) {
    const what = wrong(await script.take(step), step)
    if (what !== undefined) {
      return `step ${at}: ${what}`
    }
  }
  return undefined
}

/** A follower, and what its host remembers. */
class Script {
  #args
  #documents = new Map()
  /** The names of documents by their hashes: of two that are alike, the first. */
  #names = new Map()
  #follower
  #timers = []
  #tokens = []
  /** The head that was remembered last as the highest that was seen. */
  #seen

  constructor(args, documents) {
    this.#args = args
    for (const [name, document] of Object.entries(documents)) {
      const bytes = bytesOf(document)
      this.#documents.set(name, bytes)
      const hash = host.documents.hashOf(bytes)
      this.#names.set(hash, this.#names.get(hash) ?? name)
    }
    this.#follower = this.#begun()
  }

  #begun() {
    const trusted = trust(this.#args)
    const { engine, tenant } = this.#args
    const written = typeof trusted === 'string' ? trusted : JSON.stringify(trusted)
    return new host.inside.native.NativeFollower(written, engine, tenant, undefined)
  }

  /** What comes of a step: actions and health, or an answer. */
  async take(step) {
    if ('call' in step) {
      onlyKeys(step, ['call', 'args', 'expect', 'error'], 'step')
      const { Engine, Snapshot } = host.engine
      const snapshot = this.#follower.snapshot() ?? fail(`nothing to answer from: ${JSON.stringify(step)}`)
      return ask(new Engine(new Snapshot(snapshot)), text(step, 'call'), step.args)
    }
    onlyKeys(step, ['event', 'now', 'random', 'expect', 'error'], 'step')
    const now = time(step.now)
    let taken
    try {
      taken = await this.#happens(step.event, now, step.random ?? 0)
    } catch (thrown) {
      const refused = host.inside.told(thrown)
      const { code, stage, item } = refused
      if (code === 'not_in_build') {
        throw refused
      }
      return { error: this.#named({ code, stage, item }) }
    }
    const actions = taken.map((action) => this.#action(action)).filter((action) => !this.#isSeen(action))
    const health = JSON.parse(this.#follower.health(now))
    return { answer: { ...this.#named(health), faults: health.faults.map(({ code }) => code), actions } }
  }

  /** To remember the same head once more comes to nothing. */
  #isSeen(action) {
    if (!('persist_seen' in action)) {
      return false
    }
    const before = this.#seen
    this.#seen = action.persist_seen
    return before === action.persist_seen
  }

  async #happens(event, now, random) {
    const [kind, said, ...more] = typeof event === 'string' ? [event] : Object.entries(event).flat()
    if (more.length > 0) {
      fail(`two events at once: ${JSON.stringify(event)}`)
    }
    switch (kind) {
      case 'restore':
        return this.#restore(said, now)
      case 'open':
        return this.#remember(await this.#follower.open(this.#document(said), now))
    }
    const actions = []
    for (const happened of this.#read(kind, said)) {
      actions.push(...(await this.#follower.handle(happened, now, random)))
    }
    return this.#remember(actions)
  }

  #read(kind, said) {
    const before = (list, steps) => list.at(-1 - steps) ?? fail(`\`${kind}\`: none yet`)
    const content = (name, as = name) => {
      const hash = host.documents.hashOf(this.#document(name))
      return { type: 'chunk', hash, encoding: 'raw', document: this.#document(as) }
    }
    switch (kind) {
      case 'started':
      case 'notified':
      case 'connection_lost':
        return [{ type: kind }]
      case 'timer':
        return [{ type: 'timer', number: before(this.#timers, 0) }]
      case 'timer_before':
        return [{ type: 'timer', number: before(this.#timers, 1) }]
      case 'head':
        return [{ type: 'head', document: this.#document(said) }]
      case 'not_modified':
        return [{ type: 'not_modified', ...(said === null ? {} : { document: this.#document(said) }) }]
      case 'head_failed':
        return [{ type: 'head_failed', why: said }]
      case 'chunks':
        return said.map((name) => content(name))
      case 'damaged':
        onlyKeys(said, ['chunk', 'as'], 'damaged')
        return [content(text(said, 'chunk'), text(said, 'as'))]
      case 'chunk_missing':
        return [{ type: kind, hash: host.documents.hashOf(this.#document(said)) }]
      case 'chunk_failed':
        return [{ type: kind, hash: host.documents.hashOf(this.#document(said)), why: '503' }]
      case 'persisted':
        return [{ type: 'persisted', number: before(this.#tokens, 0) }]
      case 'persisted_before':
        return [{ type: 'persisted', number: before(this.#tokens, 1) }]
      case 'not_persisted':
        return [{ type: 'not_persisted', number: before(this.#tokens, 0), why: 'the disk is full' }]
      default:
        return fail(`unknown event \`${kind}\``)
    }
  }

  /** Begins again, with what was kept. */
  async #restore(kept, now) {
    onlyKeys(kept, ['head', 'seen', 'contents'], 'restore')
    const [head, seen] = [kept.head, kept.seen].map((name) => (name === undefined ? undefined : this.#document(name)))
    const contents = (kept.contents ?? [...this.#documents.keys()]).map((name) => {
      const bytes = this.#document(name)
      return { hash: host.documents.hashOf(bytes), encoding: 'raw', bytes }
    })
    this.#follower = this.#begun()
    this.#seen = undefined
    return this.#remember(await this.#follower.restore(head, seen, contents, now))
  }

  #remember(actions) {
    for (const { type, number } of actions) {
      if (type === 'wait') {
        this.#timers.push(number)
      } else if (type === 'persist') {
        this.#tokens.push(number)
      }
    }
    return actions
  }

  #action({ type, hash, ms, number, document, chunks, obsolete, report }) {
    switch (type) {
      case 'fetch_head':
        return { fetch_head: hash === undefined ? null : this.#name(hash) }
      case 'fetch_chunk':
        return { fetch_chunk: this.#name(hash) }
      case 'wait':
        return { wait_ms: ms }
      case 'swap':
        return { swap: number }
      case 'persist': {
        const names = (hashes) => hashes.map((one) => this.#name(one)).sort()
        const head = this.#name(host.documents.hashOf(document))
        return { persist: { head, chunks: names(chunks.map((chunk) => chunk.hash)), obsolete: names(obsolete) } }
      }
      case 'persist_seen':
        return { persist_seen: this.#name(host.documents.hashOf(document)) }
      case 'report':
        return { report: this.#named(JSON.parse(report)) }
      default:
        return fail(`unknown action \`${type}\``)
    }
  }

  #document(name) {
    return this.#documents.get(name) ?? fail(`no document is called \`${name}\``)
  }

  /** The name of a document, or its hash where it has none. */
  #name(hash) {
    return this.#names.get(hash) ?? hash
  }

  /** The same with the names of documents in place of their hashes. */
  #named(value) {
    let written = JSON.stringify(value)
    for (const [hash, name] of this.#names) {
      written = written.replaceAll(hash, name)
    }
    return JSON.parse(written)
  }
}
