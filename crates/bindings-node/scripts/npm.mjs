// npm as a program of its own: without a shell, and whatever `PATH` is.

import { existsSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The command and arguments that run npm. */
export function npm(...args) {
  const beside = dirname(process.execPath)
  const found = [
    process.env.npm_execpath,
    join(beside, 'node_modules/npm/bin/npm-cli.js'),
    join(beside, '../lib/node_modules/npm/bin/npm-cli.js'),
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm')),
  ].find((path) => path !== undefined && existsSync(path) && realpathSync(path).endsWith('npm-cli.js'))
  if (found === undefined) {
    throw new Error('npm is nowhere to be found: install Node with npm')
  }
  return [process.execPath, realpathSync(found), ...args]
}
