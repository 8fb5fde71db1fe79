/** From WebAssembly to an engine that can be asked. */

import { isA, shown } from './arguments'
import { InitError } from './init_error'
import { provide } from './native'

/** Where the WebAssembly comes from, where it is not fetched from beside the package. */
export interface InitOptions {
  /**
   * A compiled module (which Workers import, and which may be posted to them), its bytes, the answer of a `fetch`, or its
   * URL.
   */
  module?: WebAssembly.Module | BufferSource | Response | Promise<Response> | URL | string
}

/** What wasm-bindgen makes around the WebAssembly. */
export interface Glue {
  default(options: { module_or_path: InitOptions['module'] }): Promise<unknown>
}

/** The version of this package, which building puts in. */
declare const VERSION: string

/** Where the WebAssembly says which version and which build it is. */
const SECTION = 'leasehold-web'
/** How browsers say that a content security policy forbids WebAssembly: Chromium and Safari, older ones, Firefox. */
const BLOCKED = /Content Security Policy|unsafe-eval|wasm-eval|blocked by CSP/i

type Build = 'core' | 'full'

let begun: { glue: Glue; done: Promise<void> } | undefined

/** Begins once; what failed may be tried again. */
export async function begin(build: Build, glue: Glue, nearby: () => URL, { module }: InitOptions): Promise<void> {
  if (begun === undefined) {
    const done = load(build, glue, nearby, module)
    const mine = { glue, done }
    begun = mine
    done.catch(() => {
      begun = begun === mine ? undefined : begun
    })
  } else if (begun.glue !== glue) {
    throw new InitError('wasm_invalid', 'the other build of leasehold-web runs in this page: initialize one of them')
  }
  return begun.done
}

async function load(build: Build, glue: Glue, nearby: () => URL, module: InitOptions['module']): Promise<void> {
  try {
    const compiled = await compile(await source(module ?? beside(nearby)))
    // What wasm-bindgen has begun with, it stays with: whatever else it may be has to be found out before.
    checkMark(compiled, `${VERSION} ${build}`)
    if (!WebAssembly.Module.exports(compiled).some(({ name }) => name === '__wbindgen_start')) {
      throw new TypeError('nothing in it begins')
    }
    await glue.default({ module_or_path: compiled })
  } catch (cause) {
    throw isA(InitError, cause) ? cause : failed(cause)
  }
  provide(glue)
}

function beside(nearby: () => URL): URL {
  try {
    return nearby()
  } catch (cause) {
    const message = 'a script that is no module does not know what lies beside it: pass `module` to `init`'
    throw new InitError('wasm_unavailable', message, { cause })
  }
}

/**
 * Refuses the WebAssembly of another version or build, as a cache may have it that mixes them: what crosses between the two
 * sides has names and shapes that both know. Tools may strip it of what it says; then only names are compared, by the browser.
 */
function checkMark(compiled: WebAssembly.Module, expected: string): void {
  const [section] = WebAssembly.Module.customSections(compiled, SECTION)
  const found = section === undefined ? expected : new TextDecoder().decode(section)
  if (found !== expected) {
    const message =
      `the scripts are those of leasehold-web ${expected}, and the WebAssembly is that of ${found}: ` +
      'a cache or a copy mixes them'
    throw new InitError('wasm_mismatch', message)
  }
}

async function compile(module: WebAssembly.Module | BufferSource | Response): Promise<WebAssembly.Module> {
  if (isA(Response, module)) {
    // Only what is said to be WebAssembly is compiled while it comes.
    const isSaid = module.headers.get('content-type')?.trim().toLowerCase() === 'application/wasm'
    try {
      return await (isSaid ? WebAssembly.compileStreaming(module) : WebAssembly.compile(await module.arrayBuffer()))
    } catch (cause) {
      const isRefused = [WebAssembly.CompileError, RangeError].some((Class) => isA(Class, cause))
      if (isRefused || BLOCKED.test(messageOf(cause))) {
        throw cause
      }
      // Browsers have many words for it. With what came whole, nothing but the above can be wrong.
      throw new InitError('wasm_unavailable', `the WebAssembly did not come whole: ${messageOf(cause)}`, { cause })
    }
  }
  const isCompiled = Object.prototype.toString.call(module) === '[object WebAssembly.Module]'
  return isCompiled ? (module as WebAssembly.Module) : WebAssembly.compile(module as BufferSource)
}

/** What can be compiled: answers that are good, and of files in Node what is in them. */
async function source(
  module: NonNullable<InitOptions['module']>,
): Promise<WebAssembly.Module | BufferSource | Response> {
  if (typeof module === 'string' || isA(URL, module)) {
    const url = new URL(String(module), typeof location === 'undefined' ? 'file:///' : location.href)
    return url.protocol === 'file:' ? fromDisk(url) : answered(url.href, fetch(url))
  }
  const isAnswer = isA(Promise, module) || isA(Response, module)
  return isAnswer ? answered('the WebAssembly', module as Response | Promise<Response>) : (module as BufferSource)
}

async function answered(what: string, answer: Response | Promise<Response>): Promise<Response> {
  let response
  try {
    response = await answer
  } catch (cause) {
    throw new InitError('wasm_unavailable', `${what} cannot be fetched: ${String(cause)}`, { cause })
  }
  if (!response.ok) {
    throw new InitError('wasm_unavailable', `${what} cannot be fetched: the server answers ${response.status}`)
  }
  return response
}

function fromDisk(url: URL): Uint8Array<ArrayBuffer> {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(name: string): { readFileSync(path: URL): Uint8Array<ArrayBuffer> } }
  }
  const fs = process?.getBuiltinModule?.('node:fs')
  if (fs === undefined) {
    throw new InitError(
      'wasm_unavailable',
      `${url.href} is a file, which pages cannot read: pass \`module\` to \`init\``,
    )
  }
  try {
    return fs.readFileSync(url)
  } catch (cause) {
    throw new InitError('wasm_unavailable', `${url.href} cannot be read: ${String(cause)}`, { cause })
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : shown(cause)
}

function failed(cause: unknown): InitError {
  const why = messageOf(cause)
  if (BLOCKED.test(why)) {
    const message =
      "this page's content security policy forbids WebAssembly: add 'wasm-unsafe-eval' to its `script-src`, " +
      'or let your server say what to show'
    return new InitError('wasm_blocked', message, { cause })
  }
  return new InitError('wasm_invalid', `this is not the WebAssembly of this version: ${why}`, { cause })
}
