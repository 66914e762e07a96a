// IAM's evaluation of identity policies, as far as the least rights of Rekey use it: Allow and Deny, actions and resources with
// wildcards, and the condition that refuses sessions older than a date.

import type { Json } from '#domain/json.ts'

interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
  readonly Condition?: unknown
}

export interface Context {
  /** When the session's token was issued; null: signed with a key itself. */
  readonly tokenIssuedAt: Date | null
}

const listOf = (value: string | readonly string[]): readonly string[] =>
  typeof value === 'string' ? [value] : value

const matches = (pattern: string, text: string): boolean =>
  new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  ).test(text)

const statementsIn = (document: Json): readonly Statement[] => {
  const { Statement: of } = Object(document) as { readonly Statement?: unknown }
  return (Array.isArray(of) ? of : [of]) as readonly Statement[]
}

/** `DateLessThan aws:TokenIssueTime`; of other conditions an Allow holds and a Deny does not. */
const holds = ({ Condition: condition, Effect: effect }: Statement, at: Context): boolean => {
  if (condition === undefined) return true
  const before = Object(Object(condition)['DateLessThan'])['aws:TokenIssueTime'] as unknown
  if (typeof before === 'string')
    return at.tokenIssuedAt !== null && at.tokenIssuedAt < new Date(before)
  return effect === 'Allow'
}

/** A resource of `*` in the question is one that no narrower resource stands for. */
export const isAllowed = (
  documents: readonly Json[],
  action: string,
  resource: string,
  at: Context = { tokenIssuedAt: null },
): boolean => {
  const fitting = documents
    .flatMap(statementsIn)
    .filter(
      (one) =>
        listOf(one.Action).some((pattern) =>
          matches(pattern.toLowerCase(), action.toLowerCase()),
        ) &&
        listOf(one.Resource).some((pattern) => matches(pattern, resource)) &&
        holds(one, at),
    )
  return (
    fitting.some(({ Effect }) => Effect === 'Allow') &&
    !fitting.some(({ Effect }) => Effect === 'Deny')
  )
}
