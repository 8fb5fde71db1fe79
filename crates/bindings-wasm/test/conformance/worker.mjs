// One build in Node, in a thread of its own: there is one of them in each realm.

import { readFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { runBuild } from './build.mjs'

const { folder, ...given } = workerData
const file = (name) => new Uint8Array(readFileSync(new URL(name, folder)))
parentPort.postMessage(await runBuild({ ...given, file }))
