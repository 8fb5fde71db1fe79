/**
 * Leasehold for Node: what each of your tenants may do, decided in process.
 *
 * ```js
 * const { Engine } = require('leasehold')
 * const engine = await Engine.follow({ url: 'https://hq.example', token, trust, engineId: 'orders-1', keep: './kept' })
 * if (engine.tenant('om-muscat-sparkle').isEnabled('pdf_invoices')) { … }
 * ```
 */

export type * from './answers'
export type { Instant } from './arguments'
export { Engine, Tenant } from './engine'
export type { EngineEvents } from './engine'
export {
  ArgumentError,
  ClosedError,
  DefinitionsError,
  InternalError,
  LeaseholdError,
  OptionsError,
  QuestionError,
  SnapshotError,
  TimedOutError,
  TransitionError,
} from './errors'
export { HttpSource } from './follow/http'
export type { HttpOptions } from './follow/http'
export type { FollowOptions } from './follow/platform'
export type { Content, Hearing, Reference, Source } from './follow/source'
export type * from './inputs'
export type * from './keys'
export { Machine } from './machine'
export type { Context } from './machine'
export { Snapshot } from './snapshot'
export type { SourceFile, Stamp } from './snapshot'
