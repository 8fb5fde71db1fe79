// Runs every vector of the corpus against the package that is in use, and says what it lacks.

import { engineOf, ensure, fail, host, onlyKeys, read, same, text, wrong } from './corpus.mjs'
import { askDocuments } from './documents.mjs'
import { ask, build } from './engine.mjs'
import { follow } from './following.mjs'
import { askNoPack } from './workflow.mjs'

const FILE_KEYS = ['about', 'pack', 'documents', 'cases']
const CASE_KEYS = ['id', 'rule', 'needs', 'call', 'args', 'expect', 'error']
/** What a case may need. A case that needs anything else fails. */
const CAPABILITIES = ['build', 'rhai', 'zstd']

/**
 * Of all vectors: how many `passed`, what was wrong with those that `failed`, and how many were not to be answered by what it
 * `lacks`. A call that is left out and was not said to be is a failure, and so is one that is there after all.
 */
export async function run() {
  const index = read('index.json')
  same(index.version, 1)
  same(index.capabilities, CAPABILITIES, 'this runner does not know what vectors may need')
  const listed = ['index.json', 'trust.json', 'vectors.schema.json', ...index.files.map(({ file }) => file)]
  for (const file of host.names.filter((name) => name.endsWith('.json'))) {
    ensure(listed.includes(file), `\`index.json\` does not list ${file}`)
  }
  const found = { passed: 0, failed: [], lacks: {} }
  for (const { file, cases } of index.files) {
    const outcomes = await outcomesOf(file)
    same(outcomes.length, cases, `${file} has lost or gained cases: correct \`index.json\``)
    for (const { lacks, what } of outcomes) {
      if (lacks !== undefined) {
        found.lacks[lacks] = (found.lacks[lacks] ?? 0) + 1
      } else if (what !== undefined) {
        found.failed.push(what)
      } else {
        found.passed += 1
      }
    }
  }
  for (const call of host.lacks.calls.filter((call) => !(call in found.lacks))) {
    found.failed.push(`  \`${call}\` was to be left out, and no case shows that it is`)
  }
  return found
}

/** Of each case of a file what is wrong with it, or what it cannot be answered without. */
async function outcomesOf(file) {
  const { pack, documents = {}, cases, ...rest } = read(file)
  onlyKeys(rest, FILE_KEYS, file)
  let made
  const engine = () => (made ??= engineOf(pack ?? fail('it has no pack, or an unknown call')))
  const ids = new Set()
  const found = []
  for (const one of cases) {
    const id = text(one, 'id')
    ensure(!ids.has(id), `${file} has two cases \`${id}\``)
    ids.add(id)
    const { lacks, what } = await outcomeOf(one, engine, documents)
    found.push({ lacks, what: what === undefined ? undefined : `  ${file} ${id}: ${what}` })
  }
  return found
}

async function outcomeOf(one, engine, documents) {
  const { capabilities, calls } = host.lacks
  const absent = (one.needs ?? []).find((need) => capabilities.includes(need))
  const left = callsOf(one).find((call) => calls.includes(call))
  try {
    onlyKeys(one, CASE_KEYS, 'case')
    for (const need of one.needs ?? []) {
      ensure(CAPABILITIES.includes(need), `unknown capability ${need}`)
    }
    if (absent !== undefined) {
      return { lacks: absent }
    }
    const what = await answered(one, engine, documents)
    // What is refused before it gets there is refused in every build.
    const isThere = left !== undefined && what === undefined && !('error' in one)
    return { what: isThere ? `\`${left}\` was to be left out, and is there` : what }
  } catch (error) {
    const isLacking = error?.code === 'not_in_build' && left !== undefined
    return isLacking ? { lacks: left } : { what: String(error?.stack ?? error) }
  }
}

/** Everything that a case asks; of scripts the events too that not every build can take. */
function callsOf({ call, args }) {
  const kind = (event) => (typeof event === 'string' ? event : Object.keys(event ?? {})[0])
  const steps = (args?.steps ?? []).map(({ call, event }) => call ?? `follow: ${kind(event)}`)
  return [call, args?.ask?.call, ...steps]
}

async function answered(one, engine, documents) {
  const { args } = one
  const call = text(one, 'call')
  switch (call) {
    case 'follow':
      return follow(args, documents)
    case 'build':
      return wrong(build(args), one)
    default:
      return wrong(askDocuments(call, args) ?? askNoPack(call, args, documents) ?? ask(engine(), call, args), one)
  }
}
