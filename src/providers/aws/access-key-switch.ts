// Switching access keys off and on. Set semantics. IAM's list may be from before the last change, and may miss a key that was
// just made: what it says of a key's state keeps no request from being sent, which IAM takes twice.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Aws } from './session.ts'
import { noUser, readKeys } from './user-read.ts'
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
  const { aws, ref, id } = at
  const told = await readKeys(aws, ref, call)
  const key = told?.keys.find((one) => one.id === id)
  const facts = { accessKeyId: id, to }
  if (key === undefined && to !== 'destroyed') {
    if (told === null) throw noUser(ref)
    throw new ProviderError('notFound', 'none', `the user has no access key ${id} (any more)`)
  }
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
    call.incident === true && to !== 'enabled'
      ? { sessions: await endSessions(at, told?.at ?? null, call) }
      : {}
  return { ...facts, ...sessions }
}

const change = async (
  { aws, ref, id }: At,
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<void> => {
  const of = { UserName: ref.name, AccessKeyId: id }
  if (to === 'destroyed') {
    try {
      await aws.write('iam', ref.arn, (iam, options) => iam.deleteAccessKey(of, options), call)
    } catch (error) {
      // It is gone already.
      if (!(error instanceof ProviderError) || error.kind !== 'notFound') throw error
    }
    return
  }
  const Status = to === 'enabled' ? 'Active' : 'Inactive'
  await aws.write(
    'iam',
    ref.arn,
    (iam, options) => iam.updateAccessKey({ ...of, Status }, options),
    call,
  )
}

const policyName = 'rekey-revoked-sessions'

/** Denies everything to sessions of the user that were begun until now, by whichever of its keys. The key is off by then:
 *  that this may not be done, or cannot be at the moment, is told and takes nothing of it back. A crash in between: the
 *  incident's next try finds the key off, and comes here again. */
const endSessions = async ({ aws, ref }: At, now: Date | null, call: Call): Promise<string> => {
  if (now === null) return 'not ended: AWS told no time'
  const before = now.toISOString()
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
