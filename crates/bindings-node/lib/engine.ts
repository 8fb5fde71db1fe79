/** Engines in Node. */

import { BaseEngine } from './base'
import type { Trust } from './answers'
import { Following } from './follow/following'
import { text } from './arguments'
import type { FollowOptions } from './follow/platform'

export { Tenant } from './base'
export type { EngineEvents } from './base'

/** Options without those that are absent. */
function named(
  options: Pick<FollowOptions, 'directory' | 'keep' | 'trust'> & { stream: string | undefined },
): FollowOptions {
  const { stream, ...others } = options
  return stream === undefined ? others : { ...others, stream }
}

/** Answers questions from the newest snapshot. One that follows keeps the process alive until it is closed. */
export class Engine extends BaseEngine {
  /**
   * An engine that answers from a directory of snapshots as it is now, and does not follow it.
   * @throws {SnapshotError} Whatever is wrong with what is there.
   */
  static async fromDirectory(directory: string, trust: Trust | string, stream?: string): Promise<Engine> {
    const following = new Following(Engine, named({ directory: text('directory', directory), trust, stream }))
    const engine = await following.begin()
    await following.close()
    return engine
  }

  /**
   * An engine that answers from what an engine that followed has kept, see {@link FollowOptions.keep}.
   * @throws {SnapshotError} Nothing was kept, or it is of no use.
   */
  static async fromLastKnownGood(folder: string, trust: Trust | string, stream?: string): Promise<Engine> {
    const following = new Following(Engine, named({ directory: folder, keep: folder, trust, stream }))
    const engine = await following.restore()
    await following.close()
    if (engine === undefined) {
      throw following.nothing(`nothing is kept of its stream in ${folder}`)
    }
    return engine
  }
}
