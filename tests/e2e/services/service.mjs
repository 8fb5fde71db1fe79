// A service that follows HQ, in Node and in a page alike: what it is asked, and what it says.

/** Answers requests about an engine of this package. */
export function service(Engine) {
  let engine

  const calls = {
    async follow({ options }) {
      engine = await Engine.follow(options)
      return {}
    },
    async wait({ revision, timeout_ms }) {
      return { revision: await engine.waitFor(revision, timeout_ms) }
    },
    /** All answers are of one revision: nothing else runs between them. */
    ask({ questions }) {
      return { revision: engine.snapshot().revision, answers: questions.map((question) => answer(engine, question)) }
    },
    health() {
      return { health: engine.health(), told: engine.hearing.told }
    },
    async close() {
      await engine?.close()
      return {}
    },
  }

  return async (request) => {
    try {
      return { ...(await calls[request.call](request)), id: request.id }
    } catch (error) {
      return { error: String(error), id: request.id }
    }
  }
}

const questions = {
  is_enabled: (tenant, { feature, now, action }) => tenant.isEnabled(feature, now, action),
  value: (tenant, { feature, now }) => tenant.value(feature, now),
  check_limit: (tenant, { feature, used, requested, now }) => tenant.checkLimit(feature, used, requested, now),
  explain: (tenant, { feature, now, action }) => tenant.explain(feature, now, action),
  entitlements: (tenant, { now }) => tenant.entitlements(now),
  transitions: (tenant, { workflow, stage, inputs, roles, category }) =>
    tenant.transitions(workflow, stage, { inputs, roles }, category),
}

/** The answer to a question; an error of the engine's is one too. */
function answer(engine, question) {
  try {
    return questions[question.call](engine.tenant(question.tenant), question)
  } catch (error) {
    if (typeof error.code !== 'string') {
      throw error
    }
    return { error: error.code }
  }
}
