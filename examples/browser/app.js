// The page: what a laundry has, how much of it, and what may be done with an order. All of it is decided here, from the slice
// that HQ has signed for this laundry; what is allowed, the server decides.

import { Engine, InitError, init } from 'leasehold-web'
import { keyed, meter, tell } from './parts.js'
import * as say from './texts.js'

const at = (id) => document.getElementById(id)

/** What the page shows. */
const state = {
  laundries: [],
  /** The laundry that is shown. */
  laundry: undefined,
  engine: undefined,
  /** Its order and its counts, as the server has them; null where the server does not answer. */
  desk: undefined,
  role: 'counter',
  /** Whether HQ told of news since the engine was made. */
  heard: false,
  /** What was on when it was drawn last. */
  on: undefined,
  problem: undefined,
  moved: undefined,
}

// What the back end says.

async function ask(path, body) {
  const sent =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const response = await fetch(path, { ...sent, signal: AbortSignal.timeout(15_000) })
  const answer = await response.json()
  if (!response.ok) {
    throw Object.assign(new Error(answer.detail ?? answer.code), answer)
  }
  return answer
}

const about = (laundry, path) => `${path}?tenant=${encodeURIComponent(laundry)}`

/** Tries until it goes well. `isWanted` says whether anybody still waits for it. */
async function persist(isWanted, tries, failed) {
  for (let pause = 500; isWanted(); pause = Math.min(pause * 2, 10_000)) {
    try {
      return await tries()
    } catch (error) {
      if (isWanted()) {
        failed(error)
        draw()
      }
    }
    await new Promise((again) => setTimeout(again, pause))
  }
}

// Following.

let turn = 0

/** Says later whether the same laundry is shown still, and from the same engine. Answers that come too late are dropped. */
function thisTurn() {
  const mine = turn
  return () => turn === mine
}

/** Shows another laundry. The last one's engine ends. */
async function show(laundry) {
  turn += 1
  const isMine = thisTurn()
  const last = state.engine
  Object.assign(state, {
    laundry,
    engine: undefined,
    desk: undefined,
    heard: false,
    on: undefined,
    problem: undefined,
    moved: undefined,
  })
  keepInAddress()
  draw()
  await last?.close()
  await Promise.all([showDesk(laundry, isMine), showDecisions(laundry, isMine)])
}

async function showDesk(laundry, isMine) {
  const desk = await persist(
    isMine,
    () => ask(about(laundry, '/desk')),
    () => (state.desk = null),
  )
  if (isMine()) {
    state.desk = desk
    draw()
  }
}

/** Follows the slice of the laundry. */
async function showDecisions(laundry, isMine) {
  const engine = await persist(
    isMine,
    () => follow(laundry),
    (error) => (state.problem = say.text('nothingKept', error.message)),
  )
  if (!isMine()) {
    await engine?.close()
    return
  }
  engine.subscribe(draw)
  Object.assign(state, { engine, problem: undefined })
  draw()
}

async function follow(laundry) {
  const { url, trust, token } = await ask(about(laundry, '/session'))
  let given = token
  return Engine.follow({
    url,
    trust,
    tenant: laundry,
    // The server gives out tokens that end soon. HQ refuses one that is over, and then the server is asked for the next.
    token: async (refused) => {
      if (refused || given === null) {
        given = (await ask(about(laundry, '/session'), { refused: given })).token
      }
      if (given === null) {
        throw new Error('the server gets no token from HQ')
      }
      return given
    },
  })
}

/** Whether what is shown is the newest: as long as HQ tells of news, it is. */
function connection() {
  const { engine } = state
  if (engine === undefined) {
    return { is: 'waiting' }
  }
  const { told } = engine.hearing
  const { failures, freshness, last_contact_at, issued_at } = engine.health()
  state.heard ||= told
  const is = told ? 'live' : state.heard || failures > 0 || freshness !== 'fresh' ? 'offline' : 'waiting'
  return { is, since: new Date(last_contact_at ?? issued_at) }
}

