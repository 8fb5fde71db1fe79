// What is right compiles, and typos and questions of the wrong kind do not, under either resolution of modules.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { tmpdir } from 'node:os'
import { after, before, test } from 'node:test'
import ts from 'typescript'

const root = resolve(import.meta.dirname, '..')
const addon = resolve(root, '../bindings-node')

const KEYS = `
  import 'leasehold-web'
  declare module 'leasehold-web' {
    interface Features { pdf_invoices: 'switch'; max_users: 'limit'; currency: 'value' }
    interface Workflows { order: true }
  }
`
/** Every line that must not compile says so. */
const SOURCES = {
  'react.tsx': `
    import { Engine } from 'leasehold-web'
    import { Entitled, LeaseholdProvider, useFeature, useLimit, useTenant, useTransitions, useValue } from 'leasehold-web/react'
    import type { ReactNode } from 'react'
    export function App({ engine }: { engine: Engine | Promise<Engine> | undefined }): ReactNode {
      return (
        <LeaseholdProvider engine={engine} tenant="a" fallback={<p />} failed={(error) => String(error)} onUnknown={(error) => console.error(error)}>
          <Entitled feature="pdf_invoices" fallback="upgrade"><Page /></Entitled>
          <Entitled feature="max_users" action="read"><Page /></Entitled>
        </LeaseholdProvider>
      )
    }
    function Page(): ReactNode {
      const open: boolean = useFeature('pdf_invoices') && useFeature('pdf_invoices', 'read')
      const left: number | null = useLimit('max_users', 3).remaining
      const currency: string | null = useValue<string>('currency')
      const moves = useTransitions('order', 'ready', { inputs: { due: 0 }, roles: ['driver'] })
      const reason: string = useTenant().decide('max_users').reason
      return <p>{open} {left} {currency} {moves.map(({ name, blockers }) => name + blockers?.length)} {reason}</p>
    }
    export function Wrong(): ReactNode {
      useFeature('pdf_invoces') // wrong
      useFeature('max_users') // wrong
      useLimit('pdf_invoices', 3) // wrong
      useValue('max_users') // wrong
      useTransitions('ordr', 'ready') // wrong
      useLimit('max_users') // wrong
      const none = <LeaseholdProvider engine="https://hq.example" /> // wrong
      return <Entitled feature="pdf_invoces">{none}</Entitled> // wrong
    }
  `,
  'elements.ts': `
    import { Engine } from 'leasehold-web'
    import { defineElements } from 'leasehold-web/elements'
    import type { TransitionEvent } from 'leasehold-web/elements'
    export function page(engine: Engine | Promise<Engine>) {
      defineElements(engine)
      defineElements(engine, { prefix: 'hq', explain: ({ code, guard }, language) => (code === 'guard_failed' ? guard + language : undefined) })
      document.addEventListener('lh-transition', (event) => {
        const moved: string = (event as TransitionEvent).detail.transition.to
        return moved
      })
      defineElements('https://hq.example') // wrong
      defineElements(engine, { prefixes: 'hq' }) // wrong
    }
  `,
  'openfeature.ts': `
    import { OpenFeature } from '@openfeature/web-sdk'
    import { Engine } from 'leasehold-web'
    import { LeaseholdWebProvider } from 'leasehold-web/openfeature'
    import type { TenantEngineSource } from 'leasehold-web/openfeature'
    export async function page(engine: Engine, follow: (tenant: string) => Promise<Engine>) {
      const sources: TenantEngineSource[] = [engine, Promise.resolve(engine), follow]
      for (const source of sources) {
        await OpenFeature.setProviderAndWait(new LeaseholdWebProvider(source), { targetingKey: 'a' })
      }
      const on: boolean = OpenFeature.getClient().getBooleanValue('pdf_invoices', false)
      OpenFeature.setProvider(new LeaseholdWebProvider(follow, { tenantOf: ({ shop }) => shop }))
      new LeaseholdWebProvider((tenant: number) => engine) // wrong
      return on
    }
  `,
  // A server renders with an engine of its own.
  ...(existsSync(join(addon, 'dist/index.d.ts')) && {
    'server.tsx': `
    import { Engine } from 'leasehold'
    import { LeaseholdProvider } from 'leasehold-web/react'
    export const App = ({ engine }: { engine: Engine }) => <LeaseholdProvider engine={engine} tenant="a" renderedAt={Date.now()} />
  `,
  }),
}

let folder
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'leasehold-types-'))
  mkdirSync(join(folder, 'node_modules'))
  for (const [name, path] of [
    ['leasehold-web', root],
    ['leasehold', addon],
    ['react', join(root, 'node_modules/react')],
    ['@openfeature', join(root, 'node_modules/@openfeature')],
    ['@types', join(root, 'node_modules/@types')],
  ]) {
    symlinkSync(path, join(folder, 'node_modules', name), 'dir')
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'keys.ts'), KEYS)
  for (const [name, source] of Object.entries(SOURCES)) {
    writeFileSync(join(folder, name), source)
  }
})
after(() => rmSync(folder, { recursive: true, force: true }))

for (const [resolution, module] of [
  ['Bundler', ts.ModuleKind.ESNext],
  ['Node16', ts.ModuleKind.Node16],
]) {
  test(`with the resolution ${resolution}`, () => {
    const names = ['keys.ts', ...Object.keys(SOURCES)]
    const options = {
      module,
      moduleResolution: ts.ModuleResolutionKind[resolution],
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
      jsx: ts.JsxEmit.ReactJSX,
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
    }
    const compiled = ts.createProgram(
      names.map((name) => join(folder, name)),
      options,
    )
    const found = new Map(names.map((name) => [name, new Set()]))
    for (const { file, start, messageText } of ts.getPreEmitDiagnostics(compiled)) {
      const text = ts.flattenDiagnosticMessageText(messageText, '\n')
      const lines = found.get(names.find((name) => file?.fileName.endsWith(`/${name}`)))
      assert.ok(lines !== undefined, `${file?.fileName}: ${text}`)
      const { line } = file.getLineAndCharacterOfPosition(start)
      const source = file.text.split('\n')[line].trim()
      lines.add(source.endsWith('// wrong') ? source : `${source}: ${text}`)
    }
    for (const [name, source] of Object.entries(SOURCES)) {
      const wrong = source.split('\n').filter((line) => line.endsWith('// wrong'))
      assert.deepEqual(
        [...found.get(name)],
        wrong.map((line) => line.trim()),
        name,
      )
    }
  })
}
