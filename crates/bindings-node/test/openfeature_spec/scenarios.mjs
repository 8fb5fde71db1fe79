// The scenarios of the specification's feature files, told in our own words and with flags of our own. Each is named as the
// scenario that it stands for, and expects what that expects; differences.mjs says where Leasehold answers something else.

import assert from 'node:assert/strict'

const COLOURS = { dark: true, accent: 'teal', depth: 3 }
const METADATA = { owner: 'ops', since: 3, share: 0.25, public: false }
const VIP = 'vip@example.com'
const OTHER = 'other@example.com'
const flag = (variants, defaultVariant, more = {}) => ({ variants, defaultVariant, ...more })
const disabled = { disabled: true }
const forVip = (variant) => ({ contextEvaluator: `email == '${VIP}' ? '${variant}' : ''` })

export const FLAGS = {
  any: flag({ on: true, off: false }, 'on'),
  'with-metadata': flag({ on: true, off: false }, 'on', { flagMetadata: METADATA }),
  'a-text': flag({ welcome: 'hello', farewell: 'so long' }, 'welcome'),
  'a-count': flag({ one: 1, dozen: 12 }, 'dozen'),
  'a-rate': flag({ quarter: 0.25, tenth: 0.1 }, 'quarter'),
  'an-object': flag({ nothing: {}, colours: COLOURS }, 'colours'),
  'no-switch': flag({ zero: false, more: true }, 'zero'),
  'no-text': flag({ zero: '', more: 'text' }, 'zero'),
  'no-count': flag({ zero: 0, more: 2 }, 'zero'),
  'no-rate': flag({ zero: 0.0, more: 2.0 }, 'zero'),
  'no-object': flag({ zero: {}, more: COLOURS }, 'zero'),
  'switch-for-vip': flag({ zero: false, more: true }, 'more', forVip('zero')),
  'text-for-vip': flag({ zero: '', more: 'text' }, 'more', forVip('zero')),
  'count-for-vip': flag({ zero: 0, more: 2 }, 'more', forVip('zero')),
  'rate-for-vip': flag({ zero: 0.0, more: 2.0 }, 'more', forVip('zero')),
  'object-for-vip': flag({ zero: {}, more: COLOURS }, 'more', forVip('zero')),
  'seat-for-vip': flag({ front: 'FRONT', back: 'BACK' }, 'back', forVip('front')),
  'killed-switch': flag({ on: true, off: false }, 'on', disabled),
  'killed-text': flag({ welcome: 'hello', farewell: 'so long' }, 'welcome', disabled),
  'killed-count': flag({ one: 1, dozen: 12 }, 'dozen', disabled),
  'killed-rate': flag({ quarter: 0.25, tenth: 0.1 }, 'quarter', disabled),
  'killed-object': flag({ nothing: {}, colours: COLOURS }, 'colours', disabled),
}

/** Type, flag, fallback, value, variant. */
const VALUES = [
  ['Boolean', 'any', false, true, 'on'],
  ['String', 'a-text', 'none', 'hello', 'welcome'],
  ['Integer', 'a-count', 3, 12, 'dozen'],
  ['Float', 'a-rate', 0.75, 0.25, 'quarter'],
  ['Object', 'an-object', {}, COLOURS, 'colours'],
]
const ZEROS = [
  ['Boolean', 'no-switch', true, false],
  ['String', 'no-text', 'none', ''],
  ['Integer', 'no-count', 3, 0],
  ['Float', 'no-rate', 0.75, 0],
  ['Object', 'no-object', { b: 2 }, {}],
]
/** Type, flag, fallback, value for the one who is meant, value for all others. */
const TARGETED = [
  ['Boolean', 'switch-for-vip', true, false, true],
  ['String', 'text-for-vip', 'none', '', 'text'],
  ['Integer', 'count-for-vip', 3, 0, 2],
  ['Float', 'rate-for-vip', 0.75, 0, 2],
  ['Object', 'object-for-vip', { b: 2 }, {}, COLOURS],
]
const FALLBACKS = [
  ['Boolean', true],
  ['String', 'none'],
  ['Integer', 3],
  ['Float', 0.75],
  ['Object', { b: 2 }],
]

async function ask(world, [type, key, fallback], form) {
  world.flag(type, key, fallback)
  await world.evaluate(form)
}

async function ends(world, code, [type, fallback], key) {
  await ask(world, [type, key, fallback])
  world.valueIs(fallback)
  world.reasonIs('ERROR')
  world.errorIs(code)
}