// Drawing.

function draw() {
  drawWords()
  drawConnection()
  const { engine, desk, problem } = state
  // With the desk, or without it where the server has not answered: what is in use is not guessed.
  const isThere = engine !== undefined && desk !== undefined
  at('problem').hidden = engine !== undefined || problem === undefined
  at('problem').textContent = problem ?? ''
  at('main').setAttribute('aria-busy', String(!isThere && problem === undefined))
  at('decided').hidden = !isThere
  if (isThere) {
    const tenant = engine.tenant()
    drawPlan(tenant)
    drawFeatures(tenant)
    drawLimits(tenant)
    drawOrder(tenant)
  }
}

function drawWords() {
  Object.assign(document.documentElement, { lang: say.language(), dir: say.direction() })
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = say.text(element.dataset.text)
  }
  const language = at('language')
  language.textContent = say.text('otherLanguage')
  language.lang = say.language() === 'ar' ? 'en' : 'ar'
  const laundries = state.laundries.map((laundry) => ({ key: laundry.id, ...laundry }))
  keyed(at('laundry'), 'option', laundries, (option, laundry) => {
    option.value = laundry.id
    option.textContent = say.named(laundry)
  })
  at('laundry').value = state.laundry ?? ''
  const roles = Object.entries(say.ROLES).map(([key, words]) => ({ key, words }))
  keyed(at('role'), 'option', roles, (option, { key, words }) => {
    option.value = key
    option.textContent = say.label(words)
  })
  at('role').value = state.role
}

function drawConnection() {
  const { is, since } = connection()
  const pill = at('connection')
  const said = is === 'offline' ? say.text('offline', say.clock(since)) : say.text(is)
  pill.dataset.state = is
  // Said again only where it is something else.
  if (pill.textContent !== said) {
    pill.textContent = said
  }
}

function drawPlan(tenant) {
  const { plan, status, access, revision, values } = tenant.entitlements()
  const { until } = tenant.answerTable()
  const { expires_at } = state.engine.health()
  at('name').textContent = say.named(state.laundries.find(({ id }) => id === state.laundry))
  const facts = [
    { key: 'plan', value: say.plan(plan) },
    { key: 'status', value: say.status(status) },
    // That the slice ends then is no change: HQ signs it again long before.
    ...(until === null || until === Date.parse(expires_at) ? [] : [{ key: 'until', value: say.when(until) }]),
    { key: 'revision', value: say.number(revision) },
  ]
  keyed(at('facts-of-plan'), 'div', facts, (element, { key, value }) => {
    const [name, said] = element.children.length === 0 ? pair(element) : element.children
    name.textContent = say.text(key)
    said.textContent = value
    said.id = `plan-${key}`
  })
  const closed = say.access(access)
  at('access').hidden = closed === undefined
  at('access').textContent = closed ?? ''
  const { style } = document.documentElement
  // A laundry that may use nothing has no theme of its own.
  const { primary, accent, corner_radius } = values.branding_theme ?? {}
  style.setProperty('--primary', primary ?? '')
  style.setProperty('--accent', accent ?? '')
  style.setProperty('--radius', corner_radius === undefined ? '' : `${corner_radius}px`)
}

function pair(element) {
  element.append(document.createElement('dt'), document.createElement('dd'))
  return element.children
}

/** What HQ has removed while the page was open is off. */
function orOff(ask, off) {
  try {
    return ask()
  } catch (error) {
    if (['unknown_feature', 'unknown_workflow', 'inactive_template', 'unknown_stage'].includes(error.code)) {
      return off
    }
    throw error
  }
}

