/** Snapshots, and questions that are about more than one tenant. */

import type {
  Changes,
  Difference,
  FleetDiff,
  Freshness,
  Replay,
  SnapshotAbout,
  Upgrade,
  VersionComparison,
} from './answers'
import {
  answered,
  asked,
  at,
  bytes,
  given,
  isA,
  isList,
  json,
  kindOf,
  number,
  object,
  options,
  text,
  trustText,
  whole,
  written,
} from './arguments'
import type { Instant } from './arguments'
import type { Trust } from './answers'
import { ArgumentError } from './errors'
import type { Diagnostic } from './errors'
import type { LoggedMove } from './inputs'
import type { WorkflowKey } from './keys'
import { native } from './native'
import type { NativeSnapshot } from './native'

/** A file of definitions. */
export interface SourceFile {
  /** Its name, by which mistakes in it are told. */
  name: string
  /** What is in it. */
  content: string | Uint8Array
}

/** What a snapshot says of itself. */
export interface Stamp {
  /** Which revision it is; 0 where it matters to nobody. */
  revision?: number
  /** When it was made; now where that matters to nobody. */
  issuedAt?: Instant
  /** When it stops being fresh; without it, it never does. */
  expiresAt?: Instant
}

const STAMP: Record<keyof Stamp, true> = { revision: true, issuedAt: true, expiresAt: true }

/** A compiled snapshot: everything that an engine needs, of one revision. */
export class Snapshot {
  /** @internal */
  readonly inner: NativeSnapshot
  #about: SnapshotAbout | undefined

  /** @internal */
  constructor(inner: NativeSnapshot) {
    if (!isA(native.NativeSnapshot, inner)) {
      throw new ArgumentError('a snapshot is not made by hand: take one from an engine, with `snapshot()`')
    }
    this.inner = inner
  }

  /**
   * The snapshot of a pack, verified.
   * @throws {SnapshotError} Whatever is wrong with the pack.
   */
  static fromPack(pack: Uint8Array, trust: Trust | string, stream?: string): Snapshot {
    const [signed, believed] = [bytes('pack', pack), trustText(trust, stream)]
    return new Snapshot(asked(() => native.NativeSnapshot.fromPack(signed, believed)))
  }

  /**
   * The snapshot of definitions as people write them: one document, or files.
   * @throws {DefinitionsError} All mistakes in them.
   */
  static fromDefinitions(definitions: object | readonly SourceFile[], stamp: Stamp = {}): Snapshot {
    const encoder = new TextEncoder()
    const read = (file: SourceFile) => {
      const { name, content } = object('definitions', file)
      if (typeof content === 'string' && /\p{Surrogate}/u.test(content)) {
        throw new ArgumentError('`content` holds half of a surrogate pair, which no UTF-8 has')
      }
      const read = typeof content === 'string' ? encoder.encode(content) : bytes('content', content)
      return [text('name', name), read] as const
    }
    const files = isList(definitions)
      ? given('definitions', () => (definitions as readonly SourceFile[]).map(read))
      : [['definitions.json', encoder.encode(written('definitions', definitions))] as const]
    const { revision = 0, issuedAt, expiresAt } = given('stamp', () => ({ ...options('stamp', stamp, STAMP) }))
    const [issued, ends] = [at(issuedAt, 'issuedAt'), expiresAt === undefined ? undefined : at(expiresAt, 'expiresAt')]
    const [names, contents] = [files.map(([name]) => name), files.map(([, bytes]) => bytes)]
    const revised = number('revision', revision)
    const compiled = asked(() => native.NativeSnapshot.compile(names, contents, revised, issued, ends))
    return new Snapshot(compiled)
  }

  /**
   * What is in a snapshot, where one was passed in.
   * @internal
   */
  static inside(name: string, value: unknown): NativeSnapshot {
    if (value === null || typeof value !== 'object' || !(#about in value)) {
      const hint = 'take one from an engine, with `snapshot()`'
      throw new ArgumentError(`\`${name}\` is a snapshot, not ${kindOf(value)}: ${hint}`)
    }
    return (value as Snapshot).inner
  }

  /** What it is: revision, when it was signed, and which features it has. */
  get about(): SnapshotAbout {
    this.#about ??= answered<SnapshotAbout>(() => this.inner.about())
    return this.#about
  }

  get revision(): number {
    return this.about.revision
  }

  /** The ids of all tenants. */
  tenantIds(): string[] {
    return answered(() => this.inner.tenantIds())
  }

  /** What is most likely not meant in the definitions that it was compiled from. */
  warnings(): Diagnostic[] {
    return answered(() => this.inner.warnings())
  }

  /** How sure it is that it is the newest. */
  freshness(now?: Instant): Freshness {
    return answered(() => this.inner.freshness(at(now)))
  }

  /** What it changes over an older one, for a whole fleet, in numbers and examples. */
  diff(older: Snapshot, now?: Instant): FleetDiff {
    return answered(() => this.inner.diff(Snapshot.inside('older', older), at(now)))
  }

  /** Which tenants have other answers than in an older one, and to which features. */
  changes(older: Snapshot, now?: Instant): Changes {
    return answered(() => this.inner.changes(Snapshot.inside('older', older), at(now)))
  }

  /** What a tenant would have more, less or otherwise if it were the other one. */
  diffTenants(tenant: string, other: string, now?: Instant): Difference {
    return answered(() => this.inner.diffTenants(text('tenant', tenant), text('other', other), at(now)))
  }

  /** How two versions of a workflow differ. */
  compareVersions(workflow: WorkflowKey, from: number, to: number): VersionComparison {
    return answered(() => this.inner.compareVersions(text('workflow', workflow), whole('from', from), whole('to', to)))
  }

  /** What a tenant lays over a workflow, carried over to another version by three-way merge. */
  upgrade(tenant: string, workflow: WorkflowKey, to: number, side: 'base' | 'ours' | 'theirs'): Upgrade {
    return answered(() =>
      this.inner.upgrade(text('tenant', tenant), text('workflow', workflow), whole('to', to), text('side', side)),
    )
  }

  /** Moves of the past, tried again with a version of a workflow. */
  replay(workflow: WorkflowKey, version: number, log: readonly LoggedMove[]): Replay {
    return answered(() => this.inner.replay(text('workflow', workflow), whole('version', version), logged(log)))
  }
}

function logged(log: readonly LoggedMove[]): string {
  if (!isList(log)) {
    throw new ArgumentError(`\`log\` is a list, not ${kindOf(log)}`)
  }
  return json('log', log)
}
