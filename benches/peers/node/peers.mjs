// The peers: each loads the world in its own form and hands out functions that answer the n-th question. Whatever
// can be made before the question comes is made here, outside of what is measured.

import { grants, questions, switches, tenants } from './world.mjs'

const json = JSON.stringify

/** Flags of flagd's; with targeting that asks for plan and tenant, or without. */
const flags = (targeting) => ({
  flags: Object.fromEntries(
    switches.map((key, at) => {
      const flag = {
        state: 'ENABLED',
        variants: { on: true, off: false },
        defaultVariant: at % 2 === 0 ? 'on' : 'off',
      }
      const { plans, tenants } = grants.get(key)
      const granted = {
        or: [{ in: [{ var: 'plan' }, plans] }, { in: [{ var: 'targetingKey' }, tenants] }],
      }
      return [key, targeting ? { ...flag, targeting: { if: [granted, 'on', 'off'] } } : flag]
    }),
  ),
})

/** What a flag without targeting answers: the same to everybody. */
export const isStaticallyOn = ({ key }) => switches.indexOf(key) % 2 === 0

export const staticFlags = flags(false)

export const peers = {
  '@openfeature/flagd-core': {
    load: async ({ FlagdCore }) => {
      const loaded = (configuration) => {
        const core = new FlagdCore()
        core.setConfigurations(json(configuration))
        return core
      }
      const fixed = loaded(staticFlags)
      const targeted = loaded(flags(true))
      const contexts = questions.map(({ tenant }) => ({
        targetingKey: tenant.id,
        plan: tenant.plan,
      }))
      const keys = questions.map(({ key }) => key)
      return {
        static: (n) => fixed.resolveBooleanEvaluation(keys[n], false, contexts[n]).value,
        tenant: (n) => targeted.resolveBooleanEvaluation(keys[n], false, contexts[n]).value,
      }
    },
  },

  '@schematichq/schematic-typescript-node': {
    load: async ({ RulesEngineClient }) => {
      const engine = new RulesEngineClient()
      await engine.initialize()
      const of = { accountId: 'account', environmentId: 'environment' }
      const rule = (id, flagId, ruleType, conditionType, resourceIds) => ({
        ...of,
        id,
        flagId,
        name: id,
        ruleType,
        priority: 1,
        value: true,
        conditionGroups: [],
        conditions: [
          {
            ...of,
            id: `${id}_condition`,
            conditionType,
            operator: 'eq',
            resourceIds,
            traitValue: '',
          },
        ],
      })
      const flagsByKey = new Map(
        switches.map((key) => {
          const { plans, tenants } = grants.get(key)
          const rules = [rule(`${key}_plans`, key, 'plan_entitlement', 'plan', plans)]
          if (tenants.length > 0) {
            rules.unshift(rule(`${key}_companies`, key, 'company_override', 'company', tenants))
          }
          return [key, { ...of, id: key, key, defaultValue: false, rules }]
        }),
      )
      const company = ({ id, plan }, entitlements) => ({
        ...of,
        id,
        keys: { id },
        planIds: [plan],
        planVersionIds: [],
        billingProductIds: [],
        creditBalances: {},
        metrics: [],
        traits: [],
        rules: [],
        ...entitlements,
      })
      const entitled = ({ plan }) => ({
        entitlements: switches
          .filter((key) => grants.get(key).plans.includes(plan))
          .map((key) => ({
            featureId: key,
            featureKey: key,
            valueType: 'boolean',
          })),
      })
      const bare = new Map(tenants.map((tenant) => [tenant.id, company(tenant)]))
      const full = new Map(tenants.map((tenant) => [tenant.id, company(tenant, entitled(tenant))]))
      const asked = questions.map(({ tenant, key }) => [flagsByKey.get(key), bare.get(tenant.id), full.get(tenant.id)])
      return {
        tenant: async (n) => (await engine.checkFlag(asked[n][0], asked[n][1])).value,
        entitled: async (n) => (await engine.checkFlag(asked[n][0], asked[n][2])).value,
      }
    },
  },

  '@gorules/zen-engine': {
    load: async ({ ZenEngine }) => {
      const engine = new ZenEngine()
      const decision = (key) => {
        const { plans, tenants } = grants.get(key)
        const value = `plan in ${json(plans)} or tenant in ${json(tenants)}`
        const position = { x: 0, y: 0 }
        const node = (id, type, content) => ({
          id,
          type,
          name: id,
          position,
          ...(content && { content }),
        })
        return engine.createDecision({
          nodes: [
            node('request', 'inputNode'),
            node('rule', 'expressionNode', {
              expressions: [{ id: 'granted', key: 'granted', value }],
            }),
            node('response', 'outputNode'),
          ],
          edges: [
            { id: 'in', sourceId: 'request', targetId: 'rule', type: 'edge' },
            { id: 'out', sourceId: 'rule', targetId: 'response', type: 'edge' },
          ],
        })
      }
      const decisions = new Map(switches.map((key) => [key, decision(key)]))
      const asked = questions.map(({ tenant, key }) => [decisions.get(key), { tenant: tenant.id, plan: tenant.plan }])
      return {
        tenant: async (n) => (await asked[n][0].evaluate(asked[n][1])).result.granted,
      }
    },
  },

  '@cedar-policy/cedar-wasm': {
    // The main entry is for bundlers.
    entry: '@cedar-policy/cedar-wasm/nodejs',
    load: async ({ preparsePolicySet, statefulIsAuthorized }) => {
      // Every policy of a set is evaluated: the set of the one switch is chosen before the question comes.
      for (const key of switches) {
        const { plans, tenants } = grants.get(key)
        const conditions = [
          ...plans.map((plan) => `principal in Plan::${json(plan)}`),
          ...tenants.map((tenant) => `principal == Tenant::${json(tenant)}`),
        ]
        const scope = `principal, action == Action::"use", resource == Feature::${json(key)}`
        const policy = `permit(${scope}) when { ${conditions.join(' || ')} };`
        const parsed = preparsePolicySet(key, { staticPolicies: policy })
        if (parsed.type !== 'success') {
          throw new Error(`the policies were refused: ${json(parsed.errors)}`)
        }
      }
      const calls = questions.map(({ tenant, key }) => {
        const principal = { type: 'Tenant', id: tenant.id }
        return {
          principal,
          action: { type: 'Action', id: 'use' },
          resource: { type: 'Feature', id: key },
          context: {},
          preparsedPolicySetId: key,
          entities: [
            {
              uid: principal,
              attrs: {},
              parents: [{ type: 'Plan', id: tenant.plan }],
            },
          ],
        }
      })
      return {
        tenant: (n) => statefulIsAuthorized(calls[n]).response.decision === 'allow',
      }
    },
  },

  casbin: {
    load: async ({ newEnforcer, newModelFromString, StringAdapter }) => {
      // A role for each switch, which plans and tenants have: the matcher is evaluated policy by policy, and here is one.
      const model = newModelFromString(`
[request_definition]
r = sub, obj, act

[policy_definition]
p = act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.act == p.act && g(r.sub, r.obj)
`)
      const lines = switches.flatMap((key) => {
        const { plans, tenants } = grants.get(key)
        return [...plans, ...tenants].map((subject) => `g, ${subject}, ${key}`)
      })
      lines.push(...tenants.map(({ id, plan }) => `g, ${id}, ${plan}`), 'p, use')
      const enforcer = await newEnforcer(model, new StringAdapter(lines.join('\n')))
      return {
        tenant: (n) => enforcer.enforceSync(questions[n].tenant.id, questions[n].key, 'use'),
      }
    },
  },
}

/** Providers of OpenFeature's, by the package that they come from. */
export const providers = {
  '@openfeature/flagd-provider': ({ FlagdProvider }, { flagsFile }) =>
    new FlagdProvider({
      resolverType: 'in-process',
      offlineFlagSourcePath: flagsFile,
    }),
  '@openfeature/server-sdk': ({ InMemoryProvider }) =>
    new InMemoryProvider(
      Object.fromEntries(
        Object.entries(staticFlags.flags).map(([key, { variants, defaultVariant }]) => [
          key,
          { variants, defaultVariant, disabled: false },
        ]),
      ),
    ),
}
