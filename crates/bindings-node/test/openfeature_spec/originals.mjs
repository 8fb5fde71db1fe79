// The specification's own feature files, read by the parser of Cucumber, with the steps that they are made of.

import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** A flag that a deprecated scenario asks for, and the test data lack. */
const CONTEXT_AWARE = {
  variants: { internal: 'INTERNAL', external: 'EXTERNAL' },
  defaultVariant: 'external',
  contextEvaluator: "fn == 'Sulisław' ? 'internal' : ''",
}

/** The scenarios of a copy of the specification, by its folder `specification`, and the flags that they ask for. */
export async function originals(folder) {
  const { AstBuilder, GherkinClassicTokenMatcher, Parser, compile } = await import('@cucumber/gherkin')
  const { IdGenerator } = await import('@cucumber/messages')
  const newId = IdGenerator.incrementing()
  const parser = new Parser(new AstBuilder(newId), new GherkinClassicTokenMatcher())
  const at = join(folder, 'assets', 'gherkin')
  const flags = JSON.parse(await readFile(join(at, 'test-flags.json'), 'utf8'))
  const scenarios = []
  for (const file of (await readdir(at)).filter((name) => name.endsWith('.feature')).sort()) {
    const document = parser.parse(await readFile(join(at, file), 'utf8'))
    for (const { name, steps } of compile(document, file, newId)) {
      const tables = ({ argument }) => argument?.dataTable?.rows.map(({ cells }) => cells.map(({ value }) => value))
      scenarios.push({
        name: `${file.replace('.feature', '')}: ${name}`,
        steps: steps.map((step) => ({ text: step.text, table: tables(step) })),
      })
    }
  }
  return { flags: { ...flags, 'context-aware': CONTEXT_AWARE }, scenarios }
}

/** Does what a step says. */
export async function take(world, { text, table }) {
  const found = STEPS.flatMap(([pattern, step]) => {
    const match = pattern.exec(text)
    return match === null ? [] : [() => step(world, ...match.slice(1), table)]
  })
  assert.equal(found.length, 1, `one step has to fit: ${text}`)
  await found[0]()
}

/** A value as features write it. */
function read(type, text) {
  switch (type.toLowerCase()) {
    case 'boolean':
      assert.match(text, /^(true|false)$/)
      return text === 'true'
    case 'integer':
    case 'float':
      assert.notEqual(Number(text), Number.NaN)
      return Number(text)
    case 'object':
      return JSON.parse(text.replaceAll('\\"', '"'))
    default:
      assert.equal(type.toLowerCase(), 'string')
      return text
  }
}

const capital = (type) => type[0].toUpperCase() + type.slice(1)
const readAs = (world, text) => read(world.asked.type, text)

async function ask(world, type, key, fallback, form) {
  world.flag(capital(type), key, fallback)
  await world.evaluate(form)
}

function fields(world, ...given) {
  const [names, values] = [given.slice(0, 3), given.slice(3, 6)]
  const [images, title, count] = [read('boolean', values[0]), values[1], Number(values[2])]
  world.valueIs(Object.fromEntries(names.map((name, place) => [name, [images, title, count][place]])))
}

