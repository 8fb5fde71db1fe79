// Every block of every page has a runner; doctests have their pages.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { blocksOf, pages, read } from './blocks.mjs'
import { CLAIMS, LANGUAGES, PICTURES } from './claims.mjs'

test('every block has a runner that knows its language, and every runner its block', () => {
  assert.deepEqual(
    Object.keys(CLAIMS).filter((page) => !pages.includes(page)),
    [],
    'pages that are gone',
  )
  const wrong = []
  for (const page of pages) {
    const [blocks, runners] = [blocksOf(page), CLAIMS[page] ?? []]
    if (blocks.length !== runners.length) {
      wrong.push(`${page} has ${blocks.length} blocks, and claims.mjs names the runners of ${runners.length}`)
      continue
    }
    for (const { number, line, language } of blocks) {
      if (!LANGUAGES[runners[number - 1]].includes(language)) {
        wrong.push(`${page}:${line}: the runner ${runners[number - 1]} does not run \`${language}\``)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('pictures are those that are listed', () => {
  const claimed = Object.entries(CLAIMS).flatMap(([page, runners]) =>
    runners.flatMap((runner, at) => (runner === 'picture' ? [`${page}#${at + 1}`] : [])),
  )
  assert.deepEqual(claimed.sort(), Object.keys(PICTURES).sort())
})

test('pages with Rust are doctests of a crate', () => {
  // README.md has the example of the crate, which is the doctest.
  const [own, shown] = ['crates/core/README.md', 'README.md'].map((page) => rustOf(page))
  assert.deepEqual(shown, own)
  const included = readdirSync(new URL('../../crates', import.meta.url)).flatMap((crate) =>
    ['lib.rs', 'docs.rs'].flatMap((file) => {
      try {
        const text = read(`crates/${crate}/src/${file}`)
        return [...text.matchAll(/include_str!\("(?:\.\.\/)+([^"]+\.md)"\)/g)].map(([, path]) =>
          path === 'README.md' ? `crates/${crate}/README.md` : path,
        )
      } catch (error) {
        if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') {
          throw error
        }
        return []
      }
    }),
  )
  const withRust = Object.keys(CLAIMS).filter(
    (page) => CLAIMS[page].some((runner) => ['doctest', 'rust'].includes(runner)) && page !== 'README.md',
  )
  assert.deepEqual(
    withRust.filter((page) => !included.includes(page)),
    [],
    'pages whose Rust nobody compiles: name them in `#[doc = include_str!(…)]` of a crate',
  )
})

const rustOf = (page) => blocksOf(page).flatMap(({ language, text }) => (language === 'rust' ? [text] : []))
