// Asks every service all the time, and knows which answers are right: those of the last state, and while a change is under
// way those of the next. No service goes back from the next to the last.

import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../../../crates/bindings-node/test/support/wait.mjs'

/** The same JSON in one spelling, without the members that say which snapshot answered. */
export function plain(value, without = ['revision', 'definitions']) {
  if (Array.isArray(value)) {
    return value.map((item) => plain(item, without))
  }
  if (value === null || typeof value !== 'object') {
    return value
  }
  const members = Object.entries(value).filter(([name]) => !without.includes(name))
  const sorted = members.sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(sorted.map(([name, item]) => [name, plain(item, without)]))
}

const spelled = (answers) => JSON.stringify(plain(answers))

export class Watch {
  /** What every service has to answer, by tenant, one state after the other. */
  #states = []
  /** While a change is under way, what was answered that is not of the last state: it is of the next, or wrong. */
  #undecided
  #wrong = []
  #ended = false
  #loops = []
  /** By service: how often it was asked, and the latest state that it has shown. */
  #rounds = new Map()
  #shown = new Map()
  #questions

  /** `questions` gives what is asked about a tenant. */
  constructor(services, questions) {
    this.services = services
    this.#questions = questions
  }

  /** Takes down what the services are to answer from now on, which they do already. */
  async settle() {
    const [first] = this.services
    const state = new Map()
    for (const tenant of first.tenants) {
      state.set(tenant, spelled((await first.ask({ call: 'ask', questions: this.#questions(tenant) })).answers))
    }
    this.#states.push(state)
    const undecided = this.#undecided ?? []
    this.#undecided = undefined
    undecided.forEach((seen) => this.#take(seen))
    if (this.#loops.length === 0) {
      this.#loops = this.services.map((service) => this.#ask(service))
    }
    this.check()
  }

  /** A change is under way: what it comes to is known when it is settled. */
  expectChange() {
    this.#undecided = []
  }

  /** Waits until every service has answered so often again, and fails where one of them has ever been wrong. */
  async rounds(times = 3) {
    const target = new Map(this.services.map(({ name }) => [name, (this.#rounds.get(name) ?? 0) + times]))
    await until(`everybody answers ${times} times`, () => {
      this.check()
      return [...target].every(([name, rounds]) => this.#rounds.get(name) >= rounds)
    })
  }

  check() {
    if (this.#wrong.length > 0) {
      throw new Error(`answered wrongly, or not at all:\n${this.#wrong.slice(0, 3).join('\n')}`)
    }
  }

  async end() {
    this.#ended = true
    await Promise.all(this.#loops)
  }

  async #ask(service) {
    const { name, tenants } = service
    const asked = new Map(tenants.map((tenant) => [tenant, this.#questions(tenant)]))
    const questions = [...asked.values()].flat()
    while (!this.#ended) {
      const since = this.#states.length - 1
      try {
        const { answers } = await service.ask({ call: 'ask', questions })
        const said = [...asked].map(([tenant, { length }]) => [tenant, spelled(answers.splice(0, length))])
        this.#take({ name, since, said })
      } catch (error) {
        this.#wrong.push(String(error))
        return
      }
      this.#rounds.set(name, (this.#rounds.get(name) ?? 0) + 1)
      // There is something else to do on this machine.
      await pause(100)
    }
  }

  /** `since`: the state that was the last one when the question was asked. All tenants of a service are in one state. */
  #take(seen) {
    const { name, since, said } = seen
    if (this.#undecided?.some((earlier) => earlier.name === name)) {
      // Whoever may have shown the next state does not go back to the last: this is found out in their order.
      this.#undecided.push(seen)
      return
    }
    const from = Math.max(since, this.#shown.get(name) ?? 0)
    for (let state = from; state < this.#states.length; state += 1) {
      if (said.every(([tenant, text]) => this.#states[state].get(tenant) === text)) {
        this.#shown.set(name, state)
        return
      }
    }
    if (this.#undecided === undefined) {
      this.#wrong.push(`${name}, from state ${from} of ${this.#states.length}: ${this.#difference(said)}`)
    } else {
      this.#undecided.push(seen)
    }
  }

  /** The first answer that is another one than in the last state. */
  #difference(said) {
    for (const [tenant, text] of said) {
      const [answers, wanted] = [text, this.#states.at(-1).get(tenant)].map((text) => JSON.parse(text))
      const at = answers.findIndex((answer, index) => JSON.stringify(answer) !== JSON.stringify(wanted[index]))
      if (at >= 0) {
        return JSON.stringify({ question: this.#questions(tenant)[at], answer: answers[at], wanted: wanted[at] })
      }
    }
    return 'these are the answers of the last state, and it has shown a later one'
  }
}
