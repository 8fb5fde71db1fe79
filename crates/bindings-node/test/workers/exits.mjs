// Ends while its workers ask: one between two calls, one perhaps in the middle of one.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const work = new URL('work.mjs', import.meta.url)
const workers = [true, false].map((turns) => new Worker(work, { workerData: { forever: true, turns } }))
await Promise.all(workers.map((worker) => once(worker, 'message')))
console.log('heard')
process.exit(0)
