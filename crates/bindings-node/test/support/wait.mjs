/** Waits until a condition holds, however slow the machine is; gives what it came to. */
export async function until(what, condition, patienceMs = 120_000) {
  const end = Date.now() + patienceMs
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
