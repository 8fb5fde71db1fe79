// Who runs the blocks of each page, in their order: a block without a runner fails `claims.test.mjs`.
//
// | runner | what it does |
// |---|---|
// | `doctest` | nothing here: the block is a doctest, which runs |
// | `rust` | runs the code in a program, with HQ, its database and a bucket |
// | `console` | types the lines, in a folder as the page says, and compares what comes |
// | `chores` | types lines that build, measure or install for minutes, in the full gate: `long/chores.test.mjs` |
// | `node`, `nestjs`, `web`, `python` | runs the code; texts and problem documents beside it are what the code comes to |
// | `minutes` | installs the packages; walks from an empty folder to the first decision, and counts |
// | `data` | puts documents to their use, and compares answers |
// | `picture` | nothing: `PICTURES` says what it shows |

const times = (count, runner) => Array.from({ length: count }, () => runner)

export const CLAIMS = {
  'ARCHITECTURE.md': ['picture'],
  'README.md': ['chores', 'doctest', 'console', 'console', 'console', 'node', 'python', 'web', 'console'],
  'benches/README.md': ['chores'],
  'benches/peers/node/README.md': times(2, 'chores'),
  'benches/peers/python/README.md': times(2, 'chores'),
  'benches/peers/rust/README.md': ['chores'],
  'benches/peers/web/README.md': ['chores'],
  'crates/bindings-node/README.md': ['minutes', 'node', 'node', 'nestjs', 'node', 'node', 'console', 'node'],
  'crates/bindings-python/README.md': ['minutes', ...times(4, 'python')],
  'crates/bindings-wasm/README.md': ['minutes', 'web', 'web'],
  'crates/core/README.md': ['doctest'],
  'crates/store-postgres/README.md': ['rust'],
  'docs/api.md': ['data'],
  'docs/assurance.md': ['chores'],
  'docs/browser.md': ['minutes', 'web', 'web', 'data', ...times(18, 'web')],
  'docs/definitions.md': ['console', 'data', 'data'],
  'docs/django.md': times(7, 'python'),
  'docs/engine.md': ['doctest', ...times(4, 'data')],
  'docs/fastapi.md': times(11, 'python'),
  'docs/first-ten-minutes.md': ['chores', ...times(10, 'minutes')],
  'docs/following.md': ['console', 'data', 'console', ...times(6, 'rust'), ...times(5, 'console')],
  'docs/nestjs.md': times(11, 'nestjs'),
  'docs/ofrep.md': ['console', 'console', 'node', 'node', 'data', 'python', 'node', 'data'],
  'docs/openfeature-node.md': ['node', 'node', 'node', 'chores'],
  'docs/openfeature-python.md': times(3, 'python'),
  'docs/operations.md': ['data', 'console', 'data'],
  'docs/postgres-node.md': ['node', 'node', 'data', 'chores'],
  'docs/postgres.md': [
    ...['console', 'rust', 'data', 'console', 'rust', 'console', 'data', 'rust'],
    ...['rust', 'data', 'rust', 'console'],
  ],
  'docs/properties.md': ['chores'],
  'docs/scale.md': ['chores'],
  'docs/serving.md': times(2, 'console'),
  'docs/snapshot-format.md': ['picture', 'data', ...times(6, 'picture'), ...times(11, 'data')],
  'docs/workflows.md': [
    ...['console', 'data', 'data', 'data', 'doctest', 'data', 'rust', 'doctest'],
    ...['data', 'data', 'data', 'data', 'rust'],
  ],
  'examples/browser/README.md': ['chores', 'console', 'console'],
  'examples/fastapi/README.md': times(2, 'console'),
  'examples/nestjs/README.md': times(2, 'console'),
}

/** The languages that each runner knows. */
export const LANGUAGES = {
  doctest: ['rust'],
  rust: ['rust', 'rust,no_run'],
  console: ['console'],
  chores: ['console'],
  node: ['js', 'ts'],
  nestjs: ['ts', 'json', 'text'],
  web: ['js', 'jsx', 'html', 'css', 'text'],
  python: ['py', 'python', 'django', 'json', 'text'],
  minutes: ['console', 'html', 'js', 'py', 'rust'],
  data: ['json', 'toml', 'yaml', 'csv', 'sql', 'text'],
  picture: ['mermaid', 'text'],
}

/** What cannot be run: how things lie beside each other. */
export const PICTURES = {
  'ARCHITECTURE.md#1': 'how definitions become answers; GitHub draws it',
  'docs/snapshot-format.md#1': 'what names what',
  'docs/snapshot-format.md#3': 'where a tenant lies; `data` asks the engine about the example below it',
  'docs/snapshot-format.md#4': 'a statement',
  'docs/snapshot-format.md#5': 'what of it is signed; `data` verifies the example by it',
  'docs/snapshot-format.md#6': 'the share of a candidate; `data` asks the engine about the example below it',
  'docs/snapshot-format.md#7': 'a slice',
  'docs/snapshot-format.md#8': 'a pack; `data` puts one together',
}
