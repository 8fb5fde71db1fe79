/** An app as people write it: it has to compile. */

import { Body, Controller, Get, Injectable, Module, Param, Post, UseGuards } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { HealthCheckService } from '@nestjs/terminus'
import type { HealthCheckResult } from '@nestjs/terminus'
import { Engine } from 'leasehold'
import type { LimitAnswer, Tenant } from 'leasehold'
import {
  CurrentTenant,
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
} from 'leasehold/nestjs'
import type { LeaseholdModuleOptions, Move, MoveProvider, UsageProvider } from 'leasehold/nestjs'

@Injectable()
class Users implements UsageProvider {
  used(_feature: string, tenant: Tenant): Promise<number> {
    return Promise.resolve(tenant.id.length)
  }
}

@Injectable()
class Orders implements MoveProvider {
  constructor(private readonly entitlements: TenantEntitlements) {}

  moveOf(_workflow: string, _tenant: Tenant, context: ExecutionContext): Move {
    const { params } = context.switchToHttp().getRequest<{ params: { to: string } }>()
    return { from: 'ready', to: params.to, context: { inputs: { invoice_issued: true }, roles: ['counter'] } }
  }

  logo(): string | null {
    return this.entitlements.value<string>('logo')
  }
}

@Controller('orders')
@UseGuards(FeatureFlagGuard, LimitGuard, TransitionGuard)
@FeatureFlag('orders')
class OrdersController {
  constructor(
    private readonly orders: Orders,
    private readonly leasehold: LeaseholdHealthIndicator,
    private readonly health: HealthCheckService,
  ) {}

  @Get()
  @FeatureFlag(['orders', 'archive'], { action: 'read' })
  list(@CurrentTenant() tenant: Tenant): string {
    return `${tenant.id} ${this.orders.logo() ?? ''}`
  }

  @Post()
  @RequireLimit('max_users', { usage: Users })
  @RequireLimit('orders_per_month', {
    used: 1,
    requested: (context) => context.switchToHttp().getRequest<{ n: number }>().n,
  })
  add(@Body() _body: object, @LimitOutcome('max_users') users: LimitAnswer): boolean {
    return users.outcome === 'warn'
  }

  @Post(':to')
  @RequireTransition('order', { move: Orders })
  @RequireTransition('order', { from: 'ready', to: () => Promise.resolve('closed'), category: () => undefined })
  move(@Param('to') to: string): string {
    return to
  }

  @Get('health')
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.leasehold.check('leasehold', { downWhen: ['stale', 'fallback'] })])
  }
}

@Module({
  imports: [
    LeaseholdModule.forRootAsync({
      useFactory: (): LeaseholdModuleOptions => ({
        follow: { url: 'http://127.0.0.1', token: 'token', trust: '{}', engineId: 'orders-1', keep: './kept' },
        tenant: (context) => context.switchToHttp().getRequest<{ user?: { tenant: string } }>().user?.tenant,
        log: { granted: false, refused: 'warn' },
        telemetry: { tenantInMetrics: false },
        onUnknownKeys: 'warn',
      }),
    }),
    LeaseholdModule.forRoot({ engine: () => Engine.fromDefinitions({}), isGlobal: false, closeEngine: true }),
  ],
  controllers: [OrdersController],
  providers: [Orders, Users, { provide: LEASEHOLD_USAGE, useExisting: Users }],
})
class AppModule {}

const policies = new TestPolicies({
  tenants: { acme: { features: { orders: true }, limits: { max_users: 'unlimited' } } },
})
Test.createTestingModule({ imports: [AppModule, LeaseholdTestingModule.forPolicies(policies)] })
  .overrideProvider(Engine)
  .useValue(policies.engine)
  .overrideGuard(LimitGuard)
  .useValue({ canActivate: () => true })

// @ts-expect-error there is no such action
FeatureFlag('orders', { action: 'write' })
// @ts-expect-error an engine, or what to follow
LeaseholdModule.forRoot({})
// @ts-expect-error and not both
LeaseholdModule.forRoot({ engine: policies.engine, follow: { directory: '.', trust: '{}' } })
// @ts-expect-error a move goes from somewhere
RequireTransition('order', { to: 'closed' })
