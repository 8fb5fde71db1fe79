// A folder with keys and definitions, and the command line of HQ.

import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../../../..')
export const cleanmatex = join(root, 'examples/cleanmatex')
export const program = process.env.LEASEHOLD_BIN ?? join(root, 'target/debug/leasehold')

export class Desk {
  constructor(folder) {
    this.folder = folder
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('LEASEHOLD_'))
    this.environment = { ...Object.fromEntries(own), LEASEHOLD_TRUST: 'trust.json' }
  }

  /** With keys, and the definitions of the example. */
  static async open() {
    const desk = new Desk(await mkdtemp(join(tmpdir(), 'leasehold-node-')))
    await desk.does('keygen root --out root.key --issuer hq.example --environment test --stream GCC-OM')
    await desk.does('keygen fleet --out fleet.key')
    await desk.does('certify fleet.key.pub --root root.key --out fleet.cert')
    await cp(cleanmatex, desk.at('definitions'), { recursive: true })
    desk.trust = await readFile(desk.at('trust.json'), 'utf8')
    return desk
  }

  at(...names) {
    return join(this.folder, ...names)
  }

  async does(line) {
    const run = promisify(execFile)
    const { stdout } = await run(program, line.split(' '), { cwd: this.folder, env: this.environment })
    return stdout
  }

  /** Publishes the definitions as they are. */
  async build(more = '') {
    const keys = '--fleet fleet.key --certificate fleet.cert'
    return this.does(`build -d definitions --out snapshots ${keys}${more}`)
  }

  /** Changes one file of definitions. */
  async edit(name, change) {
    const path = this.at('definitions', name)
    const document = JSON.parse(await readFile(path, 'utf8'))
    change(document)
    await writeFile(path, JSON.stringify(document, null, 2))
  }

  async close() {
    await rm(this.folder, { recursive: true, force: true })
  }
}
