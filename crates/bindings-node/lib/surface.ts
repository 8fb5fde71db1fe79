/**
 * What TypeScript knows of the native part, which is an addon in Node and WebAssembly in browsers. Nothing here is public:
 * every text that it answers is JSON, and every error a text that `told` takes apart.
 */

/** @internal */
export interface NativeSnapshot {
  about(): string
  warnings(): string
  freshness(now: number): string
  tenantIds(): string
  diff(older: NativeSnapshot, now: number): string
  changes(older: NativeSnapshot, now: number): string
  /** The same, beside JavaScript's thread, where there is more than one. */
  changesLater?(older: NativeSnapshot, now: number): Promise<string>
  diffTenants(tenant: string, other: string, now: number): string
  compareVersions(workflow: string, from: number, to: number): string
  upgrade(tenant: string, workflow: string, to: number, side: string): string
  replay(workflow: string, version: number, log: string): string
  /** Gives up its memory, where that has to be said. */
  free?(): void
}

/** @internal */
export interface NativeEngine {
  swap(snapshot: NativeSnapshot): void
  tenant(id: string): NativeTenant
  free?(): void
}

/** @internal */
export interface NativeTenant {
  isEnabled(feature: string, read: boolean, now: number): boolean
  decide(feature: string, read: boolean, now: number): string
  value(feature: string, now: number): string
  checkLimit(feature: string, used: number, requested: number, now: number): string
  entitlements(now: number): string
  answerTable(read: boolean, now: number): string
  explain(feature: string, read: boolean, now: number): string
  whatIf(change: string, usage: string, now: number): string
  evaluate(feature: string, now: number): string
  evaluateAll(now: number): string
  /** Answers a text of the same shape as `checkLimit`, without asking: for benchmarks. */
  emptyLimit(feature: string, used: number, requested: number, now: number): string
  machine(workflow: string, category?: string): NativeMachine
}

/** @internal */
export interface NativeMachine {
  about(): string
  transitions(stage: string, context?: string): string
  check(from: string, to: string, context?: string): string
  /** Answers a text of the same shape as `check`, without asking: for benchmarks. */
  emptyCheck(from: string, to: string, context?: string): string
  explain(from: string, to: string, context?: string): string
  coveringPaths(): string
  picture(form: string, language: string, current?: string): string
  /** A picture of what it changes over an older one. */
  pictureAgainst(older: NativeMachine, form: string, language: string, current?: string): string
  free?(): void
}

/** @internal */
export interface NativeChunk {
  hash: string
  encoding: string
  bytes: Uint8Array
}

/** @internal */
export interface NativeEvent {
  type: string
  number?: number
  document?: Uint8Array
  hash?: string
  encoding?: string
  why?: string
}

/** @internal */
export interface NativeAction {
  type: string
  hash?: string
  length?: number
  ms?: number
  number?: number
  document?: Uint8Array
  chunks?: NativeChunk[]
  obsolete?: string[]
  report?: string
}

/** @internal */
export interface NativeSettings {
  pollMs?: number
  timeoutMs?: number
  backoffMinMs?: number
  backoffMaxMs?: number
  reportMs?: number
}

/** What may be done beside JavaScript's thread, where there is more than one. */
type Later<R> = R | Promise<R>

/** @internal */
export interface NativeFollower {
  stream(): string
  handle(event: NativeEvent, now: number, random: number): Later<NativeAction[]>
  restore(
    head: Uint8Array | undefined,
    seen: Uint8Array | undefined,
    contents: NativeChunk[],
    now: number,
  ): Later<NativeAction[]>
  open(pack: Uint8Array, now: number): Later<NativeAction[]>
  waitsFor(hash: string): boolean
  contents(): string[]
  snapshot(): NativeSnapshot | null | undefined
  health(now: number): string
  free?(): void
}

/** @internal */
export interface Native {
  NativeSnapshot: (abstract new (...none: never) => NativeSnapshot) & {
    fromPack(bytes: Uint8Array, trust: string): NativeSnapshot
    compile(
      names: string[],
      contents: Uint8Array[],
      revision: number,
      issuedAt: number,
      expiresAt?: number,
    ): NativeSnapshot
  }
  /** Nobody makes one but the native part. */
  NativeTenant: abstract new (...none: never) => NativeTenant
  NativeMachine: abstract new (...none: never) => NativeMachine
  NativeEngine: new (snapshot: NativeSnapshot) => NativeEngine
  NativeFollower: new (
    trust: string,
    engine: string | undefined,
    tenant: string | undefined,
    settings: NativeSettings | undefined,
  ) => NativeFollower
  openFeatureError(code: string): string
  checkCanonical(bytes: Uint8Array): void
  canonicalForm(json: string): string
  hashOf(bytes: Uint8Array): string
  placeOf(tenant: string): string
  keyId(key: string): string
  hashOfDefinitions(file: Uint8Array): string
  isStaged(engine: string, candidate: string, sharePermille: number): boolean
  verifyCertificate(bytes: Uint8Array, trust: string): string
  verifyHead(bytes: Uint8Array, trust: string, seen?: Uint8Array): string
  verifySlice(bytes: Uint8Array, tenant: string, trust: string): string
  openChunk(hash: string, length: number, encoding: string, bytes: Uint8Array): Uint8Array
  merge(base: string, ours: string, theirs: string): string
  /** Development builds only. */
  panics?(): void
}
