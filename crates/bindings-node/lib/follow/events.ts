/** Server-sent events: a text of lines, of which an empty one ends each event. */

import { MAX_HEAD_BYTES } from './source'

/** Longest line, and most data of one event, in characters: a head, of which JSON may spell every byte with six. */
const MOST = 6 * MAX_HEAD_BYTES + 1024

/** One event, as far as it is of interest here. */
export interface ServerEvent {
  name: string
  data: string
}

/** Takes a stream of events apart, piece by piece as it comes. */
export class Events {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #line = ''
  /** The last line ended with a carriage return, to which a line feed may belong. */
  #returned = false
  #name = ''
  #data: string | undefined

  /** The events that are complete with this piece. Throws for what cannot be events. */
  take(piece: Uint8Array): ServerEvent[] {
    let text
    try {
      text = this.#decoder.decode(piece, { stream: true })
    } catch {
      throw new Error('it sends something that is not UTF-8')
    }
    if (this.#returned && text.startsWith('\n')) {
      text = text.slice(1)
      this.#returned = false
    }
    if (text !== '') {
      this.#returned = text.endsWith('\r')
    }
    const lines = text.split(/\r\n|\r|\n/)
    const rest = lines.pop() ?? ''
    const events: ServerEvent[] = []
    for (const line of lines) {
      const whole = this.#grown(line)
      this.#line = ''
      this.#take(whole, events)
    }
    this.#line = this.#grown(rest)
    return events
  }

  #grown(piece: string): string {
    if (this.#line.length + piece.length > MOST) {
      throw new Error('it sends a line without end')
    }
    return this.#line + piece
  }

  #take(line: string, events: ServerEvent[]): void {
    if (line === '') {
      if (this.#data !== undefined) {
        events.push({ name: this.#name, data: this.#data })
      }
      this.#name = ''
      this.#data = undefined
      return
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    switch (field) {
      case 'event':
        this.#name = value
        break
      case 'data':
        this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
        if (this.#data.length > MOST) {
          throw new Error('it sends an event without end')
        }
        break
      default:
      // Comments, which begin with a colon, and fields that say nothing here.
    }
  }
}
