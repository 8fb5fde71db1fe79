// The pieces of docs/nestjs.md, put together to one app that compiles, starts and is asked over HTTP.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { Blocks, read } from './blocks.mjs'
import { NODE, Workshop } from './workshop.mjs'

const blocks = new Blocks('nestjs')
const page = (number, ...elided) => blocks.take('docs/nestjs.md', number, ...elided)

const IMPORTS = `
import 'reflect-metadata'
import { Controller, Get, Global, Injectable, Module, Post, UseGuards } from '@nestjs/common'
import type { DynamicModule, ExecutionContext, INestApplication } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { Engine } from 'leasehold'
import type { Allowed, LimitAnswer, Tenant } from 'leasehold'
import {
  FeatureFlagGuard, FeatureFlag, LeaseholdHealthIndicator, LeaseholdTestingModule, LimitGuard, LimitOutcome, RequireLimit,
  RequireTransition, TenantEntitlements, TestPolicies, TransitionGuard, TransitionOutcome,
} from 'leasehold/nestjs'
import type { LeaseholdModuleOptions, Move, MoveProvider, UsageProvider } from 'leasehold/nestjs'
`

/** What the page takes for granted, in front of its pieces. */
const app = () => `${IMPORTS}
/** What '@nestjs/config' has, of what the page asks of it. */
@Injectable()
class ConfigService {
  getOrThrow(name: string): string {
    const value = process.env[name]
    if (value === undefined) throw new Error(name)
    return value
  }
}
@Global()
@Module({ providers: [ConfigService], exports: [ConfigService] })
class ConfigModule {
  static forRoot(_options: { isGlobal: boolean }): DynamicModule {
    return { module: ConfigModule }
  }
}
${page(1)}
export const extracting: Pick<LeaseholdModuleOptions, 'tenant'> = {
  ${page(2)}
}
${page(3, `return { printed: true }`, 'return []')}
@Injectable()
class Users implements UsageProvider {
  used(): number {
    return 10
  }
}
@Controller('users')
@UseGuards(LimitGuard)
class UsersController {
  ${page(4, 'return limit')}
}
@Injectable()
class Orders implements MoveProvider {
  moveOf(_workflow: string, _tenant: Tenant, _context: ExecutionContext): Move {
    const inputs = { invoice_issued: true, balance_due_minor: 0, customer_type: 'individual' }
    return { from: 'ready', to: 'closed', context: { inputs, roles: ['counter'] } }
  }
}
@Controller('orders')
@UseGuards(TransitionGuard)
class OrdersController {
  ${page(5, 'return { transition }')}
}
${page(6, 'return { currency }')}
@Controller()
class RestController {
  constructor(
    private readonly reports: Reports,
    private readonly health: HealthCheckService,
    private readonly leasehold: LeaseholdHealthIndicator,
  ) {}
  @Get('reports')
  make() {
    return this.reports.make()
  }
  ${page(9)}
}
const rest = { controllers: [InvoicesController, UsersController, OrdersController, RestController], providers: [Users, Orders, Reports] }
@Module({ imports: [AppModule, TerminusModule], ...rest })
export class Whole {}

export async function tested(): Promise<{ app: INestApplication; off: () => void }> {
  ${page(10).replace(/^module\.get/m, 'const off = () => module.get')}
  return { app: module.createNestApplication(), off }
}

export async function replacing(definitions: object): Promise<INestApplication> {
  ${page(11).replace(/^Test\./m, 'const builder = Test.')}
  const module = await builder.compile()
  return module.createNestApplication()
}

export function extracted(policies: object, tenant: string | undefined) {
  @Controller()
  class Who {
    @Get()
    @UseGuards(FeatureFlagGuard)
    @FeatureFlag('pdf_invoices')
    ask() {
      return {}
    }
  }
  const imports = [LeaseholdTestingModule.forPolicies(policies as never, extracting)]
  return Test.createTestingModule({ imports, controllers: [Who] }).compile().then((module) =>
    module.createNestApplication().use((request: { user?: object }, _: unknown, next: () => void) => {
      request.user = { tenantId: tenant }
      next()
    }),
  )
}

@Controller('invoices')
export class Mistyped {
  @Get(':id')
  @UseGuards(FeatureFlagGuard)
  @FeatureFlag('pdf_invoice')
  print() {}
}
Object.defineProperty(Mistyped, 'name', { value: 'InvoicesController' })
export { LeaseholdTestingModule, Test }
`

const readme = () => `${IMPORTS}
${blocks
  .take('crates/bindings-node/README.md', 4, 'return {}')
  .replace(
    /^@Module/m,
    `const { url, token, trust } = JSON.parse(process.env['FOLLOW'] ?? '')\nconst countOf = (_: ExecutionContext) => 0\n@Module`,
  )
  .replace(/^import \{ .* \} from 'leasehold\/nestjs'$/m, (line) => {
    // The names that it imports are those that it needs, or it would not compile.
    const names = line
      .slice(line.indexOf('{') + 1, line.indexOf('}'))
      .split(',')
      .map((name) => name.trim())
    return `import { LeaseholdModule } from 'leasehold/nestjs'\nconst named = [${names.join()}]`
  })}
@Module({ imports: [AppModule], controllers: [InvoicesController] })
export class Whole {}
`

