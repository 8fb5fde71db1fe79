// The primary of a cluster whose processes follow. Says what they said, each on a line, and how they ended.

import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'

cluster.setupPrimary({ exec: fileURLToPath(new URL('follows.mjs', import.meta.url)), execArgv: [], args: [] })
for (const options of JSON.parse(process.env.FOLLOWS)) {
  const worker = cluster.fork({ FOLLOW: JSON.stringify(options) })
  worker.on('message', (heard) => console.log(heard))
  worker.on('exit', (code, signal) => console.log(`${code} ${signal}`))
}
