// The tokens that a secret_id was exchanged for outlive it. Vault keeps no list of them: it lists the accessors of all of its
// tokens to those who have sudo on that, and tells of each what its login left on it. Ours carry the operation's id, by way of
// the secret_id's metadata; so only tokens of secret_ids that Rekey made can be told apart, and of others all are left.

import { ProviderError, type Call } from '#domain/provider.ts'
import { operationField } from './secret-id-read.ts'
import type { Ask } from './session.ts'
import { fieldsOf, textOf, textsOf } from '../untyped-json.ts'

/** A look at each of more would outlast the call. */
const mostTokens = 2_000
const together = 8

/** What became of them, for the record. Best effort: the secret_id itself is gone, and each token ends by itself. */
export const endTokens = async (
  ask: Ask,
  role: string,
  operationId: string | null,
  call: Call,
): Promise<string> => {
  if (operationId === null) return 'left to their ends: it is not one that Rekey made'
  try {
    const listed = await ask({ verb: 'list', path: 'auth/token/accessors', accept: [404] }, call)
    const accessors = textsOf(listed.data['keys'])
    if (accessors.length > mostTokens)
      return `left to their ends: ${accessors.length} tokens are too many to look at`
    let ended = 0
    for (let i = 0; i < accessors.length; i += together) {
      const few = accessors.slice(i, i + together)
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      const done = await Promise.all(few.map((one) => endToken(ask, one, role, operationId, call)))
      ended += done.filter(Boolean).length
    }
    return `${ended} revoked`
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    return `left to their ends: ${error.hint ?? error.message}`
  }
}

/** Whether it was one of them. */
const endToken = async (
  ask: Ask,
  accessor: string,
  role: string,
  operationId: string,
  call: Call,
): Promise<boolean> => {
  const looked = await ask(
    {
      verb: 'write',
      path: 'auth/token/lookup-accessor',
      body: { accessor },
      // It may end between the list and the look.
      accept: [400, 403, 404],
    },
    call,
  )
  // Vault says the same of a token that is gone and of a right that is missing, but for this.
  if (looked.errors.some((text) => /permission denied/.test(text)))
    throw new ProviderError('forbidden', 'none', 'the tokens cannot be told apart', {
      hint: 'needs update on auth/token/lookup-accessor',
    })
  const meta = fieldsOf(looked.data['meta'])
  if (textOf(meta[operationField]) !== operationId || textOf(meta['role_name']) !== role)
    return false
  await ask(
    {
      verb: 'write',
      path: 'auth/token/revoke-accessor',
      body: { accessor },
      changes: true,
      accept: [400, 404],
    },
    call,
  )
  return true
}
