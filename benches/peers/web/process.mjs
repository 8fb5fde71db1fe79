// What `measure.mjs` and a peer ask of Node, in a page.

export const process = {
  env: { LEASEHOLD_BENCH_QUICK: new URLSearchParams(globalThis.location?.search).get('quick') ?? '' },
  hrtime: { bigint: () => BigInt(Math.round(performance.now() * 1e6)) },
}

export const Buffer = {
  from: (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)),
}
