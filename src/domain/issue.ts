// What is wrong with an input, where, and what to do: the form in which every check of documents answers.

import type { ErrorCode, ErrorPlace } from './errors.ts'

export interface Issue extends ErrorPlace {
  /** The catalogue's code that a caller throws for it. */
  readonly code: ErrorCode
  readonly hint?: string
  /** One past the last column of the offending text, on the line of `line`. */
  readonly endColumn?: number
}

export interface Checked {
  readonly issues: readonly Issue[]
  /** Sentences about what is legal and probably not meant. */
  readonly warnings: readonly string[]
}

/** The same issues, one level further down: `/schedule` below `/spec` becomes `/spec/schedule`. */
export const below = (pointer: string, issues: readonly Issue[]): Issue[] =>
  issues.map((issue) => ({ ...issue, pointer: `${pointer}${issue.pointer}` }))

/** RFC 6901. */
export const pointerOf = (segments: readonly (string | number)[]): string =>
  segments.map((s) => `/${String(s).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

export const segmentsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'))