function drawFeatures(tenant) {
  const features = Object.entries(say.FEATURES).map(([key, words]) => {
    const decision = orOff(() => tenant.decide(key), { enabled: false, reason: 'not_granted' })
    return { key, words, decision }
  })
  const on = features.filter(({ decision }) => decision.enabled)
  const off = features.filter(({ decision }) => !decision.enabled)
  const isNew = (key) => state.on !== undefined && !state.on.has(key)
  keyed(at('features'), 'li', on, (element, { key, words }) => {
    element.textContent = say.label(words)
    element.dataset.feature = key
    element.classList.toggle('new', element.classList.contains('new') || isNew(key))
  })
  at('off-summary').textContent = say.text('off', say.number(off.length))
  at('off-details').hidden = off.length === 0
  keyed(at('off'), 'div', off, (element, { words, decision }) => {
    const [name, why] = element.children.length === 0 ? pair(element) : element.children
    name.textContent = say.label(words)
    why.textContent = say.reason(decision.reason)
  })
  announce(new Set(on.map(({ key }) => key)))
}

/** Says what came and what went, for those who do not see it happen. */
function announce(on) {
  if (state.on !== undefined) {
    const names = (keys) => say.list(keys.map((key) => say.label(say.FEATURES[key])))
    const came = [...on].filter((key) => !state.on.has(key))
    const went = [...state.on].filter((key) => !on.has(key))
    const told = [
      ...(came.length === 0 ? [] : [say.text('appeared', names(came))]),
      ...(went.length === 0 ? [] : [say.text('gone', names(went))]),
    ]
    if (told.length > 0) {
      tell(at('news'), told.join(' · '))
    }
  }
  state.on = on
}

function drawLimits(tenant) {
  const { desk } = state
  const limits = Object.entries(say.LIMITS).map(([key, words]) => {
    const used = desk?.used[key] ?? 0
    const off = { outcome: 'deny', reason: 'not_granted', limit: 0, mode: 'hard' }
    return { key, words, used, answer: orOff(() => tenant.checkLimit(key, used, 1), off) }
  })
  keyed(at('limits'), 'li', limits, (element, { key, words, used, answer }) => {
    const { limit, mode } = answer
    const said =
      limit === null
        ? say.text('unlimited', say.number(used))
        : limit === 0
          ? say.text('notIncluded')
          : say.text('of', say.number(used), say.number(limit))
    meter(element, { key, name: say.label(words), said, used, limit, mode })
  })
  const { outcome, reason } = limits.find(({ key }) => key === 'max_users').answer
  enable(at('add-user'), desk !== null && outcome !== 'deny')
  at('add-user').textContent = say.text('addUser')
  enable(at('remove-user'), desk !== null && desk.used.max_users > 0)
  const isOpen = reason === 'granted' || reason === 'limit_reached'
  const why = isOpen ? say.outcome(outcome) : say.reason(reason)
  at('add-user-why').textContent = desk === null ? say.text('noServer') : why
}

/** Disabled buttons stay in reach of the keyboard, so that the reason can be read. */
function enable(button, may) {
  button.setAttribute('aria-disabled', String(!may))
}

const isEnabled = (button) => button.getAttribute('aria-disabled') !== 'true'

function drawOrder(tenant) {
  const { desk } = state
  const isOn = (key) => orOff(() => tenant.isEnabled(key), false)
  const machine = desk === null ? undefined : orOff(() => tenant.machine('order', desk.order.category))
  const open = machine !== undefined && isOn('orders') && isOn('workflow')
  at('order-title').textContent = desk === null ? say.text('noServer') : say.text('order', desk.order.number)
  for (const part of [at('stages'), at('facts'), at('moves'), at('moves-title')]) {
    part.hidden = !open
  }
  at('moves-none').hidden = open
  at('moves-none').textContent = say.text('noOrders')
  at('moved').textContent = open ? (state.moved?.() ?? '') : ''
  if (!open) {
    return
  }
  const { order } = desk
  const context = { inputs: order.facts, roles: [state.role] }
  drawStages(machine.about.stages, order)
  const leaving = (roles, inputs) =>
    orOff(() => machine.transitions(order.stage, { roles, inputs }), []).filter(
      ({ state: is }) => is !== 'not_from_here',
    )
  // With nothing known, every guard that looks at something says so.
  const guards = leaving([], {}).flatMap(({ blockers = [] }) => blockers.flatMap(({ guard }) => guard ?? []))
  drawFacts(new Set(guards.flatMap((guard) => say.GUARDS[guard]?.facts ?? [])), order.facts)
  drawMoves(leaving(context.roles, context.inputs))
}

