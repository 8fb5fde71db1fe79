// What the page says, in both languages. Stages and transitions bring their labels; features, reasons and facts get theirs here.

/** `[English, Arabic]` */
const TEXTS = {
  skip: ['Skip to content', 'تخطٍّ إلى المحتوى'],
  laundry: ['Laundry', 'المغسلة'],
  otherLanguage: ['العربية', 'English'],
  features: ['What you have', 'ما لديكم'],
  limits: ['How much', 'الحدود'],
  addUser: ['Add a user', 'إضافة مستخدم'],
  removeUser: ['Remove one', 'إزالة مستخدم'],
  order: ['Order {0}', 'الطلب {0}'],
  role: ['You are', 'أنت'],
  facts: ['What is known of it', 'بيانات الطلب'],
  next: ['What can be done now', 'ما يمكن فعله الآن'],
  nothingNext: ['Nothing: this order has come to its end.', 'لا شيء: اكتمل هذا الطلب.'],
  noOrders: ['Orders are closed for this laundry.', 'الطلبات مغلقة لهذه المغسلة.'],
  moved: ['The server has moved the order: {0}.', 'نقل الخادم الطلب: {0}.'],
  notMoved: ['The server refuses: {0}.', 'رفض الخادم: {0}.'],
  noServer: ['the server cannot be reached', 'تعذّر الوصول إلى الخادم'],
  serverDecides: ['The server decides this one', 'يقرر الخادم هذه الخطوة'],
  rule: [
    'This page decides what to show. The server decides what is allowed, and asks again.',
    'تقرر هذه الصفحة ما يُعرض، ويقرر الخادم ما يُسمح به ويتحقق من جديد.',
  ],
  live: ['Live', 'مباشر'],
  offline: ['Offline, from {0}', 'دون اتصال، منذ {0}'],
  waiting: ['Connecting', 'جارٍ الاتصال'],
  off: ['Not available ({0})', 'غير متاح ({0})'],
  appeared: ['New: {0}', 'جديد: {0}'],
  gone: ['No longer available: {0}', 'لم يعد متاحًا: {0}'],
  plan: ['Plan', 'الباقة'],
  status: ['Status', 'الحالة'],
  until: ['Next change', 'التغيير التالي'],
  revision: ['Revision', 'الإصدار'],
  none: ['none', 'لا يوجد'],
  of: ['{0} of {1}', '{0} من {1}'],
  unlimited: ['{0}, no limit', '{0}، بلا حد'],
  notIncluded: ['not included', 'غير مشمول'],
  nothingKept: [
    'Nobody can be reached, and this browser has kept nothing of this laundry: {0}',
    'لا يمكن الوصول إلى أحد، ولم يحتفظ هذا المتصفح بشيء عن هذه المغسلة: {0}',
  ],
  noEngine: ['What to show cannot be decided here: {0}', 'لا يمكن تحديد ما يُعرض هنا: {0}'],
}

const OUTCOMES = {
  allow: ['There is room for another one.', 'يوجد متسع لمستخدم آخر.'],
  warn: ['One more is beyond what the plan includes; it is let through.', 'إضافة مستخدم آخر تتجاوز الباقة، ويُسمح بها.'],
  overage: ['One more is billed.', 'تُحتسب رسوم على كل مستخدم إضافي.'],
  deny: ['The plan has no room for another one.', 'لا تتسع الباقة لمستخدم آخر.'],
}

const ACCESS = {
  none: ['Everything is closed for this laundry.', 'كل شيء مغلق لهذه المغسلة.'],
  billing_only: ['Only the bill can be settled at the moment.', 'لا يمكن حاليًا سوى تسديد الفاتورة.'],
  read_only: ['You can look at everything and change nothing.', 'يمكنكم الاطلاع على كل شيء دون تغييره.'],
}

const STATUS = {
  archived: ['archived', 'مؤرشف'],
  quarantined: ['quarantined', 'معزول'],
  suspended: ['suspended', 'موقوف'],
  frozen: ['frozen', 'مجمّد'],
  restricted: ['restricted', 'مقيّد'],
  pending: ['pending', 'قيد المراجعة'],
  grace: ['in grace', 'في فترة السماح'],
  warned: ['active, warned', 'نشط مع تنبيه'],
  trial: ['trial', 'فترة تجريبية'],
  active: ['active', 'نشط'],
  none: ['no plan', 'بلا باقة'],
}

