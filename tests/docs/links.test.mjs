// Every link within the repository leads somewhere, every file that ARCHITECTURE.md names is there, and every command of
// `cargo xtask` and target of cargo-fuzz that a page names exists. Nothing outside is asked.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { pages, read, root } from './blocks.mjs'
import { checkCommand } from './commands.mjs'

/** A page without its blocks of code. */
const proseOf = (page) => read(page).replace(/^ *```[^]*?^ *```$/gm, '')
/** The same without code in lines. */
const textOf = (page) => proseOf(page).replace(/(`+)[^`\n]*?\1/g, '')

/** Headings by GitHub's rule. */
function anchorsOf(page) {
  const seen = new Map()
  const headings = [...proseOf(page).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading]) => {
    const shown = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = shown.replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-')
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    return times === 0 ? slug : `${slug}-${times}`
  })
  return new Set(headings)
}

/** Where the links and images of a page go. */
function* linksOf(page) {
  const text = textOf(page)
  for (const [, target] of text.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)) {
    yield target
  }
  for (const [, target] of text.matchAll(/^\[[^\]]+\]: +(\S+)/gm)) {
    yield target
  }
  for (const [, target] of text.matchAll(/<(https?:[^>]*)>|(?<!-)\b(?:src|href)="([^"]*)"/g)) {
    yield target
  }
}

test('links and images lead to files and headings that there are', () => {
  const wrong = []
  let links = 0
  for (const page of pages) {
    for (const target of linksOf(page)) {
      links += 1
      const [path, anchor] = target.split('#')
      if (/^[a-z]+:/.test(target)) {
        // Of the world outside only the form; an address of this machine is one that the page has told to open.
        const isGood = /^https:\/\/[a-z0-9.-]+\.[a-z]+(\/\S*)?$/.test(target) || /^http:\/\/127\.0\.0\.1:/.test(target)
        const isRegistry = /^https:\/\/(registry\.|(static\.|index\.)?crates\.io|pypi\.org|files\.pythonhosted)/.test(
          target,
        )
        if (!isGood || isRegistry) {
          wrong.push(`${page}: ${target} is no address to send readers to`)
        }
      } else if (path.startsWith('/')) {
        wrong.push(`${page}: ${target} is absolute`)
      } else {
        const to = path === '' ? page : normalize(join(dirname(page), path))
        if (to.startsWith('..') || !existsSync(join(root, to))) {
          wrong.push(`${page}: there is no ${target}`)
        } else if (anchor !== undefined && !(to.endsWith('.md') && anchorsOf(to).has(anchor))) {
          wrong.push(`${page}: ${to} has no heading for #${anchor}`)
        }
      }
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(links > 200, `only ${links} links were found: does it still read them?`)
})

test('all pages can be reached from README.md', () => {
  const reached = new Set(['README.md'])
  for (const page of reached) {
    for (const target of linksOf(page)) {
      const path = target.split('#')[0]
      let to = normalize(join(dirname(page), path))
      if (!/^[a-z]+:/.test(target) && existsSync(join(root, to)) && statSync(join(root, to)).isDirectory()) {
        to = join(to, 'README.md')
      }
      if (pages.includes(to)) {
        reached.add(to)
      }
    }
  }
  assert.deepEqual(
    pages.filter((page) => page.startsWith('docs/') && !reached.has(page)),
    [],
  )
})

/** Rooms by their headings in ARCHITECTURE.md, and the folders in which their files are. */
const ROOMS = {
  "The engine's rooms": ['crates/core/src', 'crates/hq-server/src/serve'],
  "The Node package's rooms": ['crates/bindings-node'],
  "The browser package's rooms": ['crates/bindings-wasm'],
  "The Python package's rooms": ['crates/bindings-python', 'crates/bindings-python/python/leasehold'],
  "The store's rooms": ['crates/store-postgres', '.'],
}
/** Words in backticks that are no files. */
const NO_FILES = new Set(['subscribe', 'core', 'init', 'operator'])

test('rooms in ARCHITECTURE.md are there, with the files that they name', () => {
  const missing = []
  let files = 0
  for (const [heading, folders] of Object.entries(ROOMS)) {
    const [, section] = read('ARCHITECTURE.md').split(`## ${heading}\n`)
    assert.ok(section !== undefined, `ARCHITECTURE.md has no heading ${heading}`)
    const rows = [...section.split('\n## ')[0].matchAll(/^\| (`.*?) \| (.*) \|$/gm)]
    assert.ok(rows.length > 0, heading)
    for (const [, places, about] of rows) {
      let beside = ''
      const found = []
      for (const [, place] of places.matchAll(/`([^`]+)`/g)) {
        const tried = folders.flatMap((folder) => [join(folder, place), join(folder, beside, place)])
        const there = tried.find((path) => existsSync(join(root, path)))
        files += 1
        if (there === undefined) {
          missing.push(`${heading}: ${place}`)
        } else {
          found.push(there)
          beside = place.includes('/') ? dirname(join(place, 'x')).replace(/\/[^/]+\.[a-z]+$/, '') : beside
        }
      }
      const [room] = found
      if (room === undefined || !statSync(join(root, room)).isDirectory()) {
        continue
      }
      const names = new Set(readdirSync(join(root, room)).map((name) => name.replace(/(\.test)?\.[a-z]+$/, '')))
      // What is in brackets names a feature, and what is no plain word no file.
      for (const [, word] of about.replace(/\([^)]*\)/g, '').matchAll(/`([a-z_]+)\/?`/g)) {
        files += 1
        if (!NO_FILES.has(word) && !names.has(word)) {
          missing.push(`${heading}: ${room} has no file ${word}`)
        }
      }
    }
  }
  assert.deepEqual(missing, [])
  assert.ok(files > 150, `only ${files} were found: does it still read the tables?`)
})

test('commands in prose are those that there are', () => {
  const wrong = []
  let commands = 0
  for (const page of pages) {
    for (const [, command] of proseOf(page).matchAll(/`((?:[A-Z_]+=\S+ )*(?:cargo|npm install|pip install) [^`]*)`/g)) {
      commands += 1
      const why = checkCommand(command)
      if (why !== undefined) {
        wrong.push(`${page}: \`${command}\`: ${why}`)
      }
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(commands > 40, `only ${commands} were found: does it still read them?`)
})
