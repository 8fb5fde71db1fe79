// Questions about workflows: machines, what they answer, versions, merges, and what would have been.

import { bytesOf, fail, host, onlyKeys, plain, same, text } from './corpus.mjs'
import { ask, outcome } from './engine.mjs'

/** The outcome of a question that asks no pack; nothing where the call is another. */
export function askNoPack(call, args, documents) {
  switch (call) {
    case 'merge':
      return outcome(() => merged(args))
    case 'upgraded':
      return upgraded(args, documents)
    default:
      return undefined
  }
}

const calls = {
  machine: (engine, args) => shape(machineOf(engine, args)),
  transitions: (engine, args) => transitions(engine, args),
  check_transition: (engine, args) => check(engine, args),
  explain_move: (engine, args) => explain(machineOf(engine, args), args),
  covering_paths: (engine, args) => coveringPaths(machineOf(engine, args)),
  picture: (engine, args) => picture(engine, machineOf(engine, args), args),
  compare_versions(engine, args) {
    const answer = engine.snapshot().compareVersions(text(args, 'workflow'), args.from, args.to)
    return { ...answer, changes: answer.changes.map((change) => plain(change, { category: null })) }
  },
  upgrade: (engine, args) => shapeOfUpgrade(upgradeOf(engine, args)),
  replay(engine, args) {
    for (const logged of args.log) {
      onlyKeys(logged, ['tenant', 'category', 'from', 'to', 'inputs', 'texts', 'roles'], 'log')
    }
    const answer = engine.snapshot().replay(text(args, 'workflow'), args.version, args.log)
    return { ...answer, refused: answer.refused.map((one) => plainBlockers(plain(one, { category: null }))) }
  },
}

/** The outcome of a question about workflows; nothing where the call is another. */
export function askWorkflow(engine, call, args) {
  return Object.hasOwn(calls, call) ? outcome(() => calls[call](engine, args)) : undefined
}

/** The machine, made and taken from the cache; all must be the same. */
function machineOf(engine, args) {
  const [tenant, workflow] = [text(args, 'tenant'), text(args, 'workflow')]
  const made = outcome(() => engine.tenant(tenant).machine(workflow, args.category))
  for (let times = 0; times < 2; times += 1) {
    const again = outcome(() => engine.tenant(tenant).machine(workflow, args.category))
    same(brief(again), brief(made), 'the cache has another machine')
  }
  return engine.tenant(tenant).machine(workflow, args.category)
}

function brief({ answer, error }) {
  return answer === undefined ? error : shape(answer)
}

export function plainBlocker(blocker) {
  return plain(blocker, { binding: null, guard: null })
}

function plainBlockers(answer) {
  return { ...answer, blockers: (answer.blockers ?? []).map(plainBlocker) }
}

function shape(machine) {
  const { workflow, version, category, stages, inputs, needs_rhai } = machine.about
  const transitions = machine.transitions(stages[0]?.stage ?? '').map((transition) => {
    const { state: _state, blockers: _blockers, ...rest } = plain(transition, { role: null })
    return rest
  })
  return {
    workflow,
    version,
    category,
    stages,
    transitions,
    inputs: inputs.map(({ name, type }) => [name, type]),
    needs_rhai,
  }
}

/** The context of a question: `inputs`, those too long to be written out, and `roles`. */
function contextOf(args) {
  const inputs = { ...args.inputs }
  for (const [name, long] of Object.entries(args.long_inputs ?? {})) {
    if ('items' in long) {
      onlyKeys(long, ['items', 'times'], name)
      inputs[name] = Array(long.times).fill(long.items)
    } else {
      inputs[name] = new TextDecoder().decode(bytesOf(long))
    }
  }
  return { inputs, roles: args.roles ?? [] }
}

function transitions(engine, args) {
  const [stage, context] = [text(args, 'stage'), contextOf(args)]
  const answers = machineOf(engine, args).transitions(stage, context)
  const { tenant, workflow, category } = args
  same(engine.tenant(tenant).transitions(workflow, stage, context, category), answers)
  return { transitions: answers.map((answer) => plainBlockers(plain(answer, { role: null }))) }
}

function check(engine, args) {
  const [from, to, context] = [text(args, 'from'), text(args, 'to'), contextOf(args)]
  const machine = machineOf(engine, args)
  const checked = outcome(() => machine.check(from, to, context))
  // Both say the same, in different words.
  const explained = outcome(() => machine.explain(from, to, context))
  if (explained.answer !== undefined) {
    same(explained.answer.allowed ?? null, checked.answer?.transition ?? null)
  }
  const { tenant, workflow, category } = args
  const held = outcome(() => engine.tenant(tenant).checkTransition(workflow, from, to, context, category))
  same(held, checked)
  return machine.check(from, to, context)
}

