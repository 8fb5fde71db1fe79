// Says in the WebAssembly which version and which build it is, so that scripts can tell it from what they do not belong to.

/** The name of the section. */
export const SECTION = 'leasehold-web'

/** WebAssembly with a section of its own behind all others, which engines pass over. */
export function marked(wasm, mark) {
  const [name, text] = [SECTION, mark].map((text) => Buffer.from(text))
  const body = Buffer.concat([number(name.length), name, text])
  return Buffer.concat([wasm, Buffer.from([0]), number(body.length), body])
}

/** A number as WebAssembly has it: LEB128. */
function number(value) {
  return value < 0x80
    ? Buffer.from([value])
    : Buffer.concat([Buffer.from([(value & 0x7f) | 0x80]), number(value >>> 7)])
}
