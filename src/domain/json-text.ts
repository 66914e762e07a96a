// Reads a JSON body strictly (RFC 8259, I-JSON): what JSON.parse takes silently is refused here with its place: two members
// of one name (two readers of one document could see two different things), `__proto__`, nesting that would exhaust
// whoever walks the value. One pass without recursion over the text finds the first fault; only then is it parsed.
// Nothing of the text is repeated in what is said about it, but the names of members: bodies carry secrets.

import { RekeyError } from './errors.ts'
import { pointerOf } from './issue.ts'
import { limits } from './yaml-guard.ts'

/** Throws `request.invalid` with pointer, line and column. */
export const parseJsonText = (text: string): unknown => {
  const fault = firstFault(text)
  if (fault === null) return JSON.parse(text)
  const { line, column } = placeOf(text, fault.at)
  throw new RekeyError('request.invalid', {
    detail: `The body is not acceptable JSON: line ${line}, column ${column}: ${fault.detail}.`,
    errors: [{ pointer: fault.pointer, detail: fault.detail, line, column }],
  })
}

interface Fault {
  readonly at: number
  readonly pointer: string
  readonly detail: string
}

/** An open array or object. `name` is the member that is being read, `index` the element. */
interface Level {
  readonly names: Set<string> | null
  name: string
  index: number
}

type Expected = 'value' | 'valueOrEnd' | 'name' | 'nameOrEnd' | 'colon' | 'commaOrEnd' | 'nothing'

const firstFault = (text: string): Fault | null => {
  const levels: Level[] = []
  let expected: Expected = 'value'
  let at = 0
  const fault = (detail: string): Fault => ({
    at,
    detail,
    pointer: pointerOf(levels.map(({ names, name, index }) => (names === null ? index : name))),
  })
  const afterValue = (): Expected => (levels.length === 0 ? 'nothing' : 'commaOrEnd')

  for (at = skipSpace(text, at); at < text.length; at = skipSpace(text, at)) {
    const char = text.charAt(at)
    const level = levels.at(-1)
    if (expected === 'nothing') return fault('unexpected text after the value')
    if (expected === 'colon') {
      if (char !== ':') return fault('expected ":"')
      expected = 'value'
      at += 1
    } else if (expected === 'commaOrEnd' && char === ',') {
      expected = level?.names === null ? 'value' : 'name'
      if (level !== undefined) level.index += 1
      at += 1
    } else if (level !== undefined && char === closing(level) && mayEnd(expected)) {
      levels.pop()
      expected = afterValue()
      at += 1
    } else if (expected === 'commaOrEnd') {
      return fault(`expected "," or "${level === undefined ? '' : closing(level)}"`)
    } else if (expected === 'name' || expected === 'nameOrEnd') {
      const end = endOfString(text, at)
      if (level === undefined || level.names === null || typeof end !== 'number') {
        levels.pop()
        return fault(
          typeof end === 'string' && char === '"' ? end : 'expected the name of a member',
        )
      }
      const parent = levels.at(-2)?.name
      level.name = String(JSON.parse(text.slice(at, end)))
      if (level.name === '__proto__' || (level.name === 'prototype' && parent === 'constructor')) {
        return fault('this name is not allowed')
      }
      if (level.names.has(level.name)) return fault('a second member of this name')
      level.names.add(level.name)
      expected = 'colon'
      at = end
    } else if (char === '{' || char === '[') {
      if (levels.length >= limits.depth) return fault(`nested deeper than ${limits.depth} levels`)
      levels.push({ names: char === '{' ? new Set() : null, name: '', index: 0 })
      expected = char === '{' ? 'nameOrEnd' : 'valueOrEnd'
      at += 1
    } else {
      const end = char === '"' ? endOfString(text, at) : endOfScalar(text, at)
      if (typeof end === 'string') return fault(end)
      expected = afterValue()
      at = end
    }
  }
  return expected === 'nothing' ? null : fault('the text ends too early')
}

const closing = (level: Level): string => (level.names === null ? ']' : '}')
const mayEnd = (expected: Expected): boolean =>
  expected === 'commaOrEnd' || expected === 'valueOrEnd' || expected === 'nameOrEnd'

const skipSpace = (text: string, from: number): number => {
  let at = from
  while (at < text.length && ' \t\n\r'.includes(text.charAt(at))) at += 1
  return at
}

const escapes = new Set('"\\/bfnrt')
const fourHex = /^[0-9a-fA-F]{4}$/

/** One past the closing quote, or what is wrong. */
const endOfString = (text: string, from: number): number | string => {
  if (text.charAt(from) !== '"') return 'expected a string'
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text.charAt(at)
    if (char === '"') return at + 1
    if (char < ' ') return 'a control character in a string'
    if (char === '\\') {
      at += 1
      const escape = text.charAt(at)
      if (escape === 'u' && fourHex.test(text.slice(at + 1, at + 5))) at += 4
      else if (!escapes.has(escape)) return 'an unknown escape in a string'
    }
  }
  return 'the text ends inside a string'
}

const scalar = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

const endOfScalar = (text: string, from: number): number | string => {
  scalar.lastIndex = from
  return scalar.test(text) ? scalar.lastIndex : 'expected a value'
}

/** Both count from 1. */
const placeOf = (text: string, at: number): { readonly line: number; readonly column: number } => {
  const before = text.slice(0, at).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}