function drawStages(stages, order) {
  const here = stages.findIndex(({ stage }) => stage === order.stage)
  const shown = stages.filter(({ stage }) => stage !== 'cancelled' || order.stage === 'cancelled')
  const items = shown.map((stage) => ({ key: stage.stage, ...stage }))
  keyed(at('stages'), 'li', items, (element, stage) => {
    element.textContent = say.named(stage)
    element.classList.toggle('past', stages.findIndex((other) => other.stage === stage.stage) < here)
    stage.stage === order.stage ? element.setAttribute('aria-current', 'step') : element.removeAttribute('aria-current')
  })
}

function drawFacts(names, facts) {
  const items = Object.entries(say.FACTS).flatMap(([key, fact]) => (names.has(key) ? [{ key, ...fact }] : []))
  at('facts-set').hidden = items.length === 0
  keyed(at('facts-fields'), 'div', items, (element, fact) => {
    if (element.children.length === 0) {
      control(element, fact)
    }
    fillControl(element, fact, facts[fact.key])
  })
}

function control(element, { key, control: kind, options, several }) {
  element.className = several === undefined ? 'field' : 'field several'
  const box = (value) =>
    `<label class="check"><input type="checkbox" name="${key}" value="${value}"><span></span></label>`
  if (several !== undefined) {
    element.innerHTML = `<span class="name" id="fact-${key}"></span><div role="group" aria-labelledby="fact-${key}">${Object.keys(several).map(box).join('')}</div>`
  } else if (options !== undefined) {
    const list = Object.keys(options).map((value) => `<option value="${value}"></option>`)
    element.innerHTML = `<label><span class="name"></span><select name="${key}">${list.join('')}</select></label>`
  } else if (kind === 'check') {
    element.innerHTML = box('').replace('<span>', '<span class="name">')
  } else {
    const as = kind === 'number' ? 'type="number" min="0" step="1" inputmode="numeric"' : 'type="text" dir="auto"'
    element.innerHTML = `<label><span class="name"></span><input ${as} name="${key}"></label>`
  }
}

function fillControl(element, { label, control: kind, options, several }, value) {
  element.querySelector('.name').textContent = say.label(label)
  if (several !== undefined) {
    for (const input of element.querySelectorAll('input')) {
      input.checked = value.includes(input.value)
      input.nextElementSibling.textContent = say.label(several[input.value])
    }
    return
  }
  const input = element.querySelector('input, select')
  for (const option of input.options ?? []) {
    option.textContent = say.label(options[option.value])
  }
  if (kind === 'check') {
    input.checked = value
  } else if (document.activeElement !== input) {
    // Nobody's typing is overwritten.
    input.value = value
  }
}

function drawMoves(transitions) {
  const moves = transitions.map((transition) => {
    const { blockers = [] } = transition
    // A guard that calculates is not in this build. The server has all of the engine.
    const forServer = blockers.length > 0 && blockers.every(({ code }) => code === 'guard_needs_rhai')
    const enabled = transition.state === 'enabled' || forServer
    return { key: transition.transition, ...transition, enabled, whys: forServer ? [] : say.whys(blockers), forServer }
  })
  at('moves-none').hidden = moves.length > 0
  at('moves-none').textContent = say.text('nothingNext')
  keyed(at('moves'), 'li', moves, (element, { key, event, enabled, whys, forServer, ...labels }) => {
    if (element.children.length === 0) {
      element.innerHTML = `<button type="button" aria-describedby="why-${key}"></button><ul class="why" id="why-${key}"></ul>`
    }
    const [button, list] = element.children
    button.textContent = say.named(labels)
    button.dataset.transition = key
    button.classList.toggle('quiet', event === 'cancel')
    enable(button, enabled)
    element.classList.toggle('blocked', !enabled)
    const reasons = (forServer ? [say.text('serverDecides')] : whys).map((why) => ({ key: why }))
    list.hidden = reasons.length === 0
    keyed(list, 'li', reasons, (item, { key: why }) => {
      item.textContent = why
    })
  })
}

