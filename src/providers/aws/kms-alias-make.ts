// What is written for a key behind an alias: the new key, after the likeness of the old one, its grants, and the aliases.

import type { GrantListEntry } from '@aws-sdk/client-kms'
import { ProviderError, type Call } from '#domain/provider.ts'
import { operationTag, previousTag, readTags, targetOf } from './kms-alias-read.ts'
import type { AliasRef } from './kms-alias-ref.ts'
import { kmsKeyArn } from './kms-ref.ts'
import type { KmsKey } from './kms-read.ts'
import { aliasTag } from './kms-rights.ts'
import type { Aws } from './session.ts'

/** Policy, tags and description are those of the old key, in the one request that makes the new one. */
export const createLike = async (
  aws: Aws,
  ref: AliasRef,
  like: KmsKey,
  token: string,
  call: Call,
): Promise<string> => {
  const { Policy } = await aws.read(
    'kms',
    like.arn,
    (kms, options) => kms.getKeyPolicy({ KeyId: like.id, PolicyName: 'default' }, options),
    call,
  )
  const kept = [...(await readTags(aws, like, call))].filter(
    ([name]) => !name.startsWith('rekey:') && !name.startsWith('aws:'),
  )
  const tags = [
    ...kept,
    [operationTag, token],
    [aliasTag, ref.alias],
    [previousTag, like.id],
  ] as const
  const { KeyMetadata: made } = await aws.write(
    'kms',
    '*',
    (kms, options) =>
      kms.createKey(
        {
          KeySpec: like.spec as never,
          KeyUsage: like.usage as never,
          Description: like.description,
          MultiRegion: like.region !== null,
          Tags: tags.map(([TagKey, TagValue]) => ({ TagKey, TagValue })),
          // The policy is one that a key lives by already; KMS would refuse one that does not let Rekey change it.
          ...(Policy === undefined ? {} : { Policy, BypassPolicyLockoutSafetyCheck: true }),
        },
        options,
      ),
    call,
  )
  if (made?.KeyId === undefined)
    throw new ProviderError('outcomeUnknown', 'unknown', 'KMS’s answer has no key in it')
  return made.KeyId
}

/** Set semantics. Where it leads now is not asked: the answer may be from before the last move. */
export const pointAlias = async (
  aws: Aws,
  ref: AliasRef,
  { alias, to }: { readonly alias: string; readonly to: string },
  call: Call,
): Promise<void> => {
  const of = { AliasName: alias, TargetKeyId: to }
  const arn = arnOf(ref, alias)
  try {
    await aws.write('kms', arn, (kms, options) => kms.updateAlias(of, options), call)
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'notFound') throw error
    await aws.write('kms', arn, (kms, options) => kms.createAlias(of, options), call)
  }
}

export const dropAlias = async (
  aws: Aws,
  ref: AliasRef,
  { alias, from }: { readonly alias: string; readonly from: string },
  call: Call,
): Promise<void> => {
  if ((await targetOf(aws, ref, alias, call))?.id !== from) return
  await aws.write(
    'kms',
    arnOf(ref, alias),
    (kms, options) => kms.deleteAlias({ AliasName: alias }, options),
    call,
  )
}

const arnOf = (ref: AliasRef, alias: string): string => ref.arn.replace(/alias\/.*$/, alias)

/** Grants by their name, which makes CreateGrant do nothing for one that is there; those that AWS services hold for themselves
 *  cannot be given by us, and are made by them anew. */
export const copyGrants = async (
  aws: Aws,
  from: string,
  to: string,
  call: Call,
): Promise<number> => {
  const there = new Set((await readGrants(aws, to, call)).map(({ Name }) => Name))
  const missing = (await readGrants(aws, from, call)).flatMap((grant) => {
    const { GrantId = '', GranteePrincipal, Operations, RetiringPrincipal, Constraints } = grant
    const Name = grant.Name ?? `rekey-${GrantId.slice(0, 32)}`
    if (GranteePrincipal === undefined || Operations === undefined || there.has(Name)) return []
    return [
      {
        Name,
        GranteePrincipal,
        Operations,
        ...(RetiringPrincipal === undefined ? {} : { RetiringPrincipal }),
        ...(Constraints === undefined ? {} : { Constraints }),
      },
    ]
  })
  for (const grant of missing)
    // oxlint-disable-next-line no-await-in-loop -- few
    await aws.write(
      'kms',
      kmsKeyArn(aws.settings, to),
      (kms, options) => kms.createGrant({ KeyId: to, ...grant }, options),
      call,
    )
  return missing.length
}

const readGrants = async (aws: Aws, id: string, call: Call): Promise<readonly GrantListEntry[]> => {
  const grants: GrantListEntry[] = []
  let next: string | undefined
  do {
    const marker = next
    // oxlint-disable-next-line no-await-in-loop -- a page names the next
    const page = await aws.read(
      'kms',
      kmsKeyArn(aws.settings, id),
      (kms, options) =>
        kms.listGrants({ KeyId: id, ...(marker === undefined ? {} : { Marker: marker }) }, options),
      call,
    )
    grants.push(...(page.Grants ?? []))
    next = page.Truncated === true ? page.NextMarker : undefined
  } while (next !== undefined)
  return grants
}
