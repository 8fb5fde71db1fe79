// The service in Node: a line of JSON is a request, and its answer another one.

import { createInterface } from 'node:readline'
import { Engine } from '../../../crates/bindings-node/dist/index.mjs'
import { service } from './service.mjs'

const serve = service(Engine)

for await (const line of createInterface({ input: process.stdin })) {
  // A wait is answered when it is over; other questions are, meanwhile.
  void serve(JSON.parse(line)).then((answer) => console.log(JSON.stringify(answer)))
}
await serve({ call: 'close' })
