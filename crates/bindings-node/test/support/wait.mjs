/** Waits until a condition holds, however slow the machine is; gives what it came to. */
export async function until(what, condition) {
  const end = Date.now() + 120_000
  for (;;) {
    const held = await condition()
    if (held) {
      return held
    }
    if (Date.now() > end) {
      throw new Error(`it never came to this: ${what}`)
    }
    await new Promise((again) => setTimeout(again, 10))
  }
}
