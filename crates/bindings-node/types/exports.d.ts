// Generated from lib/exports.ts by scripts/declarations.mjs: do not edit.
/** What the packages for Node and for browsers both export. */
export type * from './answers';
export type { Instant } from './arguments';
export { Engine, Tenant } from './engine';
export type { EngineEvents } from './engine';
export { ArgumentError, ClosedError, DefinitionsError, InternalError, LeaseholdError, OptionsError, QuestionError, SnapshotError, TimedOutError, TransitionError, } from './errors';
export type { FollowOptions } from './follow/platform';
export type { Content, Hearing, Reference, Source } from './follow/source';
export type * from './inputs';
export type * from './keys';
export { Machine } from './machine';
export type { Context } from './machine';
export { Snapshot } from './snapshot';
export type { SourceFile, Stamp } from './snapshot';