const value = (row) => async (world) => {
  await ask(world, row, 'Value')
  world.valueIs(row[3])
}
const details = (row) => async (world) => {
  await ask(world, row)
  world.valueIs(row[3])
  world.variantIs(row[4])
  world.reasonIs('STATIC')
  assert.equal(world.details.flagKey, row[1])
}
const forOthers = (context) => async (world) => {
  world.context = context
  for (const row of TARGETED) {
    await ask(world, row)
    world.valueIs(row[4])
    world.reasonIs('DEFAULT')
  }
}
const notFound = async (world) => {
  for (const row of FALLBACKS) {
    await ends(world, 'FLAG_NOT_FOUND', row, 'not-there')
  }
}
const mismatch = async (world) => {
  for (const row of FALLBACKS) {
    await ends(world, 'TYPE_MISMATCH', row, row[0] === 'Boolean' ? 'a-text' : 'any')
  }
}
const unusable = (status, code) => async (world) => {
  await world.provider(status)
  for (const row of FALLBACKS) {
    const [, key] = of(row[0])
    await ends(world, code, row, key)
  }
}
const hooked =
  (flag, stages, { value, variant, reason, error_code }) =>
  async (world) => {
    world.addHook()
    await ask(world, flag)
    world.ranAt('before')
    world.ranAt(stages[0])
    const told = stages.filter((stage) => stage !== 'error')
    world.hooksHad(told, { flag_key: flag[1], value, variant, reason, error_code })
  }
const metadata = async (world) => {
  await ask(world, ['Boolean', 'with-metadata', false])
  world.metadataHas(METADATA)
}
const noMetadata = async (world) => {
  for (const row of VALUES.slice(0, 4)) {
    await ask(world, row)
    world.metadataIsEmpty()
  }
}
/** A name of its own at every level: all of them are there. */
const together = (levels) => async (world) => {
  await world.attentive()
  world.levels = Object.fromEntries(levels.map((level) => [level, { [level]: `of ${level}` }]))
  await world.evaluateMerged()
  levels.forEach((level) => world.merged(level, `of ${level}`))
}
/** The same name at every level up to one: that one counts. */
const over = (levels) => async (world) => {
  await world.attentive()
  for (const last of levels.keys()) {
    world.levels = Object.fromEntries(levels.slice(0, last + 1).map((level) => [level, { who: level }]))
    await world.evaluateMerged()
    world.merged('who', levels[last])
  }
}
const AT_CLIENT = ['API', 'Client', 'Invocation']
const TRANSACTION = ['API', 'Transaction', 'Client', 'Invocation']
const BOTH = [...TRANSACTION, 'Before Hooks']
const HOOKED = [...AT_CLIENT, 'Before Hooks']
const of = (type) => VALUES.find(([found]) => found === type)

