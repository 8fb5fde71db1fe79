// Follows in a worker thread, or in a process of a cluster: says what it answers, and once there is another revision, what it
// answers then. It ends by itself, unless it is told to stay.

import cluster from 'node:cluster'
import { parentPort, workerData } from 'node:worker_threads'
import { Engine } from 'leasehold'

const { stays, tenant, ...options } = workerData ?? JSON.parse(process.env.FOLLOW)
const tell = (message) => (parentPort === null ? process.send(message) : parentPort.postMessage(message))

const engine = await Engine.follow({ ...options, pollMs: 20 })
const { revision } = engine.snapshot()
tell(engine.isEnabled(tenant, 'sso'))
await engine.waitFor(revision + 1, 60_000)
tell(engine.isEnabled(tenant, 'sso'))
if (!stays) {
  await engine.close()
  cluster.worker?.disconnect()
}