const PLANS = {
  starter: ['Starter', 'البداية'],
  growth: ['Growth', 'النمو'],
  business: ['Business', 'الأعمال'],
  enterprise: ['Enterprise', 'المؤسسات'],
}

/** The features that this page shows, in this order. */
export const FEATURES = {
  delivery: ['Pickup and delivery', 'الاستلام والتوصيل'],
  driver_app: ['Driver app', 'تطبيق السائق'],
  online_booking: ['Online booking', 'الحجز عبر الإنترنت'],
  whatsapp_receipt: ['WhatsApp receipts', 'إيصالات واتساب'],
  pdf_invoices: ['PDF invoices', 'فواتير بصيغة PDF'],
  payments: ['Payments', 'المدفوعات'],
  garment_tracking: ['Garment tracking', 'تتبّع القطع'],
  multi_branch: ['Branch management', 'إدارة الفروع'],
  inventory: ['Supplies inventory', 'مخزون المستلزمات'],
  reports: ['Reports', 'التقارير'],
  loyalty: ['Loyalty points', 'نقاط الولاء'],
  b2b_contracts: ['Business contracts', 'عقود الشركات'],
  machine_monitoring: ['Machine monitoring', 'مراقبة الآلات'],
  api_access: ['API access', 'الوصول إلى واجهة البرمجة'],
  sso: ['Single sign-on', 'تسجيل الدخول الموحّد'],
  billing_portal: ['Billing portal', 'بوابة الاشتراك والسداد'],
}

const REASONS = {
  not_granted: ['not in your plan', 'ليس ضمن باقتكم'],
  killed: ['switched off for everybody for a while', 'موقوف مؤقتًا لدى الجميع'],
  blocked: ['closed while the account is restricted', 'مغلق ما دام الحساب مقيّدًا'],
  revoked: ['withdrawn', 'مسحوب'],
  switched_off: ['switched off', 'معطّل'],
  prerequisite: ['needs another feature', 'يتطلب ميزة أخرى'],
  preference: ['switched off by you', 'معطّل بطلبكم'],
  stale: ['cannot be confirmed at the moment', 'لا يمكن تأكيده حاليًا'],
}

/** The limits that are shown, with what each counts. */
export const LIMITS = {
  max_users: ['Users', 'المستخدمون'],
  orders_per_month: ['Orders this month', 'طلبات هذا الشهر'],
  whatsapp_messages_per_month: ['WhatsApp messages this month', 'رسائل واتساب هذا الشهر'],
}

export const ROLES = {
  counter: ['Counter', 'موظف الاستقبال'],
  operator: ['Operator', 'مشغّل'],
  quality_inspector: ['Quality inspector', 'مفتش الجودة'],
  driver: ['Driver', 'سائق'],
  manager: ['Manager', 'المدير'],
}

/** What stands against a move, by guard, and which facts of an order it looks at. */
export const GUARDS = {
  requires_invoice: { facts: ['invoice_issued'], why: ['The invoice is not issued', 'لم تصدر الفاتورة'] },
  requires_payment: {
    facts: ['balance_due_minor', 'customer_type'],
    why: ['The bill is not paid', 'لم تُسدَّد الفاتورة'],
  },
  requires_scan_ok: {
    facts: ['items_total', 'items_scanned', 'scan_errors'],
    why: ['Not every piece is scanned', 'لم تُمسح كل القطع'],
  },
  requires_pod: { facts: ['pod_captured'], why: ['There is no proof of delivery', 'لا يوجد إثبات تسليم'] },
  requires_manager_approval: {
    facts: ['discount_percent', 'approved_by_manager'],
    why: ['The discount needs the manager', 'يتطلب الخصم موافقة المدير'],
  },
  requires_photos: { facts: ['photos'], why: ['Photos are missing', 'الصور ناقصة'] },
  requires_quality_check: { facts: ['quality_result'], why: ['The quality check is not passed', 'لم يُجتز فحص الجودة'] },
  requires_storage_location: {
    facts: ['storage_location'],
    why: ['Nobody has said where it is kept', 'لم يُسجَّل موضع الحفظ'],
  },
  requires_driver: { facts: ['driver_id'], why: ['No driver is assigned', 'لم يُعيَّن سائق'] },
  rework_within_limit: {
    facts: ['items_reworked', 'items_total'],
    why: ['Too much would be done again', 'إعادة المعالجة تتجاوز الحد'],
  },
}