let hq, workshop, compiled
before(async () => {
  workshop = await Workshop.open({ leasehold: NODE }, [NODE])
  await writeFile(workshop.at('app.mts'), app())
  await writeFile(workshop.at('readme.mts'), readme())
  const compilerOptions = {
    ...{ target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: true, types: ['node'] },
    ...{ experimentalDecorators: true, emitDecoratorMetadata: true },
  }
  await writeFile(workshop.at('tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.mts', 'readme.mts'] }))
  const tsc = workshop.at('node_modules/typescript/bin/tsc')
  const run = promisify(execFile)(process.execPath, [tsc], { cwd: workshop.folder })
  await run.catch(({ stdout }) => assert.fail(stdout))
  hq = await Hq.open()
  process.chdir(workshop.folder)
  const { url, token, trust } = await hq.options('orders-1')
  Object.assign(process.env, { LEASEHOLD_URL: url, LEASEHOLD_TOKEN: token, LEASEHOLD_TRUST: trust })
  process.env.FOLLOW = JSON.stringify({ url, token, trust })
  compiled = await import(workshop.at('app.mjs'))
})
after(async () => {
  process.chdir(NODE)
  await hq?.close()
  await workshop?.close()
})

/** Asks an app over HTTP for as long as `asking` takes. */
async function listening(app, asking) {
  app.useLogger(false)
  await app.listen(0, '127.0.0.1')
  try {
    const url = await app.getUrl()
    await asking(async (path, tenant, method = 'GET') => {
      const response = await fetch(url + path, {
        method,
        headers: tenant === undefined ? {} : { 'x-tenant-id': tenant },
      })
      return { status: response.status, type: response.headers.get('content-type'), body: await response.json() }
    })
  } finally {
    await app.close()
  }
}

const created = async (module) => {
  const { NestFactory } = await workshop.run(`import { NestFactory } from '@nestjs/core'`, { gives: ['NestFactory'] })
  return NestFactory.create(module, { logger: false, abortOnError: false })
}

test('docs/nestjs.md: the app follows HQ, and lets through and refuses', async () => {
  await listening(await created(compiled.Whole), async (ask) => {
    const tenant = 'om-muscat-sparkle'
    assert.deepEqual((await ask('/invoices/1.pdf', tenant)).body, { printed: true })
    assert.equal((await ask('/invoices', tenant)).status, 200)
    const limit = (await ask('/users', tenant, 'POST')).body
    assert.equal(limit.outcome, 'warn')
    const closed = await ask('/orders/1/close', tenant, 'POST')
    assert.equal(closed.body.transition, 'pick_up', JSON.stringify(closed))
    assert.deepEqual((await ask('/reports', tenant)).body, { currency: 'OMR' })
    const { body } = await ask('/health')
    assert.equal(body.details.leasehold.status, 'up')
    // What suspension takes is no plan's doing: the reason is another one.
    const refused = await ask('/invoices/1.pdf', 'om-seeb-express')
    assert.equal(refused.body.reason, 'blocked')
  })
})

test('docs/nestjs.md: an extractor says the tenant', async () => {
  const policies = { tenants: { acme: { features: { pdf_invoices: true } }, bare: {} } }
  for (const [tenant, status] of Object.entries({ acme: 200, bare: 403 })) {
    await listening(await compiled.extracted(policies, tenant), async (ask) =>
      assert.equal((await ask('/')).status, status),
    )
  }
})

test('docs/nestjs.md: policies, and a refusal as it is shown', async () => {
  const { app, off } = await compiled.tested()
  await listening(app, async (ask) => {
    assert.equal((await ask('/invoices/1.pdf', 'acme')).status, 200)
    off()
    assert.equal((await ask('/invoices/1.pdf', 'acme')).status, 403)
    const { status, type, body } = await ask('/invoices/1.pdf', 'bare')
    assert.equal(status, 403)
    assert.match(type, /^application\/problem\+json/)
    const shown = JSON.parse(page(7))
    assert.deepEqual({ ...body, revision: 0 }, { ...shown, revision: 0 })
  })
})

test('docs/nestjs.md: another engine stands in place of the one that the app would make', async () => {
  const app = await compiled.replacing(await ofExample())
  const { Engine } = await workshop.run(`import { Engine } from 'leasehold'`, { gives: ['Engine'] })
  await app.init()
  assert.equal(app.get(Engine).isEnabled('acme', 'delivery'), true)
  await app.close()
})

/** The example's definitions, without its tenants. */
async function ofExample() {
  const names = await readdir(hq.desk.at('definitions'), { recursive: true })
  const files = names.filter((name) => name.endsWith('.json') && !name.startsWith('tenants'))
  const documents = files.map((name) => JSON.parse(read(`examples/cleanmatex/${name}`)))
  const merged = {}
  for (const { $schema: _, ...sections } of documents) {
    for (const [section, records] of Object.entries(sections)) {
      merged[section] = { ...merged[section], ...records }
    }
  }
  return merged
}

test('docs/nestjs.md: keys that there are not are told at boot as it is shown', async () => {
  const { LeaseholdTestingModule, Test, Mistyped } = compiled
  const policies = { tenants: { acme: { features: { pdf_invoices: true } } } }
  const imports = [LeaseholdTestingModule.forPolicies(policies)]
  const module = await Test.createTestingModule({ imports, controllers: [Mistyped] }).compile()
  const app = module.createNestApplication({ logger: false })
  const error = await app.init().then(
    () => assert.fail('it has started'),
    (error) => error,
  )
  const plain = (text) => text.trim().replace(/revision \d+/, 'revision N')
  assert.equal(plain(error.message), plain(page(8)))
})

test('crates/bindings-node/README.md: the app compiles, starts and answers', async () => {
  const { Whole } = await import(workshop.at('readme.mjs'))
  await listening(await created(Whole), async (ask) => {
    assert.equal((await ask('/invoices', 'om-muscat-sparkle', 'POST')).status, 201)
    assert.equal((await ask('/invoices', 'om-seeb-express', 'POST')).status, 403)
  })
})

test('all that is claimed was run', () => blocks.done())
