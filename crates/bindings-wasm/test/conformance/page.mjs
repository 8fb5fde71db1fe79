// One build in a page, with the corpus fetched before it begins.

import { runBuild } from './build.mjs'

export async function runPage({ folder, ...given }) {
  const fetched = given.names.map(async (name) => {
    const answer = await fetch(folder + name)
    return [name, new Uint8Array(await answer.arrayBuffer())]
  })
  const files = new Map(await Promise.all(fetched))
  return runBuild({ ...given, file: (name) => files.get(name) })
}