export const SCENARIOS = {
  'evaluation: Resolves boolean value': value(of('Boolean')),
  'evaluation: Resolves string value': value(of('String')),
  'evaluation: Resolves integer value': value(of('Integer')),
  'evaluation: Resolves float value': value(of('Float')),
  'evaluation: Resolves object value': value(['Object', 'an-object', null, COLOURS]),
  'evaluation: Resolves boolean details': details(of('Boolean')),
  'evaluation: Resolves string details': details(of('String')),
  'evaluation: Resolves integer details': details(of('Integer')),
  'evaluation: Resolves float details': details(of('Float')),
  'evaluation: Resolves object details': details(['Object', 'an-object', null, COLOURS, 'colours']),
  'evaluation: Resolves based on context': async (world) => {
    const flag = ['String', 'seat-for-vip', 'NONE']
    for (const [context, seat] of [
      [{ email: VIP, age: 29, customer: 'false' }, 'FRONT'],
      [{}, 'BACK'],
    ]) {
      world.context = context
      await ask(world, flag, 'Value')
      world.valueIs(seat)
    }
  },
  'evaluation: Flag not found': notFound,
  'evaluation: Type error': mismatch,
  'evaluation_v2: Resolve values': async (world) => {
    for (const row of VALUES) {
      await ask(world, row)
      world.valueIs(row[3])
    }
  },
  'evaluation_v2: Resolves zero value': async (world) => {
    for (const row of ZEROS) {
      await ask(world, row)
      world.valueIs(row[3])
      world.reasonIs('STATIC')
    }
  },
  'evaluation_v2: Resolves zero value with targeting': async (world) => {
    world.context = { email: VIP }
    for (const row of TARGETED) {
      await ask(world, row)
      world.valueIs(row[3])
      world.reasonIs('TARGETING_MATCH')
    }
  },
  'evaluation_v2: Resolves zero value with targeting using default': forOthers({ email: OTHER }),
  'evaluation_v2: Flag not found error': notFound,
  'evaluation_v2: Type mismatch error': mismatch,
  'evaluation_v2: Provider not ready error': unusable('not ready', 'PROVIDER_NOT_READY'),
  'evaluation_v2: Provider in fatal state error': unusable('fatal', 'PROVIDER_FATAL'),
  'evaluation_v2: Complete evaluation details structure': async (world) => {
    for (const row of VALUES) {
      await details(row)(world)
    }
  },
  'evaluation_v2: Flag metadata in evaluation details': metadata,
  'evaluation_v2: Empty evaluation context': forOthers({}),
  'evaluation_v2: Null context values': forOthers({ email: null }),
  'evaluation_v2: Multiple context attributes targeting': async (world) => {
    world.context = { email: VIP, role: 'owner', age: 40, customer: true }
    await ask(world, ['String', 'seat-for-vip', 'NONE'])
    world.valueIs('FRONT')
    world.reasonIs('TARGETING_MATCH')
  },
  'evaluation_v2: Structure flag evaluation': details(of('Object')),
  'evaluation_v2: Variant field population': async (world) => {
    for (const row of VALUES) {
      await ask(world, row)
      world.variantIs(row[4])
    }
  },
  'evaluation_v2: CACHED reason': async (world) => {
    for (const row of [VALUES[0], VALUES[1]]) {
      await ask(world, row)
      await ask(world, row)
      world.reasonIs('CACHED')
    }
  },
  'evaluation_v2: DISABLED reason': async (world) => {
    for (const [type, fallback] of FALLBACKS) {
      const key = { Boolean: 'switch', String: 'text', Integer: 'count', Float: 'rate', Object: 'object' }[type]
      // A switch that is off is false, whatever the default is; the specification asks with false as well.
      const initial = type === 'Boolean' ? false : fallback
      await ask(world, [type, `killed-${key}`, initial])
      world.valueIs(initial)
      world.reasonIs('DISABLED')
    }
  },
  'evaluation_v2: Provider status accessibility': async (world) => {
    for (const [status, code] of [
      ['stable', 'READY'],
      ['not ready', 'NOT_READY'],
      ['error', 'ERROR'],
      ['fatal', 'FATAL'],
      ['stale', 'STALE'],
    ]) {
      await world.provider(status)
      assert.equal(world.client.providerStatus, code)
    }
  },
  'evaluation_v2: Evaluation options with hooks': async (world) => {
    world.hooks = [world.hook('0'), world.hook('1'), world.hook('2')]
    await ask(world, of('Boolean'))
    world.ranInOrder()
  },
  'evaluation_v2: Evaluation context immutability': async (world) => {
    world.context = { email: VIP, list: [1, { deep: true }] }
    const before = structuredClone(world.context)
    await ask(world, of('Boolean'))
    assert.deepEqual(world.context, before)
    assert.ok(Object.isFrozen(world.details) && Object.isFrozen(world.details.flagMetadata))
  },
  'evaluation_v2: Asynchronous flag evaluation': async (world) => {
    for (const row of VALUES) {
      await ask(world, row)
      assert.ok(world.answered instanceof Promise)
      world.valueIs(row[3])
    }
  },
  'hooks: Passes evaluation details to after and finally hooks': hooked(of('Boolean'), ['after', 'finally'], {
    value: true,
    variant: 'on',
    reason: 'STATIC',
  }),
  'hooks: Flag not found': hooked(['String', 'not-there', 'none'], ['error', 'finally'], {
    value: 'none',
    reason: 'ERROR',
    error_code: 'FLAG_NOT_FOUND',
  }),
  'hooks: Type error': hooked(['Boolean', 'a-text', true], ['error', 'finally'], {
    value: true,
    reason: 'ERROR',
    error_code: 'TYPE_MISMATCH',
  }),
  'metadata: Returns metadata': metadata,
  'metadata: Returns no metadata': noMetadata,
  'contextMerging: A context entry is added to a single level': async (world) => {
    await world.attentive()
    for (const level of BOTH) {
      world.levels = { [level]: { who: level } }
      await world.evaluateMerged()
      world.merged('who', level)
    }
  },
  'contextMerging: For a transaction, a context entry is added to each level with different keys':
    together(TRANSACTION),
  'contextMerging: For a hook, a context entry is added to each level with different keys': together(HOOKED),
  'contextMerging: For a transaction and a hook, a context entry is added to each level with different keys':
    together(BOTH),
  'contextMerging: For a transaction, a context entry in one level overwrites values with the same key from preceding levels':
    over(TRANSACTION),
  'contextMerging: For a hook, a context entry in one level overwrites values with the same key from preceding levels':
    over(HOOKED),
  'contextMerging: For a transaction and a hook, context entry in one level overwrites values with the same key from preceding levels':
    over(BOTH),
}
