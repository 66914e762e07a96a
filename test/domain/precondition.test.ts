import { describe, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import { checkPrecondition, noPrecondition, type Precondition } from '#domain/precondition.ts'

const codeOf = (said: Precondition, revision: number | null): string | null => {
  try {
    checkPrecondition(said, revision)
    return null
  } catch (error) {
    return error instanceof RekeyError ? error.code : String(error)
  }
}

type Row = readonly [what: string, said: Precondition, revision: number | null, code: string | null]

describe('a write', () => {
  test.each<Row>([
    ['that says nothing makes something new', noPrecondition, null, null],
    ['that wants nothing there makes something new', { match: null, absent: true }, null, null],
    ['of what there is not is refused', { match: [1], absent: false }, null, 'precondition.failed'],
    [
      'of any that there is not is refused',
      { match: 'any', absent: false },
      null,
      'precondition.failed',
    ],
    [
      'that wants nothing there is refused by what is',
      { match: null, absent: true },
      1,
      'precondition.failed',
    ],
    ['that says nothing is asked what it has seen', noPrecondition, 1, 'precondition.required'],
    ['that has seen this revision goes on', { match: [7, 3], absent: false }, 3, null],
    ['that will have any revision goes on', { match: 'any', absent: false }, 3, null],
    [
      'that has seen another revision is refused',
      { match: [2], absent: false },
      3,
      'precondition.failed',
    ],
  ])('%s', (_what, said, revision, code) => {
    expect(codeOf(said, revision)).toBe(code)
  })

  test('that says two things at once is held to the stricter', () => {
    expect(codeOf({ match: [3], absent: true }, 3)).toBe('precondition.failed')
  })
})
