// Runs every vector against one build of the package as it is shipped, in Node and in pages alike.

import { use } from '../../../bindings-node/test/conformance/corpus.mjs'
import { run } from '../../../bindings-node/test/conformance/run.mjs'

/**
 * Of the build whose entry is `entry`: what {@link run} finds. `modules` are those of `dist/` that its entries share, and
 * have what is not public; `names` and `file` are the corpus, `lacks` what the build leaves out.
 */
export async function runBuild({ entry, modules, names, file, lacks }) {
  const load = async (name) => import(`../../dist/${name}`)
  const [engine, documents, ...others] = await Promise.all([entry, 'documents.js', ...modules].map(load))
  await engine.init()
  const inside = Object.fromEntries(['native', 'told'].map((name) => [name, insideOf(others, name)]))
  use({ names, file, engine, documents, inside, lacks })
  return run()
}

function insideOf(modules, name) {
  const module = modules.find((module) => name in module)
  if (module === undefined) {
    throw new Error(`no module of dist/ hands \`${name}\` to others any more: this runner needs it`)
  }
  return module[name]
}
