/** What both builds export. */

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
export type { FollowOptions, TokenSource } from './follow/platform'
export type { Content, Hearing, Reference, Source } from './follow/source'
export type { InitOptions } from './init'
export { InitError } from './init_error'
export type * from './inputs'
export type * from './keys'
export { Machine } from './machine'
export type { Context } from './machine'
export { Snapshot } from './snapshot'
export type { SourceFile, Stamp } from './snapshot'
