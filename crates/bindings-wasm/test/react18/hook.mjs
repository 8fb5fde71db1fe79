// Whoever asks for React gets the one beside this file.

import { register } from 'node:module'

const here = new URL('./package.json', import.meta.url).href
const source = `export const resolve = (name, context, next) =>
  next(name, /^react(-dom)?(\\/|$)/.test(name) ? { ...context, parentURL: ${JSON.stringify(here)} } : context)`

register(`data:text/javascript,${encodeURIComponent(source)}`)