/** Facts of an order, each with the control that it has, in the order in which they are shown. */
export const FACTS = {
  balance_due_minor: { label: ['To pay (baisa)', 'المتبقي (بيسة)'], control: 'number' },
  customer_type: {
    label: ['Customer', 'العميل'],
    options: { individual: ['a person', 'فرد'], corporate: ['a company', 'شركة'], hotel: ['a hotel', 'فندق'] },
  },
  items_total: { label: ['Pieces', 'عدد القطع'], control: 'number' },
  items_scanned: { label: ['Scanned', 'الممسوحة'], control: 'number' },
  scan_errors: { label: ['Scan errors', 'أخطاء المسح'], control: 'number' },
  discount_percent: { label: ['Discount (%)', 'الخصم (٪)'], control: 'number' },
  photos: {
    label: ['Photos', 'الصور'],
    several: { front: ['front', 'أمام'], back: ['back', 'خلف'], label: ['label', 'الملصق'] },
  },
  quality_result: {
    label: ['Quality check', 'فحص الجودة'],
    options: { '': ['not yet', 'ليس بعد'], passed: ['passed', 'ناجح'], failed: ['failed', 'راسب'] },
  },
  storage_location: { label: ['Kept at', 'موضع الحفظ'], control: 'text' },
  driver_id: { label: ['Driver', 'السائق'], control: 'text' },
  items_reworked: { label: ['Pieces to do again', 'قطع تُعاد'], control: 'number' },
  invoice_issued: { label: ['Invoice issued', 'صدرت الفاتورة'], control: 'check' },
  pod_captured: { label: ['Proof of delivery', 'إثبات التسليم'], control: 'check' },
  approved_by_manager: { label: ['Approved by the manager', 'وافق المدير'], control: 'check' },
}

const ROLE_NEEDED = ['Role needed: {0}', 'الدور المطلوب: {0}']
const UNKNOWN = ['Something is missing', 'ينقص شيء']

let place = 0
const LOCALES = ['en-GB', 'ar-OM']

/** Sets the language: `en` or `ar`. */
export function speak(language) {
  place = language === 'ar' ? 1 : 0
}

export const language = () => (place === 1 ? 'ar' : 'en')
export const direction = () => (place === 1 ? 'rtl' : 'ltr')

/** The one of two labels that is in the language of the page. */
export const label = (pair) => pair[place]
/** The same of something that the engine has labelled. */
export const named = ({ name, name2 }) => (place === 1 ? name2 : name)

export function text(key, ...values) {
  return values.reduce((said, value, at) => said.replace(`{${at}}`, value), TEXTS[key][place])
}

export const number = (value) => new Intl.NumberFormat(LOCALES[place]).format(value)
export const list = (values) => new Intl.ListFormat(LOCALES[place]).format(values)
export const when = (instant) =>
  new Intl.DateTimeFormat(LOCALES[place], { dateStyle: 'medium', timeStyle: 'short' }).format(instant)
export const clock = (instant) => new Intl.DateTimeFormat(LOCALES[place], { timeStyle: 'medium' }).format(instant)

export const outcome = (word) => OUTCOMES[word][place]
export const access = (word) => ACCESS[word]?.[place]
export const status = (word) => STATUS[word][place]
export const plan = (key) => PLANS[key]?.[place] ?? key ?? text('none')
export const reason = (word) => (REASONS[word] ?? REASONS.not_granted)[place]

/** Why a transition is blocked, each reason once. What the engine says is for programs; people are told in their words. */
export function whys(blockers) {
  const said = blockers.map(({ code, guard, expected }) => {
    if (code === 'role_required') {
      return ROLE_NEEDED[place].replace('{0}', label(ROLES[expected] ?? [expected, expected]))
    }
    return label(GUARDS[guard]?.why ?? UNKNOWN)
  })
  return [...new Set(said)]
}
