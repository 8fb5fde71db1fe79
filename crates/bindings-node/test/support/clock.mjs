export const DAY = 86_400_000

/** A clock of the machine that a test sets while it runs: so many milliseconds ahead of the real one, or behind it. */
export function clockOf(t) {
  const own = Date.now
  let ahead = 0
  t.mock.method(Date, 'now', () => own() + ahead)
  return { set: (ms) => (ahead = ms) }
}
