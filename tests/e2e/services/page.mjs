// The service in a page: whoever drives the browser calls it.

import { Engine, init } from 'leasehold-web'
import { service } from './service.mjs'

await init()
globalThis.serve = service(Engine)
