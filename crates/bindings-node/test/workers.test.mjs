// The native part in worker threads, in clusters and in child processes: each has engines of its own, and ends cleanly.

import assert from 'node:assert/strict'
import { execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Desk } from './support/desk.mjs'
import { until } from './support/wait.mjs'
import { answers } from './workers/answers.mjs'

const work = new URL('workers/work.mjs', import.meta.url)
const here = answers()

/** A worker, and what it says first. */
async function started(data) {
  const worker = new Worker(work, { workerData: data })
  const [heard] = await once(worker, 'message')
  return { worker, heard }
}

test('several workers at once answer what is answered here', async () => {
  const workers = Array.from({ length: 4 }, () => new Worker(work, { workerData: {} }))
  const ended = await Promise.all(
    workers.map(async (worker) => {
      const exit = once(worker, 'exit')
      const [heard] = await once(worker, 'message')
      return [heard, await exit]
    }),
  )
  assert.deepEqual(
    ended,
    workers.map(() => [here, [0]]),
  )
  assert.equal(answers(), here)
})

for (const turns of [true, false]) {
  test(`workers that are ended ${turns ? 'between calls' : 'in the middle of calls'}`, async () => {
    for (let round = 0; round < 3; round += 1) {
      const workers = await Promise.all(Array.from({ length: 3 }, () => started({ forever: true, turns })))
      assert.deepEqual(
        workers.map(({ heard }) => heard),
        [here, here, here],
      )
      // One after another, so that the others still ask.
      for (const { worker } of workers) {
        assert.equal(await worker.terminate(), 1)
        assert.equal(answers(), here)
      }
    }
  })
}

/** Runs a script, and gives what it printed, and how it ended. */
async function run(script) {
  const running = promisify(execFile)(process.execPath, [fileURLToPath(new URL(`workers/${script}`, import.meta.url))])
  const { stdout, stderr } = await running
  return {
    lines: stdout.trim().split('\n').sort(),
    stderr,
    code: running.child.exitCode,
    signal: running.child.signalCode,
  }
}

test('a process ends cleanly while its workers ask', async () => {
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(await run('exits.mjs'), { lines: ['heard'], stderr: '', code: 0, signal: null })
  }
})

test('a cluster', async () => {
  const lines = ['0 null', '0 null', 'heard', 'heard']
  assert.deepEqual(await run('primary.mjs'), { lines, stderr: '', code: 0, signal: null })
})

test('child processes', async () => {
  const children = Array.from({ length: 2 }, () => fork(work))
  const ended = await Promise.all(
    children.map(async (child) => {
      const exit = once(child, 'exit')
      const [heard] = await once(child, 'message')
      return [heard, await exit]
    }),
  )
  assert.deepEqual(
    ended,
    children.map(() => [here, [0, null]]),
  )
})

test('what one thread has loaded, another loads again', async () => {
  const { worker, heard } = await started({ forever: true, turns: true })
  assert.equal(heard, here)
  await worker.terminate()
  const again = await started({ forever: true, turns: false })
  assert.equal(again.heard, here)
  await again.worker.terminate()
  assert.equal(answers(), here)
})

test('threads and processes follow, each with a folder of its own', { timeout: 120_000 }, async (t) => {
  const tenant = 'om-muscat-sparkle'
  const desk = await Desk.open()
  t.after(async () => desk.close())
  await desk.build()
  const options = (name, more = {}) => ({
    ...{ directory: desk.at('snapshots'), trust: desk.trust, engineId: name, keep: desk.at(name), tenant },
    ...more,
  })
  const follows = new URL('workers/follows.mjs', import.meta.url)
  const heard = new Map()
  const threads = ['thread-1', 'thread-2', 'stays'].map((name) => {
    const worker = new Worker(follows, { workerData: options(name, { stays: name === 'stays' }) })
    heard.set(name, [])
    worker.on('message', (message) => void heard.get(name).push(message))
    const exit = once(worker, 'exit')
    exit.catch(() => {})
    return [name, worker, exit]
  })
  const primary = spawn(process.execPath, [fileURLToPath(new URL('workers/primary_follows.mjs', import.meta.url))], {
    env: { ...process.env, FOLLOWS: JSON.stringify([options('process-1'), options('process-2')]) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // By then all that it said is there.
  const ended = once(primary, 'close')
  t.after(async () => {
    primary.kill()
    await Promise.all(threads.map(([, worker]) => worker.terminate()))
  })
  let lines = ''
  primary.stdout.on('data', (data) => void (lines += data))

  const all = () => [...heard.values()].map(({ length }) => length)
  await until('all follow', () => all().every((count) => count === 1) && lines === 'false\nfalse\n', 40_000)
  await desk.edit('tenants/gcc-om.json', ({ tenants }) => {
    const sso = { feature: 'sso', op: 'set', value: true, reason: 'for a test', actor: 'ada' }
    tenants[tenant].overrides = { ...tenants[tenant].overrides, follows: sso }
  })
  await desk.build()
  await until('all have the next revision', () => all().every((count) => count === 2), 40_000)
  assert.deepEqual(
    [...heard.values()],
    [
      [false, true],
      [false, true],
      [false, true],
    ],
  )
  for (const [name, worker, exit] of threads) {
    // What still follows is ended from outside.
    const code = name === 'stays' ? await worker.terminate() : (await exit)[0]
    assert.equal(code, name === 'stays' ? 1 : 0, name)
  }
  assert.deepEqual(await ended, [0, null])
  assert.deepEqual(lines.trim().split('\n').sort(), ['0 null', '0 null', 'false', 'false', 'true', 'true'])
})
