// leasehold/nestjs, over HTTP and in microservices. `test/nestjs/run.mjs` runs this file against each major of NestJS.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import 'reflect-metadata'
import {
  Controller,
  ForbiddenException,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  Post,
  Scope,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common'
import { APP_GUARD, NestFactory, REQUEST } from '@nestjs/core'
import {
  ClientTCP,
  KafkaContext,
  MessagePattern,
  MqttContext,
  NatsContext,
  Payload,
  RedisContext,
  RmqContext,
  RpcException,
  ServerTCP,
  TcpContext,
} from '@nestjs/microservices'
import { ExpressAdapter } from '@nestjs/platform-express'
import { HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { Test } from '@nestjs/testing'
import { context as otelContext, metrics, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { firstValueFrom } from 'rxjs'
import { ArgumentError, DefinitionsError, Engine, QuestionError, SnapshotError, TransitionError } from 'leasehold'
import {
  CurrentTenant,
  EntitlementException,
  FeatureFlag,
  FeatureFlagGuard,
  LEASEHOLD_USAGE,
  LeaseholdHealthIndicator,
  LeaseholdModule,
  LeaseholdTestingModule,
  LimitGuard,
  LimitOutcome,
  RequireLimit,
  RequireTransition,
  TenantEntitlements,
  TestPolicies,
  TransitionGuard,
  TransitionOutcome,
  UnknownKeysError,
  outcomesOf,
  tenantFromHeader,
} from 'leasehold/nestjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const conformance = process.env.LEASEHOLD_CONFORMANCE ?? join(here, '../../../tests/conformance')
const require = createRequire(import.meta.url)
/** Set by `run.mjs`. */
const major = process.env.LEASEHOLD_NESTJS
if (major !== undefined) {
  assert.equal(require('@nestjs/core/package.json').version.split('.')[0], major)
}

/** Fastify where it is installed: `run.mjs` installs it. */
const platforms = { express: () => new ExpressAdapter() }
try {
  const { FastifyAdapter } = await import('@nestjs/platform-fastify')
  platforms.fastify = () => new FastifyAdapter()
} catch (error) {
  assert.equal(error.code, 'ERR_MODULE_NOT_FOUND')
  assert.equal(major, undefined, 'Fastify is installed for every major')
}

/** What a TypeScript compiler makes of decorators. */
function decorated(type, { type: onType = [], inject, methods = {} }) {
  inject?.forEach((token, index) => Inject(token)(type, undefined, index))
  for (const [name, { on = [], params = [] }] of Object.entries(methods)) {
    const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name)
    params.forEach((decorator, index) => decorator?.(type.prototype, name, index))
    Reflect.decorate(on, type.prototype, name, descriptor)
  }
  return Reflect.decorate(onType, type)
}

function moduleOf(metadata) {
  return decorated(class AppModule {}, { type: [Module(metadata)] })
}

/** A workflow, and a plan, to lay policies over. */
const stage = (more) => ({ name: 'a', name2: 'a', ...more })
const definitions = {
  features: {
    invoicing: { kind: 'switch', name: 'Invoicing', name2: 'a', group: 'module' },
    pdf_invoices: { kind: 'switch', name: 'PDF', name2: 'a', group: 'add_on', requires: ['invoicing'] },
    max_users: { kind: 'limit', unit: 'user', name: 'Users', name2: 'a', group: 'limits' },
  },
  plans: {
    growth: {
      name: 'Growth',
      name2: 'a',
      rank: 1,
      price: { amount: '1', currency: 'OMR', period: 'month' },
      versions: {
        1: {
          effective_from: '2000-01-01T00:00:00Z',
          moves: 'now',
          contributions: [{ feature: 'invoicing', op: 'set', value: true }],
        },
      },
    },
  },
  workflows: {
    order: {
      name: 'Order',
      name2: 'a',
      versions: {
        1: {
          stages: { ready: stage({ initial: true }), closed: stage({ final: true }), lost: stage({ final: true }) },
          transitions: {
            pick_up: { ...stage(), from: 'ready', event: 'pick_up', to: 'closed', guards: { requires_invoice: {} } },
            lose: { ...stage(), from: 'ready', event: 'lose', to: 'lost', role: 'manager' },
          },
        },
      },
    },
  },
}

const tenants = {
  acme: { plan: 'growth', features: { pdf_invoices: true }, limits: { max_users: { amount: 5, mode: 'hard' } } },
  bare: { limits: { max_users: { amount: 5, mode: 'soft' } } },
  frozen: { plan: 'growth', features: { pdf_invoices: true }, limits: { max_users: 5 }, access: 'read_only' },
}

const policiesOf = (more = {}) => new TestPolicies({ tenants: { ...tenants, ...more }, definitions })
const quiet = { log: { granted: false, refused: false } }
const bodyOf = (context) => context.switchToHttp().getRequest().body

class Usage {
  static made = 0
  constructor(request) {
    Usage.made += 1
    this.request = request
  }

  async used(feature, tenant, context) {
    assert.equal(feature, 'max_users')
    assert.equal(context.getClass(), UsersController)
    assert.ok(this.request, 'a provider that is scoped to requests knows the request')
    return { acme: 4, bare: 5, frozen: 0 }[tenant.id]
  }
}
decorated(Usage, { type: [Injectable({ scope: Scope.REQUEST })], inject: [REQUEST] })

class Moves {
  moveOf(workflow, tenant, context) {
    assert.equal(workflow, 'order')
    assert.equal(tenant.id, 'acme')
    const { invoice_issued } = bodyOf(context)
    return { from: 'ready', to: 'closed', context: { inputs: { invoice_issued } } }
  }
}
decorated(Moves, { type: [Injectable()] })

/** A service like any other: one for all requests, with what is current in its constructor. */
class Invoices {
  constructor(entitlements) {
    this.entitlements = entitlements
  }

  async list() {
    const before = this.entitlements.tenantId
    // Whatever is waited for, it stays that of its own request.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(this.entitlements.tenantId, before)
    return { tenant: before, pdf: this.entitlements.isEnabled('pdf_invoices') }
  }

  print() {
    return this.entitlements.requireFeature('pdf_invoices').reason
  }

  invite(used, requested) {
    return this.entitlements.requireLimit('max_users', used, requested).outcome
  }

  close(inputs) {
    return this.entitlements.requireTransition('order', 'ready', 'closed', { inputs }).transition
  }
}
// As `emitDecoratorMetadata` has it: injected by its type alone.
decorated(Invoices, { type: [Injectable(), Reflect.metadata('design:paramtypes', [TenantEntitlements])] })

class InvoicesController {
  constructor(invoices) {
    this.invoices = invoices
  }

  pdf() {
    return { ok: true }
  }

  archive() {
    return { ok: true }
  }

  both() {
    return { ok: true }
  }

  overridden() {
    return { ok: true }
  }

  list() {
    return this.invoices.list()
  }

  print() {
    return { reason: this.invoices.print() }
  }

  who(tenant) {
    return { id: tenant.id }
  }
}
decorated(InvoicesController, {
  type: [Controller('invoices'), UseGuards(FeatureFlagGuard), FeatureFlag('invoicing')],
  inject: [Invoices],
  methods: {
    pdf: { on: [Get('pdf'), FeatureFlag('pdf_invoices')] },
    archive: { on: [Get('archive'), FeatureFlag('pdf_invoices', { action: 'read' })] },
    both: { on: [Get('both'), FeatureFlag(['invoicing']), FeatureFlag('pdf_invoices')] },
    overridden: { on: [Get('overridden')] },
    list: { on: [Get()] },
    print: { on: [Get('print')] },
    who: { on: [Get('who')], params: [CurrentTenant()] },
  },
})

class UsersController {
  add(outcome) {
    return { outcome: outcome.outcome, remaining: outcome.remaining }
  }

  addMany() {
    return { ok: true }
  }

  known() {
    return { ok: true }
  }

  wrong() {
    return { ok: true }
  }
}
decorated(UsersController, {
  type: [Controller('users'), UseGuards(LimitGuard)],
  methods: {
    add: { on: [Post(), RequireLimit('max_users', { usage: Usage })], params: [LimitOutcome('max_users')] },
    addMany: {
      on: [Post('many'), RequireLimit('max_users', { used: async () => 1, requested: (at) => bodyOf(at).count })],
    },
    known: { on: [Post('known'), RequireLimit('max_users', { requested: 2 })] },
    wrong: { on: [Post('wrong'), RequireLimit('max_users', { used: () => -1 })] },
  },
})

class OrdersController {
  move(transition) {
    return { transition: transition.transition }
  }

  close() {
    return { ok: true }
  }
}
decorated(OrdersController, {
  type: [Controller('orders'), UseGuards(TransitionGuard)],
  methods: {
    move: {
      on: [
        Post('move'),
        RequireTransition('order', {
          from: 'ready',
          to: (at) => bodyOf(at).to,
          context: async (at) => ({ inputs: { invoice_issued: bodyOf(at).invoice_issued }, roles: bodyOf(at).roles }),
        }),
      ],
      params: [TransitionOutcome('order')],
    },
    close: { on: [Post('close'), RequireTransition('order', { move: Moves })] },
  },
})

/** A guard of the app's own: it runs before interceptors, and asks by its context. */
class OnlyAcme {
  constructor(entitlements) {
    this.entitlements = entitlements
  }

  async canActivate(context) {
    if ((await this.entitlements.of(context)).id !== 'acme') {
      throw new ForbiddenException('not acme')
    }
    assert.equal(outcomesOf(context).tenant.id, 'acme')
    assert.equal(outcomesOf(context.switchToHttp().getRequest()).tenant.id, 'acme')
    return true
  }
}
decorated(OnlyAcme, { type: [Injectable()], inject: [TenantEntitlements] })

class OpenController {
  health() {
    return { up: true }
  }

  who(tenant) {
    return { id: tenant.id }
  }

  acme() {
    return { ok: true }
  }
}
decorated(OpenController, {
  type: [Controller('open')],
  methods: {
    health: { on: [Get()] },
    who: { on: [Get('who')], params: [CurrentTenant()] },
    acme: { on: [Get('acme'), UseGuards(OnlyAcme)] },
  },
})

const app = (policies, options = {}) => ({
  imports: [LeaseholdTestingModule.forPolicies(policies, { ...quiet, ...options })],
  controllers: [InvoicesController, UsersController, OrdersController, OpenController],
  providers: [Invoices, Usage, Moves, { provide: LEASEHOLD_USAGE, useValue: { used: () => 4 } }],
})

/** An app that listens until its test has ended. */
async function listening(during, metadata, { adapter = platforms.express, change = (builder) => builder } = {}) {
  const module = await change(Test.createTestingModule(metadata)).compile()
  const nest = module.createNestApplication(adapter(), { logger: false })
  await nest.listen(0, '127.0.0.1')
  const url = (await nest.getUrl()).replace('[::1]', '127.0.0.1')
  const ask = async (path, { tenant = 'acme', body } = {}) => {
    const answer = await fetch(`${url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(tenant === null ? {} : { 'x-tenant-id': tenant }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.json() }
  }
  during?.after(() => nest.close())
  return { nest, ask, url }
}

function isProblem(answer, status, code, more = {}) {
  assert.equal(answer.body.code, code, JSON.stringify(answer))
  assert.equal(answer.status, status)
  assert.match(answer.type, /^application\/problem\+json/)
  assert.equal(answer.body.status, status)
  assert.equal(answer.body.type, `urn:leasehold:problem:${code}`)
  assert.ok(answer.body.title && answer.body.detail)
  for (const [key, value] of Object.entries(more)) {
    assert.deepEqual(answer.body[key], value, key)
  }
}

for (const [name, adapter] of Object.entries(platforms)) {
  describe(`over HTTP on ${name}`, () => {
    let server
    before(async () => {
      server = await listening(undefined, app(policiesOf()), { adapter })
    })
    after(() => server.nest.close())

    test('features open and close handlers', async () => {
      const { ask } = server
      assert.deepEqual((await ask('/invoices/pdf')).body, { ok: true })
      isProblem(await ask('/invoices/pdf', { tenant: 'bare' }), 403, 'feature_off', {
        title: 'Forbidden',
        feature: 'pdf_invoices',
        reason: 'not_granted',
        revision: 1,
      })
      isProblem(await ask('/invoices/pdf', { tenant: 'frozen' }), 403, 'feature_off', {
        reason: 'blocked',
        block: 'restricted',
      })
      assert.equal((await ask('/invoices/archive', { tenant: 'frozen' })).status, 200, 'what it made may be read')
    })

    test('what a handler asks for stands in place of what its class does, and gathers on the same', async () => {
      const { nest, ask } = server
      nest.get(TestPolicies).set('odd', { features: { invoicing: true } })
      nest.get(TestPolicies).set('even', { plan: 'growth', features: { pdf_invoices: true, invoicing: false } })
      assert.equal((await ask('/invoices/overridden', { tenant: 'odd' })).status, 200)
      isProblem(await ask('/invoices/overridden', { tenant: 'even' }), 403, 'feature_off', { reason: 'switched_off' })
      isProblem(await ask('/invoices/both', { tenant: 'odd' }), 403, 'feature_off', { feature: 'pdf_invoices' })
      isProblem(await ask('/invoices/both', { tenant: 'even' }), 403, 'feature_off', { feature: 'invoicing' })
      isProblem(await ask('/invoices/pdf', { tenant: 'even' }), 403, 'feature_off', { reason: 'prerequisite' })
      assert.equal((await ask('/invoices/both')).status, 200)
    })

    test('a policy that changes is in force at the next request', async () => {
      const { nest, ask } = server
      const policies = nest.get(TestPolicies)
      policies.set('late', {})
      isProblem(await ask('/invoices/pdf', { tenant: 'late' }), 403, 'feature_off')
      policies.set('late', { plan: 'growth', features: { pdf_invoices: true } })
      assert.equal((await ask('/invoices/pdf', { tenant: 'late' })).status, 200)
      policies.remove('late')
      isProblem(await ask('/invoices/pdf', { tenant: 'late' }), 403, 'unknown_tenant')
    })

    test('whoever names no tenant is told so, and only where one is needed', async () => {
      const { ask } = server
      isProblem(await ask('/invoices/pdf', { tenant: null }), 400, 'tenant_required')
      isProblem(await ask('/invoices/pdf', { tenant: 'nobody' }), 403, 'unknown_tenant')
      isProblem(await ask('/open/who', { tenant: null }), 400, 'tenant_required')
      isProblem(await ask('/open/who', { tenant: 'nobody' }), 403, 'unknown_tenant')
      assert.deepEqual((await ask('/open', { tenant: null })).body, { up: true })
      assert.deepEqual((await ask('/open', { tenant: 'nobody' })).body, { up: true })
      assert.deepEqual((await ask('/open/who')).body, { id: 'acme' })
    })

    test('guards of the app ask for the tenant by their context', async () => {
      const { ask } = server
      assert.equal((await ask('/open/acme')).status, 200)
      assert.equal((await ask('/open/acme', { tenant: 'bare' })).body.message, 'not acme')
      isProblem(await ask('/open/acme', { tenant: null }), 400, 'tenant_required')
    })

    test('services know the tenant of the request that they work for', async () => {
      const { ask } = server
      const wanted = ['acme', 'frozen', 'acme', 'frozen', 'acme']
      const answers = await Promise.all(wanted.map((tenant) => ask('/invoices', { tenant })))
      // The class asks for `invoicing`, which frozen tenants may not use.
      answers.forEach((answer, index) =>
        wanted[index] === 'acme'
          ? assert.deepEqual(answer.body, { tenant: 'acme', pdf: true })
          : isProblem(answer, 403, 'feature_off', { reason: 'blocked' }),
      )
      server.nest.get(TestPolicies).set('plain', { plan: 'growth' })
      const mixed = await Promise.all(['acme', 'plain', 'acme', 'plain'].map((tenant) => ask('/invoices', { tenant })))
      assert.deepEqual(
        mixed.map(({ body }) => body),
        [true, false, true, false].map((pdf) => ({ tenant: pdf ? 'acme' : 'plain', pdf })),
      )
      assert.deepEqual((await ask('/invoices/print')).body, { reason: 'granted' })
      isProblem(await ask('/invoices/print', { tenant: 'plain' }), 403, 'feature_off', { feature: 'pdf_invoices' })
      assert.deepEqual((await ask('/invoices/who')).body, { id: 'acme' })
    })

    test('limits are asked with what a provider knows', async () => {
      const { ask } = server
      const made = Usage.made
      assert.deepEqual((await ask('/users', { body: {} })).body, { outcome: 'allow', remaining: 1 })
      assert.deepEqual((await ask('/users', { tenant: 'bare', body: {} })).body, { outcome: 'warn', remaining: 0 })
      assert.equal(Usage.made, made + 2, 'a provider of its own for each request')
      const full = await ask('/users/known', { body: {} })
      isProblem(full, 403, 'limit_reached', { feature: 'max_users', reason: 'limit_reached' })
      assert.equal(full.body.limit.outcome, 'deny')
      assert.equal(full.body.limit.limit, 5)
      assert.equal(full.body.limit.remaining, 1)
      assert.match(full.body.detail, /allows 5: in use are 4, asked for is 2 more/)
      const off = await ask('/users', { tenant: 'frozen', body: {} })
      isProblem(off, 403, 'feature_off', { feature: 'max_users', reason: 'blocked' })
      assert.equal(off.body.limit.outcome, 'deny')
    })

    test('amounts that clients send may be anything', async () => {
      const { ask } = server
      assert.equal((await ask('/users/many', { body: { count: 4 } })).status, 201)
      isProblem(await ask('/users/many', { body: { count: 5 } }), 403, 'limit_reached')
      for (const count of [-1, 1.5, 2 ** 53]) {
        isProblem(await ask('/users/many', { body: { count } }), 400, 'amount_out_of_range')
      }
      for (const count of ['4', null, {}, undefined]) {
        isProblem(await ask('/users/many', { body: { count } }), 400, 'invalid_argument')
      }
      assert.equal((await ask('/users/wrong', { body: {} })).status, 500, 'usage that is wrong is the fault of the app')
    })

    test('items move where their workflow lets them', async () => {
      const { ask } = server
      const move = (body) => ask('/orders/move', { body })
      assert.deepEqual((await move({ to: 'closed', invoice_issued: true })).body, { transition: 'pick_up' })
      assert.deepEqual((await move({ to: 'lost', roles: ['manager'] })).body, { transition: 'lose' })
      const blocked = await move({ to: 'closed', invoice_issued: false })
      isProblem(blocked, 409, 'guard_failed', { workflow: 'order', from: 'ready', to: 'closed' })
      assert.deepEqual(
        blocked.body.blockers.map(({ code, guard }) => ({ code, guard })),
        [{ code: 'guard_failed', guard: 'requires_invoice' }],
      )
      const role = await move({ to: 'lost', roles: [] })
      isProblem(role, 403, 'guard_failed')
      assert.equal(role.body.blockers[0].code, 'role_required')
      isProblem(await move({ to: 'ready' }), 409, 'illegal_transition')
      isProblem(await move({ to: 'gone' }), 400, 'unknown_stage')
      isProblem(await move({}), 400, 'invalid_argument')
      assert.equal((await ask('/orders/close', { body: { invoice_issued: true } })).status, 201)
      isProblem(await ask('/orders/close', { body: { invoice_issued: false } }), 409, 'guard_failed')
    })
  })
}

test('an extractor of the app says whose request it is, and is asked once', async (during) => {
  let asked = 0
  const tenant = async (context) => {
    asked += 1
    const { authorization } = context.switchToHttp().getRequest().headers
    if (authorization === undefined) {
      throw new UnauthorizedException()
    }
    return authorization.replace('Bearer of ', '')
  }
  const server = await listening(during, app(policiesOf(), { tenant }))
  const get = (path, headers) => fetch(`${server.url}${path}`, { headers }).then((answer) => answer.status)
  assert.equal(await get('/invoices/pdf', { authorization: 'Bearer of acme' }), 200)
  assert.equal(asked, 1)
  assert.equal(await get('/invoices/pdf', { authorization: 'Bearer of bare', 'x-tenant-id': 'acme' }), 403)
  assert.equal(await get('/invoices/pdf', { 'x-tenant-id': 'acme' }), 401)
  assert.equal(await get('/open', {}), 200, 'who asks for no tenant need not have one')
})

test('an extractor that knows nobody yet is asked again, and whom it has named stays', async (during) => {
  const asked = []
  const tenant = (context) => {
    const { user } = context.switchToHttp().getRequest()
    asked.push(user)
    return user
  }
  class TooEarly {
    constructor(entitlements) {
      this.entitlements = entitlements
    }

    async canActivate(context) {
      await this.entitlements.of(context).catch(() => {})
      context.switchToHttp().getRequest().user = 'acme'
      return true
    }
  }
  const useFactory = (entitlements) => new TooEarly(entitlements)
  const early = { provide: APP_GUARD, useFactory, inject: [TenantEntitlements] }
  const metadata = app(policiesOf(), { tenant })
  const server = await listening(during, { ...metadata, providers: [...metadata.providers, early] })
  assert.equal((await fetch(`${server.url}/invoices/pdf`)).status, 200)
  assert.deepEqual(asked, [undefined, 'acme'])
})

test('guards can be replaced in tests', async (during) => {
  const change = (builder) => builder.overrideGuard(FeatureFlagGuard).useValue({ canActivate: () => true })
  const server = await listening(during, app(policiesOf()), { change })
  assert.equal((await server.ask('/invoices/pdf', { tenant: 'bare' })).status, 200)
})

test('filters of the app see an HttpException', async () => {
  const seen = []
  const module = await Test.createTestingModule(app(policiesOf())).compile()
  const nest = module.createNestApplication(platforms.express(), { logger: false })
  const filter = {
    catch(exception, host) {
      seen.push(exception)
      host.switchToHttp().getResponse().status(418).json(exception.getResponse())
    },
  }
  nest.useGlobalFilters(filter)
  await nest.listen(0, '127.0.0.1')
  const answer = await fetch(`${await nest.getUrl()}/invoices/pdf`, { headers: { 'x-tenant-id': 'bare' } })
  assert.equal(answer.status, 418)
  assert.equal((await answer.json()).code, 'feature_off')
  assert.ok(seen[0] instanceof EntitlementException)
  assert.equal(seen[0].getStatus(), 403)
  assert.equal(seen[0].code, 'feature_off')
  assert.equal(seen[0].message, seen[0].problem.detail)
  await nest.close()
})

test('outside of requests, work is done for a tenant that is named', async () => {
  const nest = await NestFactory.createApplicationContext(moduleOf(app(policiesOf())), { logger: false })
  const entitlements = nest.get(TenantEntitlements)
  const invoices = nest.get(Invoices)
  assert.equal(entitlements.tenantId, undefined)
  assert.throws(() => entitlements.tenant, /no tenant is known here: ask while .* `TenantEntitlements.run`/)
  assert.deepEqual(await entitlements.run('acme', () => invoices.list()), { tenant: 'acme', pdf: true })
  assert.throws(
    () => entitlements.run('nobody', () => assert.fail('it is not run')),
    (error) => error instanceof EntitlementException && error.code === 'unknown_tenant',
  )
  entitlements.run('acme', () => {
    assert.equal(entitlements.decide('max_users').reason, 'granted')
    assert.equal(entitlements.checkLimit('max_users', 5, 1).outcome, 'deny')
    assert.deepEqual(entitlements.entitlements().plan, 'growth')
    assert.equal(invoices.invite(4, 1), 'allow')
    assert.throws(() => invoices.invite(5, 1), { code: 'limit_reached' })
    assert.equal(invoices.close({ invoice_issued: true }), 'pick_up')
    assert.throws(
      () => invoices.close({ invoice_issued: false }),
      (error) => error.problem.blockers.length === 1 && error.cause instanceof TransitionError,
    )
    assert.throws(() => entitlements.checkTransition('order', 'ready', 'closed'), TransitionError)
    assert.throws(() => entitlements.decide('nothing'), QuestionError)
    assert.throws(() => entitlements.value('max_users'), { code: 'wrong_kind' })
    entitlements.run('bare', () => assert.equal(entitlements.isEnabled('pdf_invoices'), false))
    assert.equal(entitlements.isEnabled('pdf_invoices'), true)
  })
  await nest.close()
})

describe('in microservices', () => {
  class Messages {
    constructor(invoices) {
      this.invoices = invoices
    }

    pdf() {
      return 'printed'
    }

    list() {
      return this.invoices.list()
    }

    print() {
      return this.invoices.print()
    }

    users({ used }) {
      return this.invoices.invite(used, 1)
    }

    who(tenant) {
      return tenant.id
    }
  }
  const on = (pattern) => [MessagePattern(pattern)]
  decorated(Messages, {
    type: [Controller(), UseGuards(FeatureFlagGuard)],
    inject: [Invoices],
    methods: {
      pdf: { on: [...on('pdf'), FeatureFlag('pdf_invoices')] },
      list: { on: on('list') },
      print: { on: on('print') },
      users: { on: on('users'), params: [Payload()] },
      who: { on: on('who'), params: [CurrentTenant()] },
    },
  })
  const metadata = (policies) => {
    const { imports, providers, controllers } = app(policies)
    return { imports, providers, controllers: [...controllers, Messages] }
  }

  async function connected(strategy) {
    const client = new ClientTCP({ host: '127.0.0.1', port: strategy.server.address().port })
    await client.connect()
    return { client, send: (pattern, data) => firstValueFrom(client.send(pattern, data)) }
  }

  const refusedWith =
    (status, code, more = {}) =>
    (said) => {
      assert.equal(said.code, code, JSON.stringify(said))
      assert.equal(said.status, status)
      assert.equal(said.type, `urn:leasehold:problem:${code}`)
      Object.entries(more).forEach(([key, value]) => assert.deepEqual(said[key], value))
      return true
    }

  async function answers(send) {
    assert.equal(await send('pdf', { tenantId: 'acme' }), 'printed')
    assert.equal(await send('pdf', { tenant_id: 'acme' }), 'printed')
    assert.deepEqual(await send('list', { tenantId: 'bare' }), { tenant: 'bare', pdf: false })
    assert.equal(await send('who', { tenantId: 'bare' }), 'bare')
    assert.equal(await send('users', { tenantId: 'acme', used: 4 }), 'allow')
    const off = { feature: 'pdf_invoices', reason: 'not_granted' }
    await assert.rejects(send('pdf', { tenantId: 'bare' }), refusedWith(403, 'feature_off', off))
    await assert.rejects(send('print', { tenantId: 'bare' }), refusedWith(403, 'feature_off', off))
    await assert.rejects(send('users', { tenantId: 'acme', used: 5 }), refusedWith(403, 'limit_reached'))
    await assert.rejects(send('pdf', {}), refusedWith(400, 'tenant_required'))
    await assert.rejects(send('pdf', 'a text'), refusedWith(400, 'tenant_required'))
    await assert.rejects(send('who', 7), refusedWith(400, 'tenant_required'))
    await assert.rejects(send('print', { tenantId: 'nobody' }), refusedWith(403, 'unknown_tenant'))
    const tenants = ['acme', 'bare', 'acme', 'bare']
    const all = await Promise.all(tenants.map((tenantId) => send('list', { tenantId })))
    assert.deepEqual(
      all.map(({ tenant }) => tenant),
      tenants,
    )
  }

  test('alone', async () => {
    const strategy = new ServerTCP({ host: '127.0.0.1', port: 0 })
    const module = await Test.createTestingModule(metadata(policiesOf())).compile()
    const service = module.createNestMicroservice({ strategy, logger: false })
    await service.listen()
    const { client, send } = await connected(strategy)
    await answers(send)
    await client.close()
    await service.close()
  })

  test('beside HTTP, with what surrounds handlers inherited', async () => {
    const strategy = new ServerTCP({ host: '127.0.0.1', port: 0 })
    const module = await Test.createTestingModule(metadata(policiesOf())).compile()
    const nest = module.createNestApplication(platforms.express(), { logger: false })
    nest.connectMicroservice({ strategy }, { inheritAppConfig: true })
    await nest.startAllMicroservices()
    await nest.listen(0, '127.0.0.1')
    const { client, send } = await connected(strategy)
    await answers(send)
    const answer = await fetch(`${await nest.getUrl()}/invoices/pdf`, { headers: { 'x-tenant-id': 'acme' } })
    assert.equal(answer.status, 200)
    await client.close()
    await nest.close()
  })

  test('beside HTTP without that, guards decide all the same', async () => {
    const strategy = new ServerTCP({ host: '127.0.0.1', port: 0 })
    const module = await Test.createTestingModule(metadata(policiesOf())).compile()
    const nest = module.createNestApplication(platforms.express(), { logger: false })
    nest.connectMicroservice({ strategy })
    await nest.startAllMicroservices()
    await nest.init()
    const { client, send } = await connected(strategy)
    assert.equal(await send('pdf', { tenantId: 'acme' }), 'printed')
    await assert.rejects(send('pdf', { tenantId: 'bare' }), refusedWith(403, 'feature_off'))
    await assert.rejects(send('print', { tenantId: 'acme' }), 'nothing surrounds the handler')
    await client.close()
    await nest.close()
  })

  test('the tenant is looked for where each transport has its headers', () => {
    const header = { 'x-tenant-id': 'acme' }
    const metadata = Object.assign(
      Object.create({ get: (name) => (name === 'x-tenant-id' ? ['acme', 'bare'] : []) }),
      {},
    )
    const context = (transport, data) => ({
      getType: () => 'rpc',
      switchToRpc: () => ({ getData: () => data, getContext: () => transport }),
    })
    const kafka = (headers) => new KafkaContext([{ headers }, 0, 'topic', {}, async () => {}, {}])
    const carried = {
      Kafka: kafka({ 'x-tenant-id': Buffer.from('acme') }),
      'Kafka, as texts': kafka(header),
      NATS: new NatsContext(['subject', { get: (name) => header[name] ?? '' }]),
      RabbitMQ: new RmqContext([{ properties: { headers: header } }, {}, 'pattern']),
      'MQTT 5': new MqttContext(['topic', { properties: { userProperties: header } }]),
      gRPC: metadata,
      'TCP, as of NestJS 12': { ...new TcpContext([{}, 'pattern']), getMetadata: () => header },
    }
    for (const [name, transport] of Object.entries(carried)) {
      assert.equal(tenantFromHeader(context(transport, { tenantId: 'bare' })), 'acme', name)
    }
    const silent = {
      Kafka: kafka(undefined),
      NATS: new NatsContext(['subject', undefined]),
      RabbitMQ: new RmqContext([{ properties: {} }, {}, 'pattern']),
      'MQTT 3': new MqttContext(['topic', {}]),
      Redis: new RedisContext(['channel']),
      TCP: new TcpContext([{}, 'pattern']),
      nothing: undefined,
    }
    for (const [name, transport] of Object.entries(silent)) {
      assert.equal(tenantFromHeader(context(transport, { tenantId: 'bare' })), 'bare', name)
      for (const data of [undefined, null, 'bare', 7, {}, { tenantId: '' }, { tenantId: 7 }, []]) {
        assert.equal(tenantFromHeader(context(transport, data)), undefined, name)
      }
    }
  })
})

describe('keys that do not exist fail at boot', () => {
  class Mistaken {
    one() {}

    two() {}

    three() {}

    four() {}

    five() {}
  }
  decorated(Mistaken, {
    type: [Controller(), FeatureFlag('max_users')],
    methods: {
      one: { on: [Get('one'), FeatureFlag('pdf_invoice')] },
      two: { on: [Get('two'), RequireLimit('pdf_invoices', { used: 0 }), RequireLimit('max_user', { used: 0 })] },
      three: { on: [Get('three'), RequireTransition('ordre', { from: 'a', to: 'b' })] },
      four: { on: [Get('four'), RequireLimit('max_users'), RequireTransition('order', { move: Moves })] },
      five: { on: [Get('five'), FeatureFlag(['invoicing', 'something_else_altogether'])] },
    },
  })
  const made = { provide: 'made', useFactory: () => new Mistaken() }
  const bootOf = (more, engine) => moduleOf({ ...more, imports: [LeaseholdModule.forRoot({ engine, ...quiet })] })
  const mistakes = [
    "Mistaken: @FeatureFlag('max_users'): feature `max_users` is a limit, not a switch",
    "Mistaken.one: @FeatureFlag('pdf_invoice'): feature `pdf_invoice` is not known, did you mean `pdf_invoices`?",
    "Mistaken.two: @RequireLimit('pdf_invoices'): feature `pdf_invoices` is a switch, not a limit",
    "Mistaken.two: @RequireLimit('max_user'): feature `max_user` is not known, did you mean `max_users`?",
    "Mistaken.three: @RequireTransition('ordre'): workflow `ordre` is not known, did you mean `order`?",
    "Mistaken.four: @RequireLimit('max_users'): there is no provider of `LEASEHOLD_USAGE`: say `used` or `usage`, or provide `LEASEHOLD_USAGE`",
    "Mistaken.four: @RequireTransition('order'): there is no provider of `Moves`",
    "Mistaken.five: @FeatureFlag('something_else_altogether'): feature `something_else_altogether` is not known",
  ]

  for (const [where, more] of Object.entries({
    controllers: { controllers: [Mistaken] },
    factories: { providers: [made] },
  })) {
    test(`all of them are told, of ${where}`, async () => {
      const { engine } = policiesOf()
      const nest = await NestFactory.create(
        bootOf(more, () => engine),
        platforms.express(),
        { logger: false },
      )
      await assert.rejects(nest.init(), (error) => {
        assert.ok(error instanceof UnknownKeysError)
        assert.equal(error.code, 'unknown_keys')
        assert.deepEqual(error.mistakes, mistakes)
        mistakes.forEach((mistake) => assert.ok(error.message.includes(mistake)))
        return true
      })
      assert.ok(engine.closed, 'an app that does not start leaves nothing behind')
    })
  }

  const keyless = 'a key is a text, not of type undefined: where modules import each other, it is not there yet'
  /** Decorators that are called in ways that cannot be meant, and what is said of each. */
  const senseless = {
    nothing: [FeatureFlag([]), ['@FeatureFlag([]): it asks for nothing, and everybody would be let through']],
    two: [
      FeatureFlag('invoicing', 'pdf_invoices'),
      ["@FeatureFlag('invoicing'): `options` is an object, not of type string"],
    ],
    three: [
      FeatureFlag('invoicing', {}, 'pdf_invoices'),
      ["@FeatureFlag('invoicing'): it takes two arguments, and is given 3"],
    ],
    action: [
      FeatureFlag('invoicing', { action: 'raed' }),
      ["@FeatureFlag('invoicing'): `action` is use or read, not raed"],
    ],
    option: [
      FeatureFlag('invoicing', { Action: 'read' }),
      ["@FeatureFlag('invoicing'): `options` has no `Action`; it has action"],
    ],
    none: [FeatureFlag('invoicing', null), ["@FeatureFlag('invoicing'): `options` is an object, not null"]],
    feature: [FeatureFlag(undefined), [`@FeatureFlag(undefined): ${keyless}`]],
    features: [
      FeatureFlag(['invoicing', undefined, 7]),
      [
        `@FeatureFlag(['invoicing', undefined, 7]): ${keyless}`,
        "@FeatureFlag(['invoicing', undefined, 7]): a key is a text, not of type number",
      ],
    ],
    limit: [RequireLimit(undefined, { used: 0 }), [`@RequireLimit(undefined): ${keyless}`]],
    limits: [RequireLimit(['max_users'], { used: 0 }), ['@RequireLimit(a list): a key is a text, not a list']],
    use: [
      RequireLimit('max_users', { use: () => 1 }),
      ["@RequireLimit('max_users'): `options` has no `use`; it has requested, used, usage"],
    ],
    more: [
      RequireLimit('max_users', { used: 0 }, { requested: 2 }),
      ["@RequireLimit('max_users'): it takes two arguments, and is given 3"],
    ],
    move: [RequireTransition('order'), ["@RequireTransition('order'): say `from` and `to`, or `move`"]],
    provider: [
      RequireTransition('order', { move: undefined }),
      ["@RequireTransition('order'): say `from` and `to`, or `move`"],
    ],
    somewhere: [
      RequireTransition('order', { from: 'ready', two: 'closed' }),
      ["@RequireTransition('order'): `options` has no `two`; it has from, to, context, category, move"],
    ],
    workflow: [
      RequireTransition(undefined, { from: 'ready', to: 'closed' }),
      [`@RequireTransition(undefined): ${keyless}`],
    ],
  }

  for (const onUnknownKeys of ['fail', 'warn']) {
    test(`and so do calls of decorators that cannot be meant, all of them, where it is to ${onUnknownKeys}`, async () => {
      class Senseless {
        unknown() {}
      }
      const methods = { unknown: { on: [Get('unknown'), FeatureFlag(['pdf_invoice', undefined])] } }
      for (const [name, [decorator]] of Object.entries(senseless)) {
        Object.defineProperty(Senseless.prototype, name, { value() {}, configurable: true, writable: true })
        methods[name] = { on: [Get(name), decorator] }
      }
      decorated(Senseless, {
        type: [Controller('senseless'), UseGuards(FeatureFlagGuard, LimitGuard, TransitionGuard), FeatureFlag([])],
        methods,
      })
      const { engine } = policiesOf()
      const imports = [LeaseholdModule.forRoot({ engine: () => engine, onUnknownKeys, ...quiet })]
      const module = moduleOf({ imports, controllers: [Senseless] })
      const nest = await NestFactory.create(module, platforms.express(), { logger: false })
      const [nothing] = senseless.nothing[1]
      await assert.rejects(nest.init(), (error) => {
        assert.ok(error instanceof UnknownKeysError)
        assert.equal(error.code, 'unknown_keys')
        assert.doesNotMatch(error.message, /onUnknownKeys/, 'that would not help')
        assert.deepEqual(error.mistakes, [
          `Senseless: ${nothing}`,
          `Senseless.unknown: @FeatureFlag(['pdf_invoice', undefined]): ${keyless}`,
          ...Object.entries(senseless).flatMap(([name, [, said]]) => said.map((one) => `Senseless.${name}: ${one}`)),
          "Senseless.unknown: @FeatureFlag('pdf_invoice'): feature `pdf_invoice` is not known, did you mean `pdf_invoices`?",
        ])
        return true
      })
      assert.ok(engine.closed, 'an app that does not start leaves nothing behind')
    })
  }

  test('of microservices too', async () => {
    const { engine } = policiesOf()
    const strategy = new ServerTCP({ host: '127.0.0.1', port: 0 })
    const module = bootOf({ controllers: [Mistaken] }, engine)
    const service = await NestFactory.createMicroservice(module, { strategy, logger: false })
    await assert.rejects(service.listen(), UnknownKeysError)
    assert.equal(engine.closed, false)
  })

  test('and so do options that are none', async () => {
    const { engine } = policiesOf()
    const cases = [
      { tenantOf: () => 'acme' },
      { tenant: 'acme' },
      { onUnknownKeys: 'ignore' },
      { log: { refusd: 'warn' } },
      { telemetry: { tenant: true } },
    ]
    for (const wrong of cases) {
      const imports = [LeaseholdModule.forRootAsync({ useFactory: () => ({ engine, ...wrong }) })]
      const booting = NestFactory.create(moduleOf({ imports }), platforms.express(), {
        logger: false,
        abortOnError: false,
      })
      await assert.rejects(booting, ArgumentError, JSON.stringify(wrong))
    }
  })

  test('or are warned of, and refused when they are asked for', async () => {
    const warned = []
    class Hopeful {
      soon() {}
    }
    decorated(Hopeful, {
      type: [Controller('hopeful'), UseGuards(FeatureFlagGuard)],
      methods: { soon: { on: [Get('soon'), FeatureFlag('not_published_yet')] } },
    })
    const { engine } = policiesOf()
    const imports = [LeaseholdModule.forRoot({ engine, onUnknownKeys: 'warn', ...quiet })]
    const ignore = () => {}
    const logger = { log: ignore, error: ignore, warn: (message) => warned.push(message) }
    const nest = await NestFactory.create(moduleOf({ imports, controllers: [Hopeful] }), platforms.express(), {
      logger,
    })
    try {
      await nest.listen(0, '127.0.0.1')
      assert.match(warned.join('\n'), /Hopeful.soon: @FeatureFlag\('not_published_yet'\)/)
      const answer = await fetch(`${await nest.getUrl()}/hopeful/soon`, { headers: { 'x-tenant-id': 'acme' } })
      assert.equal(answer.status, 403)
      assert.equal((await answer.json()).code, 'unknown_feature')
    } finally {
      await nest.close()
      Logger.overrideLogger(false)
    }
  })
})

test('decorators that no guard asks for are told at boot', async () => {
  const warned = []
  class Open {
    one() {}

    two() {}
  }
  class Shut {
    one() {}

    two() {}
  }
  class Stricter extends FeatureFlagGuard {}
  decorated(Open, {
    type: [Controller('open-1'), FeatureFlag('pdf_invoices'), UseGuards(LimitGuard)],
    methods: {
      one: { on: [Get('one'), RequireLimit('max_users', { used: 0 })] },
      two: { on: [Get('two'), RequireTransition('order', { from: 'received', to: 'washing' })] },
    },
  })
  decorated(Shut, {
    type: [Controller('shut'), UseGuards(Stricter), FeatureFlag('pdf_invoices')],
    methods: {
      one: { on: [Get('one'), RequireLimit('max_users', { used: 0 }), UseGuards(LimitGuard)] },
      two: { on: [Get('two')] },
    },
  })
  const boot = async (more, prepare = () => {}) => {
    warned.length = 0
    const { engine } = policiesOf()
    const ignore = () => {}
    const logger = { log: ignore, error: ignore, warn: (message) => warned.push(message) }
    const module = moduleOf({ imports: [LeaseholdModule.forRoot({ engine, ...quiet })], ...more })
    const nest = await NestFactory.create(module, platforms.express(), { logger })
    prepare(nest)
    await nest.init()
    await nest.close()
    Logger.overrideLogger(false)
    return warned.map((message) => message.replace(/ before it.*/, ''))
  }
  assert.deepEqual(await boot({ controllers: [Open, Shut] }), [
    'Open has @FeatureFlag, and no FeatureFlagGuard',
    'Open.two has @RequireTransition, and no TransitionGuard',
  ])
  const all = [FeatureFlagGuard, TransitionGuard].map((useExisting) => ({ provide: APP_GUARD, useExisting }))
  assert.deepEqual(await boot({ controllers: [Open, Shut], providers: all }), [])
  const some = (nest) => nest.useGlobalGuards(nest.get(FeatureFlagGuard), nest.get(TransitionGuard))
  assert.deepEqual(await boot({ controllers: [Open, Shut] }, some), [])
})

describe('the engine', () => {
  const started = async (options) => {
    const nest = await NestFactory.createApplicationContext(moduleOf({ imports: [options] }), {
      logger: false,
      abortOnError: false,
    })
    return { nest, engine: nest.get(Engine) }
  }

  test('that was given stays open, and one that the module made is closed', async () => {
    const cases = [
      [(engine) => ({ engine }), false],
      [(engine) => ({ engine: Promise.resolve(engine) }), false],
      [(engine) => ({ engine: () => engine }), true],
      [(engine) => ({ engine: async () => engine }), true],
      [(engine) => ({ engine, closeEngine: true }), true],
      [(engine) => ({ engine: () => engine, closeEngine: false }), false],
    ]
    for (const [options, closed] of cases) {
      const { engine } = policiesOf()
      const { nest, engine: injected } = await started(LeaseholdModule.forRoot(options(engine)))
      assert.equal(injected, engine)
      assert.equal(engine.closed, false)
      await nest.close()
      assert.equal(engine.closed, closed, String(options))
    }
  })

  test('can come from whatever else the app has', async () => {
    const policies = policiesOf()
    const settings = { provide: 'settings', useValue: { policies } }
    const Settings = decorated(class Settings {}, { type: [Module({ providers: [settings], exports: [settings] })] })
    const { nest, engine } = await started(
      LeaseholdModule.forRootAsync({
        imports: [Settings],
        inject: ['settings'],
        useFactory: async ({ policies: { engine } }) => ({ engine }),
      }),
    )
    assert.equal(engine, policies.engine)
    assert.equal(
      nest.get(TenantEntitlements).run('acme', () => engine.isEnabled('acme', 'pdf_invoices')),
      true,
    )
    await nest.close()
  })

  test('follows, and ends with the app', async () => {
    const trust = readFileSync(join(conformance, 'trust.json'), 'utf8')
    const pack = readFileSync(join(conformance, 'packs/limits.pack'))
    const source = { head: async () => undefined, content: async () => undefined }
    const { nest, engine } = await started(LeaseholdModule.forRoot({ follow: { source, pack, trust } }))
    assert.ok(engine.snapshot().tenantIds().length > 0)
    const { leasehold } = nest.get(LeaseholdHealthIndicator).check('leasehold')
    assert.equal(leasehold.status, 'up')
    assert.equal(leasehold.revision, engine.snapshot().revision)
    assert.equal(typeof leasehold.persisted, 'boolean')
    assert.ok(Array.isArray(leasehold.faults))
    await nest.close()
    assert.ok(engine.closed)
  })

  test('is asked for in one way, and told what is wrong', async () => {
    const { engine } = policiesOf()
    const trust = readFileSync(join(conformance, 'trust.json'), 'utf8')
    const wrong = [
      [{}, ArgumentError],
      [{ engine, follow: { directory: here, trust } }, ArgumentError],
      [{ engine: 'an engine' }, ArgumentError],
      [{ engine: () => undefined }, ArgumentError],
      [{ follow: { directory: join(here, 'nothing'), trust } }, SnapshotError],
    ]
    for (const [options, error] of wrong) {
      await assert.rejects(started(LeaseholdModule.forRoot(options)), error, JSON.stringify(options))
    }
    const failing = LeaseholdModule.forRoot({ engine: Promise.reject(new Error('too late')) })
    await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(started(failing), /too late/)
  })

  test('is replaced in tests of an app that has its own', async (during) => {
    const policies = policiesOf()
    const own = LeaseholdModule.forRoot({ engine: () => assert.fail('it is not made'), ...quiet })
    const change = (builder) => builder.overrideProvider(Engine).useValue(policies.engine)
    const server = await listening(during, { ...app(policies), imports: [own] }, { change })
    assert.equal((await server.ask('/invoices/pdf')).status, 200)
    policies.set('acme', {})
    assert.equal((await server.ask('/invoices/pdf')).status, 403)
    await server.nest.close()
    assert.equal(policies.engine.closed, false)
  })
})

describe('health', () => {
  class HealthController {
    constructor(checks, leasehold) {
      this.checks = checks
      this.leasehold = leasehold
    }

    check() {
      return this.checks.check([() => this.leasehold.check('entitlements', { downWhen: ['stale'] })])
    }
  }
  decorated(HealthController, {
    type: [Controller('health')],
    inject: [HealthCheckService, LeaseholdHealthIndicator],
    methods: { check: { on: [Get()] } },
  })

  test('is told to terminus', async (during) => {
    const policies = policiesOf()
    const imports = [LeaseholdModule.forRoot({ engine: policies.engine }), TerminusModule.forRoot({ logger: false })]
    const server = await listening(during, { imports, controllers: [HealthController] })
    const up = await server.ask('/health', { tenant: null })
    assert.equal(up.status, 200)
    assert.deepEqual(up.body.details, { entitlements: { status: 'up', revision: 1, freshness: 'fresh' } })
    const ended = new Date(Date.now() - 1)
    policies.engine.swap(Engine.fromDefinitions(definitions, { revision: 9, issuedAt: 0, expiresAt: ended }).snapshot())
    const stale = await server.ask('/health', { tenant: null })
    assert.equal(stale.status, 503)
    assert.deepEqual(stale.body.error, {
      entitlements: { status: 'down', revision: 9, freshness: 'stale', message: 'the snapshot is stale' },
    })
    const indicator = server.nest.get(LeaseholdHealthIndicator)
    assert.equal(indicator.check().leasehold.status, 'up', 'an app without HQ goes on')
    await policies.engine.close()
    assert.deepEqual(indicator.check('a'), { a: { status: 'down', message: 'the engine is closed' } })
    assert.equal((await server.ask('/health', { tenant: null })).status, 503)
  })
})

describe('telemetry', () => {
  const spans = new InMemorySpanExporter()
  const measurements = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  const reader = new PeriodicExportingMetricReader({ exporter: measurements, exportIntervalMillis: 2 ** 30 })
  const storage = new AsyncLocalStorage()
  const root = otelContext.active()
  const manager = {
    active: () => storage.getStore() ?? root,
    with: (context, work, self, ...args) => storage.run(context, () => work.apply(self, args)),
    bind: (context, target) => target,
    enable: () => manager,
    disable: () => manager,
  }

  before(() => {
    otelContext.setGlobalContextManager(manager)
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  })
  after(async () => {
    await reader.shutdown()
    otelContext.disable()
    trace.disable()
    metrics.disable()
  })

  /** What was measured since the last time. */
  async function measured() {
    measurements.reset()
    await reader.forceFlush()
    const [{ scopeMetrics }] = measurements.getMetrics()
    const { metrics: all } = scopeMetrics.find(({ scope }) => scope.name === 'leasehold')
    const points = (name) => all.find(({ descriptor }) => descriptor.name === name).dataPoints
    const flat = ({ attributes, value }) => ({ ...attributes, value: value.count ?? value })
    return {
      decisions: points('leasehold.decisions').map(flat),
      durations: points('leasehold.handler.duration').map(flat),
    }
  }

  test('spans and metrics carry the tenant', async (during) => {
    const server = await listening(during, app(policiesOf()))
    spans.reset()
    await server.ask('/invoices/print')
    await server.ask('/invoices/pdf', { tenant: 'bare' })
    await server.ask('/invoices/pdf', { tenant: null })
    await server.ask('/users/known', { body: {} })
    await server.ask('/orders/close', { body: { invoice_issued: true } })
    const seen = spans.getFinishedSpans()
    const named = (name) => seen.filter((span) => span.name === name)
    const [handler] = named('InvoicesController.print')
    assert.equal(handler.attributes['leasehold.tenant'], 'acme')
    assert.equal(handler.attributes['leasehold.revision'], 1)
    assert.equal(handler.attributes['leasehold.context'], 'http')
    assert.deepEqual(
      handler.events.map(({ name, attributes }) => ({ name, ...attributes })),
      [
        {
          name: 'leasehold.decision',
          'leasehold.kind': 'feature',
          'leasehold.feature': 'pdf_invoices',
          'leasehold.outcome': 'allow',
          'leasehold.reason': 'granted',
          'leasehold.tenant': 'acme',
          'leasehold.revision': 1,
        },
      ],
    )
    assert.equal(handler.status.code, 0)
    assert.equal(named('InvoicesController.pdf').length, 0, 'refused by a guard')
    const [, refused, nobody] = named('leasehold FeatureFlagGuard')
    assert.equal(refused.attributes['leasehold.tenant'], 'bare')
    assert.equal(refused.events[0].attributes['leasehold.reason'], 'not_granted')
    assert.equal(refused.attributes['error.type'], '403')
    assert.equal(nobody.attributes['leasehold.tenant'], undefined)
    assert.equal(nobody.events[0].attributes['leasehold.reason'], 'tenant_required')
    assert.equal(named('leasehold LimitGuard')[0].events[0].attributes['leasehold.outcome'], 'deny')
    assert.equal(named('leasehold TransitionGuard')[0].events[0].attributes['leasehold.workflow'], 'order')

    const { decisions, durations } = await measured()
    const count = (wanted) =>
      decisions
        .filter((one) => Object.entries(wanted).every(([key, value]) => one[`leasehold.${key}`] === value))
        .reduce((sum, { value }) => sum + value, 0)
    assert.equal(count({ feature: 'pdf_invoices', outcome: 'allow', tenant: 'acme' }), 1)
    assert.equal(count({ feature: 'pdf_invoices', outcome: 'deny', reason: 'not_granted', tenant: 'bare' }), 1)
    assert.equal(count({ kind: 'tenant', reason: 'tenant_required', tenant: undefined }), 1)
    assert.equal(count({ kind: 'limit', feature: 'max_users', outcome: 'deny', tenant: 'acme' }), 1)
    assert.equal(count({ kind: 'transition', workflow: 'order', outcome: 'allow', tenant: 'acme' }), 1)
    assert.deepEqual(durations.map((one) => [one['leasehold.handler'], one['leasehold.tenant'], one.value]).sort(), [
      ['InvoicesController.print', 'acme', 1],
      ['OrdersController.close', 'acme', 1],
    ])
  })

  test('the tenant can be left out of metrics, and handlers are measured', async (during) => {
    const server = await listening(during, app(policiesOf(), { telemetry: { tenantInMetrics: false } }))
    spans.reset()
    await server.ask('/invoices/print')
    await server.ask('/invoices/print', { tenant: 'nobody' })
    await server.ask('/open')
    const { decisions, durations } = await measured()
    assert.deepEqual(durations.map((one) => one['leasehold.handler']).sort(), [
      'InvoicesController.print',
      'OpenController.health',
    ])
    durations.forEach((one) => assert.equal(one['leasehold.handler.outcome'], 'completed'))
    decisions.concat(durations).forEach((one) => assert.equal('leasehold.tenant' in one, false))
    const [handler] = spans.getFinishedSpans().filter(({ name }) => name === 'InvoicesController.print')
    assert.equal(handler.attributes['leasehold.tenant'], 'acme')
  })

  test('what fails in a handler is an error of its span, and a refusal is not', async (during) => {
    class Failing {
      fail() {
        throw new Error('broken')
      }

      refuse() {
        throw new ForbiddenException()
      }

      nothing() {
        throw undefined
      }

      nameless() {
        throw Object.create(null)
      }
    }
    decorated(Failing, {
      type: [Controller('failing')],
      methods: {
        fail: { on: [Get('fail')] },
        refuse: { on: [Get('refuse')] },
        nothing: { on: [Get('nothing')] },
        nameless: { on: [Get('nameless')] },
      },
    })
    const { imports } = app(policiesOf())
    const server = await listening(during, { imports, controllers: [Failing] })
    spans.reset()
    assert.equal((await server.ask('/failing/fail')).status, 500)
    assert.equal((await server.ask('/failing/refuse')).status, 403)
    // Whatever is thrown, somebody is answered.
    assert.equal((await server.ask('/failing/nothing')).status, 500)
    assert.equal((await server.ask('/failing/nameless')).status, 500)
    const [fail, refuse, ...others] = spans.getFinishedSpans()
    assert.deepEqual(
      others.map((span) => span.status.code),
      [2, 2],
    )
    assert.equal(fail.status.code, 2)
    assert.equal(fail.events[0].name, 'exception')
    assert.equal(refuse.status.code, 0)
    assert.equal(refuse.attributes['error.type'], '403')
  })
})

test('decisions are logged, at the levels that are wanted', async () => {
  const logged = []
  const at = (level) => (message, context) => context === 'Leasehold' && logged.push([level, message])
  const logger = { log: at('log'), warn: at('warn'), debug: at('debug'), verbose: at('verbose'), error: at('error') }
  const ask = async (log) => {
    logged.length = 0
    const module = await Test.createTestingModule(app(policiesOf(), { log })).setLogger(logger).compile()
    const nest = module.createNestApplication(platforms.express())
    await nest.listen(0, '127.0.0.1')
    for (const headers of [{ 'x-tenant-id': 'acme' }, { 'x-tenant-id': 'bare' }, {}]) {
      await fetch(`${await nest.getUrl()}/invoices/pdf`, { headers })
    }
    await nest.close()
    return logged
  }
  const granted = 'feature `pdf_invoices` for tenant `acme`: allow, granted (revision 1)'
  const refused = 'feature `pdf_invoices` for tenant `bare`: deny, not_granted (revision 1)'
  try {
    assert.deepEqual(await ask({}), [
      ['debug', granted],
      ['log', refused],
      ['log', 'tenant: deny, tenant_required'],
    ])
    assert.deepEqual(await ask({ granted: false, refused: 'warn' }), [
      ['warn', refused],
      ['warn', 'tenant: deny, tenant_required'],
    ])
    assert.deepEqual(await ask({ granted: 'verbose', refused: false }), [['verbose', granted]])
  } finally {
    Logger.overrideLogger(false)
  }
})

describe('policies', () => {
  test('become definitions, of features of every kind', () => {
    const { engine } = new TestPolicies({
      tenants: {
        acme: {
          features: { pdf: true },
          limits: { users: 5, orders: 'unlimited', mails: { amount: 1, mode: 'billable', thresholds: [100] } },
          values: { currency: 'OMR', days: 30, theme: { logo: null } },
        },
        bare: { features: { pdf: false } },
      },
    })
    const acme = engine.tenant('acme')
    assert.equal(acme.isEnabled('pdf'), true)
    assert.equal(acme.checkLimit('users', 5, 1).outcome, 'deny')
    assert.equal(acme.checkLimit('orders', 2 ** 40, 1).outcome, 'allow')
    assert.equal(acme.checkLimit('mails', 1, 1).outcome, 'overage')
    assert.deepEqual(
      ['currency', 'days', 'theme'].map((key) => acme.value(key)),
      ['OMR', 30, { logo: null }],
    )
    assert.equal(engine.tenant('bare').decide('pdf').reason, 'switched_off')
  })

  test('leave off what they do not name, of every kind, also for tenants of definitions', () => {
    const policies = new TestPolicies({
      definitions: { ...definitions, tenants: { kept: { ...tenantLike(), overrides: { users: invoicing() } } } },
      tenants: {
        acme: {
          features: { pdf: true },
          limits: { users: 5, max_users: 5 },
          values: { currency: 'OMR', days: 30, theme: { logo: null } },
        },
        bare: { values: { days: 0 } },
      },
    })
    const names = ['pdf', 'users', 'currency', 'days', 'theme']
    const on = (tenant) => names.filter((key) => policies.engine.tenant(tenant).decide(key).enabled)
    assert.deepEqual([on('acme'), on('bare'), on('kept')], [names, ['days'], []])
    const bare = policies.engine.tenant('bare')
    assert.deepEqual(
      ['currency', 'days', 'theme'].map((key) => bare.value(key)),
      [null, 0, null],
    )
    assert.equal(bare.checkLimit('users', 0, 1).reason, 'revoked')
    // What definitions have is as they have it.
    assert.equal(bare.decide('max_users').enabled, true)
    assert.equal(policies.engine.isEnabled('kept', 'invoicing'), true)
    policies.set('bare', { values: { currency: '' } })
    assert.deepEqual([on('bare'), bare.value('currency')], [['currency'], ''])
  })

  test('lie over definitions, as a document or as files', () => {
    const base = { ...definitions, tenants: { kept: tenantLike(), acme: tenantLike() } }
    const text = JSON.stringify
    const files = [
      { name: 'features.json', content: text({ $schema: 'x', features: { invoicing: base.features.invoicing } }) },
      { name: 'more.json', content: new TextEncoder().encode(text({ ...base, features: { ...base.features } })) },
    ]
    for (const given of [base, files]) {
      const { engine } = new TestPolicies({ definitions: given, tenants: { acme: { plan: 'growth' } } })
      assert.equal(engine.tenant('acme').isEnabled('invoicing'), true)
      assert.equal(engine.tenant('kept').isEnabled('invoicing'), false)
      assert.equal(engine.tenant('acme').machine('order').about.version, 1)
    }
    assert.equal(base.tenants.acme.name, 'a', 'what was given stays as it was')
  })

  test('that are wrong change nothing', () => {
    const policies = policiesOf()
    const { engine } = policies
    const before = engine.snapshot()
    assert.throws(() => policies.set('acme', { values: { currency: 0.5 } }), DefinitionsError)
    assert.throws(() => policies.set('acme', { limits: { pdf_invoices: 5 } }), {
      code: 'invalid_argument',
      message: '`pdf_invoices` is a switch, not a limit: a feature has one kind, for all tenants',
    })
    assert.throws(() => policies.set('not an id', {}), DefinitionsError)
    assert.throws(() => policies.set('acme', { feature: { pdf_invoices: false } }), {
      code: 'invalid_argument',
      message: '`tenants.acme` has no `feature`; it has features, limits, values, access, plan, workflows',
    })
    assert.equal(engine.snapshot(), before)
    policies.set('new', {})
    assert.equal(engine.isEnabled('acme', 'pdf_invoices'), true)
    assert.deepEqual(engine.snapshot().tenantIds().sort(), ['acme', 'bare', 'frozen', 'new'])
    assert.throws(() => new TestPolicies({ tenants: {}, definitions: [{ name: 'a.json', content: '{' }] }), {
      code: 'invalid_argument',
      message: /^`a.json` is not JSON/,
    })
  })

  function tenantLike() {
    return { name: 'a', name2: 'a', region: 'TEST', anchor: '2000-01-01T00:00:00Z' }
  }

  function invoicing() {
    return { feature: 'invoicing', op: 'set', value: true, reason: 'for a test', actor: 'ada' }
  }
})

test("what several requests share, as a socket or the parent of a field, is nobody's tenant", async () => {
  const { engine } = policiesOf()
  let named
  const module = await Test.createTestingModule({
    imports: [LeaseholdModule.forRoot({ engine, tenant: () => named, ...quiet })],
  }).compile()
  const handler = () => {}
  FeatureFlag('pdf_invoices')(class {}.prototype, 'handler', { value: handler })
  const shared = {}
  const asks = (type, args, tenant) => {
    named = tenant
    const context = { getType: () => type, getArgs: () => args, getHandler: () => handler, getClass: () => class {} }
    const answer = module.get(FeatureFlagGuard).canActivate(context)
    return Promise.resolve(answer).then(
      () => 'yes',
      (error) => error.getStatus?.() ?? error.getError?.().code ?? error.message,
    )
  }
  for (const [type, args] of [
    ['ws', () => [shared, {}]],
    ['ws', () => [shared, 'a text']],
    ['graphql', () => [shared, {}, { request: 1 }, {}]],
  ]) {
    assert.equal(await asks(type, args(), 'acme'), 'yes', type)
    assert.notEqual(await asks(type, args(), 'bare'), 'yes', type)
    assert.notEqual(await asks(type, args(), null), 'yes', type)
    assert.equal(await asks(type, args(), 'acme'), 'yes', type)
  }
  await module.close()
})

test('refusals in messages are RpcExceptions', async () => {
  const { engine } = policiesOf()
  const guard = new Map()
  const module = await Test.createTestingModule({
    imports: [LeaseholdModule.forRoot({ engine, ...quiet })],
  }).compile()
  const handler = () => {}
  FeatureFlag('pdf_invoices')(class {}.prototype, 'handler', { value: handler })
  const context = {
    getType: () => 'rpc',
    getArgs: () => [{ tenantId: 'bare' }, guard],
    getHandler: () => handler,
    getClass: () => class {},
    switchToRpc: () => ({ getData: () => ({ tenantId: 'bare' }), getContext: () => guard }),
  }
  await assert.rejects(module.get(FeatureFlagGuard).canActivate(context), (error) => {
    assert.ok(error instanceof RpcException)
    assert.equal(error.getError().code, 'feature_off')
    return true
  })
  await module.close()
})

test('works without OpenTelemetry and microservices', () => {
  const script = `
    const Module = require('node:module')
    const resolve = Module._resolveFilename
    const asked = new Set()
    Module._resolveFilename = function (request, ...rest) {
      if (request === '@opentelemetry/api' || request === '@nestjs/microservices') {
        asked.add(request)
        throw Object.assign(new Error('not here'), { code: 'MODULE_NOT_FOUND' })
      }
      return resolve.call(this, request, ...rest)
    }
    require('reflect-metadata')
    const { NestFactory } = require('@nestjs/core')
    const { Module: Mod } = require('@nestjs/common')
    const { LeaseholdTestingModule, TenantEntitlements } = require('leasehold/nestjs')
    class App {}
    Mod({ imports: [LeaseholdTestingModule.forPolicies({ tenants: { acme: { features: { pdf: true } } } })] })(App)
    NestFactory.createApplicationContext(App, { logger: false }).then(async (app) => {
      const entitlements = app.get(TenantEntitlements)
      console.log(entitlements.run('acme', () => entitlements.isEnabled('pdf')), asked.has('@opentelemetry/api'))
      try { entitlements.run('nobody', () => {}) } catch (error) { console.log(error.code) }
      await app.close()
    })`
  const said = execFileSync(process.execPath, ['--no-warnings', '-e', script], { cwd: here, encoding: 'utf8' })
  assert.equal(said, 'true true\nunknown_tenant\n')
})

test('compiles as people write it', () => {
  const tsc = require.resolve('typescript/bin/tsc')
  execFileSync(process.execPath, [tsc, '--project', join(here, 'nestjs/tsconfig.json')], { encoding: 'utf8' })
})
