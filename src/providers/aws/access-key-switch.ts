// Switching access keys off and on. Set semantics. IAM's list may be from before the last change, and may miss a key that was
// just made: it is not even asked. IAM takes each of these requests twice.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Aws } from './session.ts'
import type { UserRef } from './user-ref.ts'

interface At {
  readonly aws: Aws
  readonly ref: UserRef
  readonly id: string
}

export const switchKey = async (
  at: At,
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<JsonObject> => {
  const { aws, id } = at
  const facts = { accessKeyId: id, to }
  // With it Rekey would lose its own access, and with that every way to repair anything.
  if (to !== 'enabled' && (await aws.signsWith(call)) === id)
    throw new ProviderError(
      'precondition',
      'none',
      `the connection itself signs with the access key ${id}`,
      { hint: 'give the connection another credential first, or {"from": "key"} of this key' },
    )
  await change(at, to, call)
  // A session that was begun with the key outlives it, by up to 36 hours.
  const sessions =
    call.incident === true && to !== 'enabled' ? { sessions: await endSessions(at, call) } : {}
  return { ...facts, ...sessions }
}

const change = async (
  { aws, ref, id }: At,
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<void> => {
  const of = { UserName: ref.name, AccessKeyId: id }
  try {
    await aws.write(
      'iam',
      ref.arn,
      async (iam, options) => {
        if (to === 'destroyed') await iam.deleteAccessKey(of, options)
        else
          await iam.updateAccessKey(
            { ...of, Status: to === 'enabled' ? 'Active' : 'Inactive' },
            options,
          )
      },
      call,
    )
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'notFound') throw error
    // It is gone already.
    if (to === 'destroyed') return
    throw new ProviderError('notFound', 'none', `the user has no access key ${id} (any more)`, {
      hint: `aws iam list-access-keys --user-name ${ref.name}`,
    })
  }
}

const policyName = 'rekey-revoked-sessions'

/** For so long a key that was switched off may still begin sessions somewhere. */
const spreadMs = 15_000

/** Denies everything to sessions of the user that were begun until now, by whichever of its keys: now is after the key was
 *  switched off, and so is whoever has used it up to then. That this may not be done, or cannot be at the moment, is told and
 *  takes nothing of it back. A crash in between: the incident's next try comes here again. */
const endSessions = async ({ aws, ref }: At, call: Call): Promise<string> => {
  const before = await spreadBy(aws, call)
  if (before === null) return 'not ended: AWS told no time'
  const PolicyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Deny',
        Action: '*',
        Resource: '*',
        Condition: { DateLessThan: { 'aws:TokenIssueTime': before } },
      },
    ],
  })
  try {
    await aws.write(
      'iam',
      ref.arn,
      (iam, options) =>
        iam.putUserPolicy({ UserName: ref.name, PolicyName: policyName, PolicyDocument }, options),
      call,
    )
    return `ended, if begun before ${before}`
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    return `not ended: ${error.hint ?? error.message}`
  }
}

/** On AWS's clock. Null: it does not tell. */
const spreadBy = async (aws: Aws, call: Call): Promise<string | null> => {
  try {
    const { date } = await aws.whoAmI(call)
    return date === null ? null : new Date(date.getTime() + spreadMs).toISOString()
  } catch (error) {
    if (error instanceof ProviderError) return null
    throw error
  }
}
