// What is refused before a parser sees it: text that would exhaust the parser, and characters that make a person read
// something else than the machine does.

import { Lexer } from 'yaml'

export interface GuardFault {
  readonly detail: string
  readonly hint?: string
  readonly offset: number
  readonly length: number
}

export const limits = {
  characters: 10_000_000,
  depth: 64,
  documents: 1_000,
  tokens: 500_000,
  aliasedNodes: 10_000,
} as const

/** What helps against too many documents. */
export const inParts =
  'apply them in parts, each with an --owner of its own, so that --prune of one part leaves the others alone'

/** Control and format characters (Cc but tab and line ends, Cf), line and paragraph separators, halves of pairs, and
 *  non-characters. Format characters hide text or show it in another order (CVE-2021-42574). */
const forbidden = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}]/u

export const forbiddenCharacter = (
  text: string,
): { readonly offset: number; readonly name: string } | null => {
  const found = forbidden.exec(text)
  return found === null ? null : { offset: found.index, name: nameOf(found[0]) }
}

export const nameOf = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

/** The first reason not to parse the text, or null. */
export const guardFault = (text: string): GuardFault | null => {
  if (text.length > limits.characters) {
    return { detail: `longer than ${limits.characters} characters`, offset: 0, length: 0 }
  }
  const character = forbiddenCharacter(text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text)
  if (character !== null) {
    return {
      detail: `the character ${character.name} is not allowed`,
      hint: 'it is invisible or changes how the text reads; delete it',
      offset: character.offset,
      length: 1,
    }
  }
  return firstExcess(text)
}

/** Where nesting or number pass what the parser may be given; reads tokens only, and stops there. Block structure is counted
 *  by indented lines and the indicators on them, which is at least half of what it really is; the exact limit is the reader's. */
const firstExcess = (text: string): GuardFault | null => {
  let offset = 0
  let tokens = 0
  let column = 0
  let flow = 0
  let blocks: { readonly indent: number; levels: number }[] = []
  let atLineStart = true
  let isScalar = false
  for (const token of new Lexer().lex(text)) {
    tokens += 1
    if (tokens > limits.tokens) {
      return { detail: 'too many values', hint: 'send it in parts', offset, length: 1 }
    }
    if (token === flowEnd) flow = 0
    if (marks.has(token)) {
      isScalar = token === scalarMark
      continue
    }
    const indicator = isScalar ? '' : token
    if (flow === 0 && atLineStart && token.trim() !== '' && !token.startsWith('#')) {
      atLineStart = false
      const indent = column
      blocks = [...blocks.filter((block) => block.indent < indent), { indent, levels: 0 }]
    }
    if (indicator === '[' || indicator === '{') flow++
    else if (indicator === ']' || indicator === '}') flow = Math.max(0, flow - 1)
    else if (flow === 0 && (indicator === '-' || indicator === '?' || indicator === ':')) {
      const line = blocks.at(-1)
      if (line !== undefined) line.levels++
    } else {
      isScalar = false
      offset += token.length
      const lineEnd = token.lastIndexOf('\n')
      column = lineEnd === -1 ? column + token.length : token.length - lineEnd - 1
      if (lineEnd !== -1) atLineStart = true
      continue
    }
    if (flow + blocks.reduce((sum, block) => sum + block.levels, 0) > limits.depth * 2)
      return { detail: `nested deeper than ${limits.depth} levels`, offset, length: 1 }
    offset += token.length
    column += token.length
  }
  return null
}

/** The lexer's own marks stand for no text: a document begins, a flow collection is cut off, the next token is a scalar. */
const flowEnd = '\u0018'
const scalarMark = '\u001f'
const marks = new Set(['\u0002', flowEnd, scalarMark])
