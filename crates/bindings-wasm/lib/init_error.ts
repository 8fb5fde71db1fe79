import { LeaseholdError } from './errors'

/**
 * The engine is not there, and why:
 *
 * - `not_initialized`: something was asked before `init()` was done.
 * - `not_in_build`: the build `core` leaves it out; `leasehold-web/full` has it.
 * - `wasm_unavailable`: the WebAssembly could not be fetched, or not all of it.
 * - `wasm_blocked`: the page's content security policy forbids WebAssembly.
 * - `wasm_mismatch`: it is the WebAssembly of another version or build than the scripts are.
 * - `wasm_invalid`: what was fetched is not this WebAssembly, or the other build runs in this page.
 */
export class InitError extends LeaseholdError {}
