// Asks engines of its own, in a worker thread, a process of a cluster or a child process. Says what it heard, and goes
// on asking where it is told to.

import cluster from 'node:cluster'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { Engine } from 'leasehold'
import { engineOf } from '../conformance/vectors.mjs'
import { NOW, answers } from './answers.mjs'

const tell = (message) => (parentPort === null ? process.send(message) : parentPort.postMessage(message))

async function forever() {
  const shop = engineOf('shop')
  const other = engineOf('shop_v2').snapshot()
  for (let times = 0; ; times += 1) {
    shop.tenant('t1').explain('orders', NOW)
    Engine.fromDefinitions({}).snapshot()
    shop.swap(times % 2 === 0 ? other : engineOf('shop').snapshot())
    // One is ended between two calls, another in one.
    if (workerData.turns) {
      await turn()
    }
  }
}

if (workerData?.forever) {
  tell(answers())
  await forever()
} else {
  tell(answers())
  if (cluster.isWorker) {
    cluster.worker.disconnect()
  } else {
    process.disconnect?.()
  }
}
