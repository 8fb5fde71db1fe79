/** What elements say, in English and Arabic. Nothing here is public. */

import type { LimitAnswer } from './answers'

export const isArabic = (language: string) => /^ar\b/i.test(language)

const BLOCKERS_EN: Record<string, string> = {
  guard_failed: 'requires',
  input_missing: 'not known yet',
  input_mistyped: 'not as expected',
  input_out_of_range: 'out of range',
  guard_error: 'cannot be decided',
  guard_budget_exceeded: 'cannot be decided',
  guard_needs_rhai: 'cannot be decided in this page',
  role_required: 'requires the role',
}

const BLOCKERS_AR: Record<string, string> = {
  guard_failed: 'يتطلب',
  input_missing: 'غير معروف بعد',
  input_mistyped: 'ليس بالصيغة المتوقعة',
  input_out_of_range: 'خارج المدى',
  guard_error: 'لا يمكن البت فيه',
  guard_budget_exceeded: 'لا يمكن البت فيه',
  guard_needs_rhai: 'لا يمكن البت فيه في هذه الصفحة',
  role_required: 'يتطلب الدور',
}

interface Words {
  of(used: string, limit: string): string
  endless(used: string): string
  over(amount: string): string
  reached: string
  off: string
  comma: string
  blockers: Record<string, string>
}

const ENGLISH: Words = {
  of: (used, limit) => `${used} of ${limit}`,
  endless: (used) => `${used}, no limit`,
  over: (amount) => `${amount} over the limit`,
  reached: 'limit reached',
  off: 'not included',
  comma: ', ',
  blockers: BLOCKERS_EN,
}

const ARABIC: Words = {
  of: (used, limit) => `${used} من ${limit}`,
  endless: (used) => `${used}، بلا حد`,
  over: (amount) => `${amount} فوق الحد`,
  reached: 'تم بلوغ الحد',
  off: 'غير متاح',
  comma: '، ',
  blockers: BLOCKERS_AR,
}

export function wordsOf(language: string): Words {
  return isArabic(language) ? ARABIC : ENGLISH
}

/** What a limit says, as a sentence. */
export function saidOf({ limit, outcome, source }: LimitAnswer, used: number, language: string): string {
  const words = wordsOf(language)
  const number = (amount: number) => numbersIn(language).format(amount)
  if (source === null) {
    return words.off
  }
  if (limit === null) {
    return words.endless(number(used))
  }
  const more = used > limit ? [words.over(number(used - limit))] : outcome === 'deny' ? [words.reached] : []
  return [words.of(number(used), number(limit)), ...more].join(words.comma)
}

function numbersIn(language: string): Intl.NumberFormat {
  try {
    return new Intl.NumberFormat(language === '' ? 'en' : language)
  } catch {
    // It is no language.
    return new Intl.NumberFormat('en')
  }
}
