// Generated from lib/index.ts by scripts/declarations.mjs: do not edit.
/**
 * Leasehold for Node: what each of your tenants may do, decided in process.
 *
 * ```js
 * const { Engine } = require('leasehold')
 * const engine = await Engine.follow({ url: 'https://hq.example', token, trust, engineId: 'orders-1', keep: './kept' })
 * if (engine.tenant('om-muscat-sparkle').isEnabled('pdf_invoices')) { … }
 * ```
 */
export * from './exports';
export { HttpSource } from './follow/http';
export type { HttpOptions } from './follow/http';
