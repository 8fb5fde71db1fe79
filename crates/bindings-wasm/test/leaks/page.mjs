// What pages of `leaks.test.mjs` run: engines that follow, and what shows their answers, put into the page and taken out again.

import { createElement as h } from 'react'
import { flushSync } from 'react-dom'
import { createRoot } from 'react-dom/client'
import { Engine, init } from 'leasehold-web/full'
import { defineElements } from 'leasehold-web/elements'
import { Entitled, LeaseholdProvider, useFeature, useLimit, useTransitions } from 'leasehold-web/react'

const ready = init({ module: '/dist/full_bg.wasm' })
const answers = new Set()
let engine

/** Follows, as every tab of the page does; what it began with before is gone. */
async function follow(options) {
  await ready
  engine = await Engine.follow(options)
  engine.subscribe(() => answers.add(engine.tenant().isEnabled('chat')))
  engine.on('change', ({ groups }) => answers.add(groups.length))
}

/** Until a revision is in force, without asking for it: it comes by an event, or from another tab. */
async function reaches(revision) {
  await new Promise((done) => {
    const look = () => engine.health().revision >= revision && done(leave())
    const leave = engine.subscribe(look)
    look()
  })
}

async function close() {
  await engine.close()
  engine = undefined
}

async function forget() {
  const request = indexedDB.deleteDatabase('leasehold')
  await new Promise((done, failed) => {
    request.onsuccess = done
    request.onerror = request.onblocked = failed
  })
}

const ORDER = { inputs: { due: 0 }, roles: ['driver'] }
const ELEMENTS = `
  <lh-entitled feature="chat"><b>Chat</b><i slot="otherwise">None</i></lh-entitled>
  <lh-limit feature="seats" used="3">Seats</lh-limit>
  <lh-transitions workflow="order" stage="ready" roles="driver" inputs='{"due":0}'></lh-transitions>`

function App() {
  const [isOn, seats, moves] = [useFeature('chat'), useLimit('seats', 3), useTransitions('order', 'ready', ORDER)]
  return [isOn ? 'on' : 'off', seats.remaining, moves.length, h(Entitled, { key: 'e', feature: 'chat' }, 'chat')].flat()
}

/** How many listen to an engine that shows itself to nobody else. */
function counted(engine) {
  const { subscribe } = engine
  let count = 0
  engine.subscribe = (listener) => {
    count += 1
    const leave = subscribe.call(engine, listener)
    return () => {
      count -= 1
      leave()
    }
  }
  return () => count
}

/** Shows answers of another engine each time, until it is taken out again. Says who listened, and who still does. */
async function mount(definitions, times) {
  await ready
  const seen = new Set()
  for (let time = 0; time < times; time += 1) {
    const shown = Engine.fromDefinitions(definitions[0])
    const next = Engine.fromDefinitions(definitions[1])
    const listening = counted(shown)
    const place = document.body.appendChild(document.createElement('div'))
    const root = createRoot(place.appendChild(document.createElement('div')))
    flushSync(() => root.render(h(LeaseholdProvider, { engine: shown }, h(App))))
    const withReact = listening()
    defineElements(shown)
    place.insertAdjacentHTML('beforeend', ELEMENTS)
    // The elements turn to an engine a moment later: it might be a promise.
    await undefined
    const withBoth = listening()
    const look = () => {
      const [{ textContent }] = place.childNodes
      return [textContent, place.querySelector('lh-entitled').getAttribute('state')].join()
    }
    const first = look()
    flushSync(() => shown.swap(next.snapshot()))
    const then = look()
    flushSync(() => root.unmount())
    const withElements = listening()
    place.remove()
    seen.add(JSON.stringify([first, then, withReact, withBoth, withElements, listening()]))
    await Promise.all([shown.close(), next.close()])
  }
  return [...seen].map((text) => JSON.parse(text))
}

Object.assign(globalThis, { follow, reaches, close, forget, mount, answered: () => [...answers] })
