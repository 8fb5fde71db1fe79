// Takes the time of several contestants in turns, so that what disturbs the machine disturbs all of them.

import { QUESTIONS } from './world.mjs'

const quick = process.env.LEASEHOLD_BENCH_QUICK === '1'
const ROUNDS = quick ? 5 : 21
const WARM_UP = quick ? 1 : 3
/** How long a contestant asks at a time. */
const TURN_NS = quick ? 5e6 : 25e6

/**
 * A loop of its own for each contestant: one that they shared would be compiled for all, at the cost of the quickest.
 * @param {(n: number) => unknown} ask Answers the n-th question.
 * @param {'now' | 'later'} answers Whether it answers a promise.
 */
function loopOf(ask, answers) {
  const [kind, wait] = answers === 'later' ? ['async ', 'await '] : ['', '']
  const body = `let truths = 0
    for (let n = 0; n < times; n += 1) {
      if (${wait}ask(n & ${QUESTIONS - 1})) truths += 1
    }
    return truths`
  return new Function('ask', `return ${kind}(times) => { ${body} }`)(ask)
}

/**
 * Nanoseconds per call of each contestant: the median and the least of all rounds.
 * @param {{ name: string, ask: (n: number) => unknown, answers?: 'now' | 'later' }[]} contestants
 * @returns {Promise<Map<string, { median: number, least: number }>>}
 */
export async function measure(contestants) {
  const running = contestants.map(({ name, ask, answers = 'now' }) => ({
    name,
    loop: loopOf(ask, answers),
    times: 1,
    figures: [],
  }))
  for (const contestant of running) {
    while ((await turn(contestant)) * contestant.times < TURN_NS) {
      contestant.times *= 2
    }
  }
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const contestant of running) {
      globalThis.gc?.()
      const figure = await turn(contestant)
      if (round >= 0) {
        contestant.figures.push(figure)
      }
    }
    // Nobody always follows the same one.
    running.push(running.shift())
  }
  return new Map(
    running.map(({ name, figures }) => {
      figures.sort((one, other) => one - other)
      return [name, { median: figures[figures.length >> 1], least: figures[0] }]
    }),
  )
}

async function turn({ loop, times }) {
  const begin = process.hrtime.bigint()
  const truths = loop(times)
  if (typeof truths !== 'number') {
    await truths
  }
  return Number(process.hrtime.bigint() - begin) / times
}
