// A user and its access keys, as IAM tells them. IAM is eventually consistent: what was made a moment ago may be missing.

import { ProviderError, type Call } from '#domain/provider.ts'
import type { Aws } from './session.ts'
import type { UserRef } from './user-ref.ts'

/** AWS takes no third one, and raises it for nobody. An inactive key counts. */
export const mostKeys = 2

export interface AccessKeyRow {
  readonly id: string
  readonly active: boolean
  readonly createdAt: Date | null
}

export interface UserKeys {
  readonly keys: readonly AccessKeyRow[]
  /** AWS's clock when it told them. */
  readonly at: Date | null
}

/** The user's own ARN, with its path. Null: no such user. */
export const readUser = async (aws: Aws, ref: UserRef, call: Call): Promise<string | null> =>
  orNull(async () => {
    const { User } = await aws.read(
      'iam',
      ref.arn,
      (iam, options) => iam.getUser({ UserName: ref.name }, options),
      call,
    )
    return User?.Arn ?? ref.arn
  })

/** Oldest first. Null: no such user. */
export const readKeys = async (aws: Aws, ref: UserRef, call: Call): Promise<UserKeys | null> =>
  orNull(async () => {
    const keys: AccessKeyRow[] = []
    let at: Date | null = null
    let next: string | undefined
    do {
      const marker = next
      // oxlint-disable-next-line no-await-in-loop -- IAM may give fewer than there are, and say so
      const { value, date } = await aws.ask(
        'iam',
        ref.arn,
        (iam, options) =>
          iam.listAccessKeys(
            { UserName: ref.name, ...(marker === undefined ? {} : { Marker: marker }) },
            options,
          ),
        call,
      )
      at ??= date
      for (const { AccessKeyId: id, Status, CreateDate } of value.AccessKeyMetadata ?? [])
        if (id !== undefined)
          keys.push({ id, active: Status === 'Active', createdAt: CreateDate ?? null })
      next = value.IsTruncated === true ? value.Marker : undefined
    } while (next !== undefined)
    const time = (key: AccessKeyRow): number => key.createdAt?.getTime() ?? 0
    return { keys: keys.toSorted((a, b) => time(a) - time(b)), at }
  })

export const noUser = (ref: UserRef): ProviderError =>
  new ProviderError('notFound', 'none', 'there is no such user in IAM', {
    hint: `nothing is at ${ref.arn}`,
  })

/** When the key was last used; null: never, as far as IAM knows by now. */
export const readLastUse = async (
  aws: Aws,
  ref: UserRef,
  id: string,
  call: Call,
): Promise<Date | null> => {
  const told = await aws.read(
    'iam',
    ref.arn,
    (iam, options) => iam.getAccessKeyLastUsed({ AccessKeyId: id }, options),
    call,
  )
  return told.AccessKeyLastUsed?.LastUsedDate ?? null
}

const orNull = async <T>(work: () => Promise<T>): Promise<T | null> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}