function explain(machine, args) {
  const explained = machine.explain(text(args, 'from'), text(args, 'to'), contextOf(args))
  const considered = explained.considered.map((transition) => ({
    ...plain(transition, { role: null }),
    guards: transition.guards.map((guard) => plainBlockers(plain(guard, { settings: {} }))),
  }))
  return { ...plain(explained, { category: null, allowed: null, ignored: [] }), considered }
}

/** The paths, once they are seen to be paths: each begins where items begin, each move of them is allowed. */
function coveringPaths(machine) {
  const covering = machine.coveringPaths()
  const initial = machine.about.stages.find((stage) => stage.initial)?.stage
  const covered = new Set()
  for (const path of covering.paths) {
    same(path.start, initial, 'a path begins elsewhere')
    let here = path.start
    for (const { transition, from, to, role, inputs } of path.steps) {
      same(from, here, 'a path that leaps')
      here = to
      const context = { inputs, roles: role === undefined ? [] : [role] }
      machine.check(from, to, context)
      const open = machine.transitions(from, context).find((answer) => answer.transition === transition)
      same(open?.state, 'enabled', `\`${transition}\` is not enabled`)
      covered.add(transition)
    }
    same(here, path.end)
  }
  const ends = new Set(covering.paths.map((path) => path.end))
  return {
    ...plain(covering, { category: null, not_covered: [] }),
    paths: covering.paths.map((path) => ({ ...path, steps: path.steps.map((step) => plain(step, { role: null })) })),
    covered: [...covered].sort(),
    ends: [...ends].sort(),
  }
}

function picture(engine, machine, args) {
  const form = text(args, 'form')
  const options = { language: args.language, current: args.current }
  if (args.against !== undefined) {
    options.against = machineOf(engine, args.against)
  }
  const drawn = machine.picture(form, options)
  return form === 'svg' ? { hash: host.documents.hashOf(new TextEncoder().encode(drawn)) } : { text: drawn }
}

/** A value as canonical JSON; null for what is absent. */
function written(value) {
  return value === undefined ? null : host.documents.canonicalForm(value)
}

function shapeOfConflict({ path, base, ours, theirs }) {
  return { path, base: written(base), ours: written(ours), theirs: written(theirs) }
}

function merged(args) {
  onlyKeys(args, ['base', 'ours', 'theirs'], 'args')
  const { merge } = host.documents
  const { base, ours, theirs } = args
  const { result, conflicts, resolved } = merge(base, ours, theirs)
  const swapped = merge(base, theirs, ours)
  const back = swapped.conflicts.map((one) => shapeOfConflict({ ...one, ours: one.theirs, theirs: one.ours }))
  same([swapped.result, back], [result, conflicts.map(shapeOfConflict)], 'the sides are not alike')
  return {
    result: written(result),
    conflicts: conflicts.map(shapeOfConflict),
    resolved: { ours: written(resolved.ours), theirs: written(resolved.theirs) },
  }
}

function upgradeOf(engine, args) {
  const side = text(args, 'side')
  return engine.snapshot().upgrade(text(args, 'tenant'), text(args, 'workflow'), args.to, side)
}

function shapeOfUpgrade({ from, to, laid, conflicts, found }) {
  return {
    from,
    to,
    laid,
    conflicts: conflicts.map((one) => ({ ...shapeOfConflict(one), category: one.category ?? null })),
    found: found.map(({ path, code }) => ({ path, code })),
  }
}

/** Asks of definitions in which the tenant has what an upgrade comes to. */
function upgraded(args, documents) {
  onlyKeys(args, ['definitions', 'tenant', 'workflow', 'to', 'side', 'ask'], 'args')
  const document = documents[text(args, 'definitions')] ?? fail(`no document is called \`${args.definitions}\``)
  const definitions = JSON.parse(new TextDecoder().decode(bytesOf(document)))
  const compiled = () => host.engine.Engine.fromDefinitions(definitions, { issuedAt: new Date('2026-03-10T12:00:00Z') })
  const upgrade = outcome(() => upgradeOf(compiled(), args))
  if (upgrade.error !== undefined) {
    return upgrade
  }
  const tenant = definitions.tenants[text(args, 'tenant')]
  tenant.workflows = { ...tenant.workflows, [text(args, 'workflow')]: upgrade.answer.laid }
  onlyKeys(args.ask, ['call', 'args'], 'ask')
  try {
    return ask(compiled(), text(args.ask, 'call'), args.ask.args)
  } catch (error) {
    if (!(error instanceof host.engine.DefinitionsError)) {
      throw error
    }
    return { error: { code: 'refused', found: error.diagnostics.map(({ path, code }) => [path, code]) } }
  }
}
