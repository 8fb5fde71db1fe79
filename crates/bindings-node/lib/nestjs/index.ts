/**
 * Leasehold in NestJS 10, 11 and 12: what each tenant may do, asked in guards, handlers and services, over HTTP and in
 * microservices.
 */

export { UnknownKeysError } from './boot'
export { FeatureFlag, LEASEHOLD_USAGE, RequireLimit, RequireTransition } from './decorators'
export type {
  From,
  LimitOptions,
  Move,
  MoveOfOptions,
  MoveOptions,
  MoveProvider,
  TransitionOptions,
  UsageProvider,
} from './decorators'
export { TenantEntitlements } from './entitlements'
export { FeatureFlagGuard, LimitGuard, TransitionGuard } from './guards'
export { LeaseholdHealthIndicator } from './health'
export type { LeaseholdHealth, LeaseholdHealthOptions, LeaseholdHealthState } from './health'
export { LeaseholdInterceptor } from './interceptor'
export { LeaseholdModule } from './module'
export type {
  LeaseholdCommonOptions,
  LeaseholdEngineOptions,
  LeaseholdFollowOptions,
  LeaseholdModuleOptions,
  LogOptions,
  TelemetryOptions,
  TenantExtractor,
} from './options'
export { EntitlementException, ProblemFilter } from './problems'
export type { Problem } from './problems'
export { CurrentTenant, LimitOutcome, TENANT_HEADER, TransitionOutcome, outcomesOf, tenantFromHeader } from './tenant'
export type { Outcomes } from './tenant'
export { LeaseholdTestingModule, TestPolicies } from './testing'
export type { LimitPolicy, Policies, TenantPolicy } from './testing'
