/** Questions about what is not there: HQ removed it, or the key has a typo. Nothing here is public. */

const UNKNOWN: readonly unknown[] = [
  'unknown_feature',
  'wrong_kind',
  'unknown_workflow',
  'inactive_template',
  'unknown_stage',
  'unknown_tenant',
  'not_in_slice',
]

/** By its code: on a server, errors are of classes of another package. */
export function isUnknown(error: unknown): error is Error & { code: string } {
  return error instanceof Error && UNKNOWN.includes((error as { code?: unknown }).code)
}
