// Generated from lib/exports.ts by scripts/declarations.mjs: do not edit.
/** What the packages for Node and for browsers both export. */
export type * from './answers.js';
export type { Instant } from './arguments.js';
export { Engine, Tenant } from './engine.js';
export type { EngineEvents } from './engine.js';
export { ArgumentError, ClosedError, DefinitionsError, InternalError, LeaseholdError, OptionsError, QuestionError, SnapshotError, TimedOutError, TransitionError, } from './errors.js';
export type { FollowOptions } from './follow/platform.js';
export type { Content, Hearing, Reference, Source } from './follow/source.js';
export type * from './inputs.js';
export type * from './keys.js';
export { Machine } from './machine.js';
export type { Context } from './machine.js';
export { Snapshot } from './snapshot.js';
export type { SourceFile, Stamp } from './snapshot.js';