const TYPE = '(boolean|string|integer|float|object)'
const STEPS = [
  // Providers, flags, contexts.
  [/^an? (stable|not ready|error|fatal|stale) provider$/, (world, status) => world.provider(status)],
  [/^a stable provider with retrievable context is registered$/, (world) => world.attentive()],
  [
    /^an? (\w+)-flag with key "(.*)" and a fallback value "(.*)"$/,
    (world, type, key, fallback) => world.flag(capital(type), key, read(type, fallback)),
  ],
  [
    /^a context containing a key "(.*)", with type "(.*)" and with value "(.*)"$/,
    (world, key, type, value) => void (world.context[key] = read(type, value)),
  ],
  [/^a context containing a key "(.*)" with null value$/, (world, key) => void (world.context[key] = null)],
  [
    /^context contains keys "(.*)", "(.*)", "(.*)", "(.*)" with values "(.*)", "(.*)", (\d+), "(.*)"$/,
    (world, ...given) => {
      const values = [given[4], given[5], Number(given[6]), given[7]]
      world.context = Object.fromEntries(given.slice(0, 4).map((key, place) => [key, values[place]]))
    },
  ],
  [/^an evaluation context with modifiable data$/, (world) => void (world.context = { list: [1, { deep: true }] })],
  [/^a client with added hook$/, (world) => world.addHook()],
  [
    /^evaluation options containing specific hooks$/,
    (world) => void (world.hooks = ['0', '1'].map((name) => world.hook(name))),
  ],
  // Levels of contexts.
  [
    /^A context entry with key "(.*)" and value "(.*)" is added to the "(.*)" level$/,
    (world, key, value, level) => void (world.levels[level] = { [key]: value }),
  ],
  [
    /^A table with levels of increasing precedence$/,
    (world, table) => void (world.precedence = table.map(([level]) => level)),
  ],
  [
    /^Context entries for each level from API level down to the "(.*)" level, with key "(.*)" and value ".*"$/,
    (world, last, key) => {
      // Each has a value of its own, so that it shows which one counts.
      const levels = world.precedence.slice(0, world.precedence.indexOf(last) + 1)
      world.levels = Object.fromEntries(levels.map((level) => [level, { [key]: level }]))
    },
  ],
  [/^Some flag was evaluated$/, (world) => world.evaluateMerged()],
  [
    /^The merged context contains an entry with key "(.*)" and value "(.*)"$/,
    (world, key, value) => world.merged(key, value),
  ],
  // Questions.
  [
    /^the flag was evaluated with details( asynchronously| using the evaluation options)?$/,
    async (world) => {
      world.before = structuredClone(world.context)
      await world.evaluate()
    },
  ],
  [
    new RegExp(`^an? ${TYPE} flag with key "([^"]*)" is evaluated with (details and )?default value "?([^"]*)"?$`),
    (world, type, key, details, fallback) => ask(world, type, key, read(type, fallback), details ? 'Details' : 'Value'),
  ],
  [
    /^an object flag with key "([^"]*)" is evaluated with (details and )?a null default value$/,
    (world, key, details) => ask(world, 'object', key, null, details ? 'Details' : 'Value'),
  ],
  [
    /^a flag with key "([^"]*)" is evaluated with default value "(.*)"$/,
    (world, key, fallback) => ask(world, 'string', key, fallback, 'Value'),
  ],
  [
    /^a non-existent string flag with key "(.*)" is evaluated with details and a fallback value "(.*)"$/,
    (world, key, fallback) => ask(world, 'string', key, fallback),
  ],
  [
    /^a string flag with key "(.*)" is evaluated as an integer, with details and a fallback value (\d+)$/,
    (world, key, fallback) => ask(world, 'integer', key, Number(fallback)),
  ],
  // Answers.
  [/^the resolved details value should be "(.*)"$/, (world, value) => world.valueIs(readAs(world, value))],
  [
    new RegExp(`^the resolved ${TYPE} (?:value|response) should be "?([^"]*)"?$`),
    (world, type, value) => world.valueIs(read(type, value)),
  ],
  [
    new RegExp(
      `^the resolved ${TYPE} details value should be "?([^"]*)"?, the variant should be "(.*)", and the reason should be "(.*)"$`,
    ),
    (world, type, value, variant, reason) => {
      world.valueIs(read(type, value))
      world.variantIs(variant)
      world.reasonIs(reason)
    },
  ],
  [
    /^the resolved object (?:details )?value should be contain fields "(.*)", "(.*)", and "(.*)", with values "(.*)", "(.*)" and (\d+), respectively$/,
    fields,
  ],
  [
    /^the resolved flag value is "(.*)" when the context is empty$/,
    async (world, value) => {
      world.context = {}
      await world.evaluate('Value')
      world.valueIs(value)
    },
  ],
  [/^the default (?:string|integer) value should be returned$/, (world) => world.valueIs(world.asked.fallback)],
  [/^the flag key should be "(.*)"$/, (world, key) => assert.equal(world.details.flagKey, key)],
  [/^the variant should be "([^"]*)"$/, (world, variant) => world.variantIs(variant)],
  [/^the reason should be "(.*)"$/, (world, reason) => world.reasonIs(reason)],
  [
    /^the variant should be "([^"]*)", and the reason should be "(.*)"$/,
    (world, variant, reason) => {
      world.variantIs(variant)
      world.reasonIs(reason)
    },
  ],
  [/^the error-code should be "(.*)"$/, (world, code) => world.errorIs(code)],
  [
    /^the reason should indicate an error and the error code should indicate a (?:missing flag|type mismatch) with "(.*)"$/,
    (world, code) => {
      world.reasonIs('ERROR')
      world.errorIs(code)
    },
  ],
  [/^the provider status should be "(.*)"$/, (world, status) => assert.equal(world.client.providerStatus, status)],
  [
    /^the resolved metadata should contain$/,
    (world, table) => {
      const rows = table.slice(1).map(([key, type, value]) => [key, read(type, value)])
      world.metadataHas(Object.fromEntries(rows))
    },
  ],
  [/^the resolved metadata is empty$/, (world) => world.metadataIsEmpty()],
  [
    /^the original evaluation context should remain unmodified$/,
    (world) => assert.deepEqual(world.context, world.before),
  ],
  [/^the evaluation details should be immutable$/, (world) => assert.ok(Object.isFrozen(world.details))],
  [/^the evaluation should complete without blocking$/, (world) => assert.ok(world.answered instanceof Promise)],
  // Hooks.
  [/^the "(\w+)" hook should have been executed$/, (world, stage) => world.ranAt(stage)],
  [/^the specified hooks should execute during evaluation$/, (world) => world.ranAt('after')],
  [/^the hook order should be maintained$/, (world) => world.ranInOrder()],
  [
    /^the "(.*)" hooks should be called with evaluation details$/,
    (world, stages, table) => {
      const rows = table.slice(1).map(([type, key, value]) => [key, value === 'null' ? undefined : read(type, value)])
      world.hooksHad(stages.split(', '), Object.fromEntries(rows))
    },
  ],
]
