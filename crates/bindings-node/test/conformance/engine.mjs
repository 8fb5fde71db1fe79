// Questions to an engine, and definitions that are built.

import { bytesOf, engineOf, fail, host, onlyKeys, same, text, time } from './corpus.mjs'
import { askWorkflow, plainBlocker } from './workflow.mjs'

/** As often as it takes for a tenant to answer from its table, and then once more. */
const UNTIL_FROM_TABLE = 5

/** The outcome of a question: its answer, or what its error says. That it is not in this build is no answer. */
export function outcome(ask) {
  try {
    return { answer: ask() }
  } catch (error) {
    if (!(error instanceof host.engine.LeaseholdError) || error.code === 'not_in_build') {
      throw error
    }
    const { code, message, stage, item, blockers } = error
    return { error: { code, message, stage, item, blockers: blockers?.map(plainBlocker) } }
  }
}

/** Asks the engine, by id and again through a handle; both must agree. */
export function ask(engine, call, args) {
  return askWorkflow(engine, call, args) ?? outcome(() => answer(engine, call, args))
}

function answer(engine, call, args) {
  const now = time(args.now)
  const { action } = args
  if (call === 'diff' || call === 'changes') {
    return engineOf(text(args, 'other')).snapshot()[call](engine.snapshot(), now)
  }
  const tenant = text(args, 'tenant')
  const feature = () => text(args, 'feature')
  const held = () => engine.tenant(tenant)
  switch (call) {
    case 'is_enabled':
      return { value: agreed(engine, tenant, feature(), now, action) }
    case 'is_enabled_or': {
      const otherwise = args.default
      const on = engine.isEnabledOr(tenant, feature(), otherwise, now)
      const handle = outcome(held).answer
      for (let times = 0; handle !== undefined && times < UNTIL_FROM_TABLE; times += 1) {
        same(handle.isEnabledOr(feature(), otherwise, now), on)
      }
      return { value: on }
    }
    case 'decide': {
      const decision = held().decide(feature(), now, action)
      const enabled = outcome(() => agreed(engine, tenant, feature(), now, action))
      // What is no switch is decided, and is not enabled or disabled.
      same(enabled.answer ?? enabled.error.code, enabled.error ? 'wrong_kind' : decision.enabled)
      return decision
    }
    case 'value':
      return { value: held().value(feature(), now) }
    case 'check_limit':
      return held().checkLimit(feature(), args.used, args.requested, now)
    case 'entitlements':
      return held().entitlements(now)
    case 'answer_table': {
      // The vectors have texts, and the package what a clock says.
      const table = held().answerTable(now, action)
      for (const [key, on] of Object.entries(table.answers)) {
        same(agreed(engine, tenant, key, now, action), on, key)
      }
      const [from, until] = [table.from, table.until].map((ms) => (ms === null ? null : new Date(ms).toISOString()))
      return { ...table, from: spelt(from), until: spelt(until) }
    }
    case 'evaluate':
      return held().evaluate(feature(), now)
    case 'evaluate_all': {
      const all = held().evaluateAll(now)
      same(
        all.flags,
        all.flags.map(({ key }) => held().evaluate(key, now)),
      )
      return all
    }
    case 'explain': {
      const explanation = held().explain(feature(), now, action)
      same(explanation.decision, held().decide(feature(), now, action), '`explain` and `decide` differ')
      return explanation
    }
    case 'what_if':
      onlyKeys(args.change ?? {}, ['plan', 'version', 'add_ons', 'without'], 'change')
      return held().whatIf(args.change ?? {}, args.usage, now)
    case 'diff_tenants': {
      const other = text(args, 'other')
      const difference = engine.snapshot().diffTenants(tenant, other, now)
      same(held().diff(other, now), difference)
      return difference
    }
    default:
      return fail(`unknown call \`${call}\``)
  }
}

/** What everybody says who can be asked whether a switch is on: across, from the table, by id and by handle. */
function agreed(engine, tenant, feature, now, action) {
  const across = outcome(() => engine.isEnabled(tenant, feature, now, action))
  for (let times = 0; times < UNTIL_FROM_TABLE; times += 1) {
    const held = outcome(() => engine.tenant(tenant).isEnabled(feature, now, action))
    same(held, across)
    same(
      outcome(() => engine.isEnabled(tenant, feature, new Date(now), action)),
      across,
    )
  }
  return engine.tenant(tenant).isEnabled(feature, now, action)
}

/** A time as vectors write it: parts of a second only where there are any. */
function spelt(time) {
  return time === null ? null : time.replace('.000Z', 'Z')
}

/** What is found in definitions. */
export function build(args) {
  const files = Object.entries(args.files).map(([name, content]) => ({ name, content: bytesOf(content) }))
  const brief = (found) => found.map(({ file, path, code }) => ({ file, path, code }))
  try {
    const engine = host.engine.Engine.fromDefinitions(files, { issuedAt: time('2026-03-10T12:00:00Z') })
    return { answer: { errors: [], warnings: brief(engine.snapshot().warnings()) } }
  } catch (error) {
    if (!(error instanceof host.engine.DefinitionsError)) {
      throw error
    }
    return { answer: { errors: brief(error.diagnostics), warnings: [] } }
  }
}
