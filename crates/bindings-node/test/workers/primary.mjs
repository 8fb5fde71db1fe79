// The primary of a cluster, which uses engines itself. Says what its workers said, each on a line, and how they ended.

import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { answers } from './answers.mjs'

const expected = answers()
cluster.setupPrimary({ exec: fileURLToPath(new URL('work.mjs', import.meta.url)), execArgv: [], args: [] })
for (let at = 0; at < 2; at += 1) {
  const worker = cluster.fork()
  worker.on('message', (heard) => {
    assert.equal(heard, expected)
    console.log('heard')
  })
  worker.on('exit', (code, signal) => console.log(`${code} ${signal}`))
}
