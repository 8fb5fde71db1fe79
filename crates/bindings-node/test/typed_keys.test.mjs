// With the file that `leasehold codegen ts` writes, a key that does not exist does not compile.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import ts from 'typescript'
import { cleanmatex, program } from './support/desk.mjs'

const KEYS = 'leasehold-keys.d.ts'
/** Every line that must not compile says so. */
const SOURCES = {
  'right.mts': `
    import { Engine } from 'leasehold'
    import { FeatureFlag, RequireLimit, RequireTransition } from 'leasehold/nestjs'
    const tenant = Engine.fromPack(new Uint8Array(), 'trust').tenant('t')
    export const on: boolean = tenant.isEnabled('pdf_invoices') && tenant.isEnabledOr('delivery', false)
    export const outcome: string = tenant.checkLimit('max_users', 3, 1).outcome
    export const currency = tenant.value<string>('currency')
    export const reason: string = tenant.decide('max_users').reason
    export const users: number | null = tenant.entitlements().max_users
    export const moves = tenant.transitions('order', 'ready')
    export const decorators = [
      FeatureFlag('pdf_invoices'),
      RequireLimit('max_users', { used: () => 3 }),
      RequireTransition('order', { from: () => 'ready', to: () => 'closed' }),
    ]
  `,
  'right.cts': `
    import { Engine } from 'leasehold'
    export const on: boolean = Engine.fromPack(new Uint8Array(), 'trust').isEnabled('t', 'pdf_invoices')
  `,
  'typo.mts': `
    import { Engine } from 'leasehold'
    import { FeatureFlag } from 'leasehold/nestjs'
    const tenant = Engine.fromPack(new Uint8Array(), 'trust').tenant('t')
    tenant.isEnabled('pdf_invoices')
    tenant.isEnabled('pdf_invoces') // wrong
    tenant.transitions('ordr', 'ready') // wrong
    FeatureFlag('pdf_invoces') // wrong
  `,
  'typo.cts': `
    import { Engine } from 'leasehold'
    Engine.fromPack(new Uint8Array(), 'trust').isEnabled('t', 'pdf_invoces') // wrong
  `,
  'nest_alone.mts': `
    import { FeatureFlag } from 'leasehold/nestjs'
    FeatureFlag('pdf_invoices')
    FeatureFlag('pdf_invoces') // wrong
  `,
  'kind.mts': `
    import { Engine } from 'leasehold'
    const tenant = Engine.fromPack(new Uint8Array(), 'trust').tenant('t')
    tenant.checkLimit('max_users', 3, 1)
    tenant.isEnabled('max_users') // wrong
    tenant.checkLimit('pdf_invoices', 3, 1) // wrong
    tenant.value('max_users') // wrong
  `,
}

let folder
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'leasehold-types-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(resolve(import.meta.dirname, '..'), join(folder, 'node_modules/leasehold'), 'dir')
  execFileSync(program, ['codegen', 'ts', '-d', cleanmatex, '--out', join(folder, KEYS)])
  for (const [name, source] of Object.entries(SOURCES)) {
    writeFileSync(join(folder, name), source)
  }
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** What the compiler says, by file: the numbers of lines. */
function mistakes(names) {
  const options = {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  }
  const compiled = ts.createProgram(
    names.map((name) => join(folder, name)),
    options,
  )
  const found = Object.fromEntries(names.map((name) => [name, []]))
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(compiled)) {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    assert.ok(file !== undefined && basename(file.fileName) in found, `${file?.fileName}: ${text}`)
    const line = file.getLineAndCharacterOfPosition(start).line
    found[basename(file.fileName)].push(`${line + 1}: ${text.replace(/'.*$/s, '…')}`)
  }
  return found
}

const REFUSED = 'Argument of type …'

test('right keys compile, typos and limits that are asked as switches do not', () => {
  const names = Object.keys(SOURCES)
  const found = mistakes([KEYS, ...names])
  for (const name of names) {
    const lines = SOURCES[name].split('\n')
    const wrong = lines.flatMap((line, at) => (line.endsWith('// wrong') ? [`${at + 1}: ${REFUSED}`] : []))
    assert.deepEqual(found[name], wrong, name)
  }
})

test('the file compiles as it is', () => {
  // Mistakes in a declaration file are skipped with those of libraries.
  copyFileSync(join(folder, KEYS), join(folder, 'keys.mts'))
  assert.deepEqual(mistakes(['keys.mts', 'right.mts']), { 'keys.mts': [], 'right.mts': [] })
})

test('without the file any key compiles', () => {
  const names = ['typo.mts', 'typo.cts', 'kind.mts']
  assert.deepEqual(mistakes(names), Object.fromEntries(names.map((name) => [name, []])))
})