// What people do.

function listen() {
  at('laundry').addEventListener('change', ({ target }) => void show(target.value))
  at('language').addEventListener('click', () => {
    say.speak(say.language() === 'ar' ? 'en' : 'ar')
    keepInAddress()
    draw()
  })
  at('role').addEventListener('change', ({ target }) => {
    state.role = target.value
    draw()
  })
  at('facts').addEventListener('submit', (event) => event.preventDefault())
  at('facts').addEventListener('change', ({ target }) => void change(target))
  at('moves').addEventListener('click', ({ target }) => {
    if (target.tagName === 'BUTTON' && isEnabled(target)) {
      void move(target)
    }
  })
  for (const [id, more] of [
    ['add-user', 1],
    ['remove-user', -1],
  ]) {
    at(id).addEventListener('click', ({ target }) => isEnabled(target) && void count(more))
  }
  setInterval(drawConnection, 1_000)
}

async function change({ name, type, checked, value }) {
  if (!(name in say.FACTS)) {
    return
  }
  const several = say.FACTS[name].several !== undefined
  const boxes = () => [...at('facts').querySelectorAll(`[name="${name}"]:checked`)].map((box) => box.value)
  const given = several ? boxes() : type === 'checkbox' ? checked : type === 'number' ? Number(value) : value
  await told('/desk/facts', { [name]: given })
}

/** The server decides again: whoever changes this page changes nothing there. */
async function move({ dataset, textContent }) {
  const { transition } = dataset
  const { laundry, role, engine } = state
  const isMine = thisTurn()
  try {
    const desk = await ask(about(laundry, '/desk/moves'), { transition, role })
    if (isMine()) {
      const { stages } = engine.tenant().machine('order', desk.order.category).about
      const stage = stages.find((one) => one.stage === desk.order.stage)
      Object.assign(state, { desk, moved: () => say.text('moved', say.named(stage)) })
    }
  } catch (error) {
    if (isMine()) {
      state.moved = () => say.text('notMoved', error.blockers ? say.list(say.whys(error.blockers)) : textContent)
    }
  }
  draw()
}

async function count(more) {
  await told('/desk/users', { more })
}

/** Tells the server, and shows what it has then. */
async function told(path, body) {
  const isMine = thisTurn()
  try {
    const desk = await ask(about(state.laundry, path), body)
    if (isMine()) {
      state.desk = desk
    }
  } catch (error) {
    if (isMine()) {
      tell(at('news'), say.text('notMoved', typeof error.code === 'string' ? error.code : say.text('noServer')))
    }
  }
  draw()
}

function keepInAddress() {
  const words = new URLSearchParams({ laundry: state.laundry, language: say.language() })
  history.replaceState(null, '', `?${words}`)
}

const asked = new URLSearchParams(location.search)
say.speak(asked.get('language') ?? (navigator.language.startsWith('ar') ? 'ar' : 'en'))
draw()
listen()

let hopeless = false
const started = await persist(
  () => !hopeless,
  () => Promise.all([ask('/laundries'), init()]),
  (error) => {
    const isEngine = error instanceof InitError
    hopeless = isEngine && error.code !== 'wasm_unavailable'
    state.problem = isEngine ? say.text('noEngine', error.message) : say.text('noServer')
  },
)
if (started !== undefined) {
  const [laundries] = started
  state.laundries = laundries
  const known = laundries.some(({ id }) => id === asked.get('laundry'))
  await show(known ? asked.get('laundry') : laundries[0].id)
}
