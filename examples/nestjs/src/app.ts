import 'reflect-metadata'
import { Controller, Get, Module } from '@nestjs/common'
import type { DynamicModule, INestApplication } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus'
import type { HealthCheckResult } from '@nestjs/terminus'
import type { Entitlements } from 'leasehold'
import { LeaseholdHealthIndicator, LeaseholdModule, TenantEntitlements } from 'leasehold/nestjs'
import type { LeaseholdModuleOptions } from 'leasehold/nestjs'
import { Invoices, InvoicesController } from './invoices.js'
import { Ledger } from './ledger.js'
import { Orders, OrdersController } from './orders.js'
import { fromEnvironment } from './settings.js'
import { Users, UsersController } from './users.js'

@Controller()
class AppController {
  constructor(
    private readonly entitlements: TenantEntitlements,
    private readonly health: HealthCheckService,
    private readonly leasehold: LeaseholdHealthIndicator,
  ) {}

  /** All that the laundry may have: what a browser shows and hides. */
  @Get('entitlements')
  all(): Entitlements {
    return this.entitlements.entitlements()
  }

  @Get('health')
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.leasehold.check('leasehold')])
  }
}

@Module({})
class AppModule {
  static with(leasehold: () => LeaseholdModuleOptions | Promise<LeaseholdModuleOptions>): DynamicModule {
    return {
      module: AppModule,
      imports: [LeaseholdModule.forRootAsync({ useFactory: leasehold }), TerminusModule],
      controllers: [AppController, OrdersController, InvoicesController, UsersController],
      providers: [Ledger, Orders, Invoices, Users],
    }
  }
}

export interface AppOptions {
  /** Where entitlements come from: an HQ that variables of the environment name. */
  leasehold?: () => LeaseholdModuleOptions | Promise<LeaseholdModuleOptions>
  /** Whether it logs: `true`. */
  logger?: boolean
}

/** The app, which does not listen yet. */
export async function createApp({
  leasehold = fromEnvironment,
  logger = true,
}: AppOptions = {}): Promise<INestApplication> {
  const app = await NestFactory.create(
    AppModule.with(() => leasehold()),
    {
      abortOnError: false,
      ...(logger ? {} : { logger: false }),
    },
  )
  app.enableShutdownHooks()
  return app
}
