// The keys behind an alias: the one that it leads to, the one made last, and those before, each of which is named by a tag of
// the one that replaced it.

import { ProviderError, type Call } from '#domain/provider.ts'
import type { AliasRef } from './kms-alias-ref.ts'
import { readKmsKey, type KmsKey } from './kms-read.ts'
import { kmsKeyArn } from './kms-ref.ts'
import type { Aws } from './session.ts'

export const operationTag = 'rekey:operation'
export const previousTag = 'rekey:previous'

type Of = Pick<KmsKey, 'id' | 'arn'>

/** Null: there is no such alias. */
export const targetOf = (
  aws: Aws,
  ref: AliasRef,
  alias: string,
  call: Call,
): Promise<KmsKey | null> => readKmsKey(aws, { id: alias, arn: ref.arn }, call)

export const readTags = async (
  aws: Aws,
  { id, arn }: Of,
  call: Call,
): Promise<ReadonlyMap<string, string>> => {
  const tags = new Map<string, string>()
  let next: string | undefined
  do {
    const marker = next
    // oxlint-disable-next-line no-await-in-loop -- a page names the next
    const page = await aws.read(
      'kms',
      arn,
      (kms, options) =>
        kms.listResourceTags(
          { KeyId: id, ...(marker === undefined ? {} : { Marker: marker }) },
          options,
        ),
      call,
    )
    for (const { TagKey, TagValue } of page.Tags ?? [])
      if (TagKey !== undefined) tags.set(TagKey, TagValue ?? '')
    next = page.Truncated === true ? page.NextMarker : undefined
  } while (next !== undefined)
  return tags
}

const longestChain = 12

/** Newest first; the one that the alias leads to is among them. */
export const keysBehind = async (
  aws: Aws,
  ref: AliasRef,
  target: KmsKey,
  call: Call,
): Promise<readonly KmsKey[]> => {
  const beside = await Promise.all(
    [ref.next, ref.previous].map((alias) => targetOf(aws, ref, alias, call)),
  )
  const found = new Map([target, ...beside.filter((key) => key !== null)].map((k) => [k.id, k]))
  let at: KmsKey | null = beside[0] ?? target
  for (let n = 0; n < longestChain && at !== null; n++) {
    // oxlint-disable-next-line no-await-in-loop -- each names the one before
    const before: string | undefined = (await readTags(aws, at, call)).get(previousTag)
    if (before === undefined) break
    at =
      found.get(before) ??
      // oxlint-disable-next-line no-await-in-loop -- see above
      (await readKmsKey(aws, { id: before, arn: kmsKeyArn(aws.settings, before) }, call))
    if (at !== null) found.set(at.id, at)
  }
  const time = (key: KmsKey): number => key.createdAt?.getTime() ?? 0
  return [...found.values()].toSorted((a, b) => time(b) - time(a))
}

/** Two of AWS's hosts tell the time a little apart. */
const toleranceMs = 10_000
const atOnce = 10

/** The key that an operation has made, though nothing leads to it yet. KMS cannot be asked for a tag, so that every key of
 *  the region is looked at that was made since: `old` keeps those that were not, from one look to the next. */
export const findMade = async (
  aws: Aws,
  {
    token,
    since,
    old,
  }: { readonly token: string; readonly since: Date; readonly old: Set<string> },
  call: Call,
): Promise<string | null> => {
  const from = since.getTime() - toleranceMs
  const made = async (id: string): Promise<string | null> => {
    if (old.has(id)) return null
    const at = { id, arn: kmsKeyArn(aws.settings, id) }
    try {
      const key = await readKmsKey(aws, at, call)
      if (key === null) return null
      if ((key.createdAt?.getTime() ?? 0) < from) {
        old.add(id)
        return null
      }
      return (await readTags(aws, at, call)).get(operationTag) === token ? id : null
    } catch (error) {
      // Its policy hides it from us: it is not ours.
      if (error instanceof ProviderError && error.kind === 'forbidden') return null
      throw error
    }
  }
  let next: string | undefined
  do {
    const marker = next
    // oxlint-disable-next-line no-await-in-loop -- a page names the next
    const page = await aws.read(
      'kms',
      '*',
      (kms, options) =>
        kms.listKeys({ Limit: 1000, ...(marker === undefined ? {} : { Marker: marker }) }, options),
      call,
    )
    const ids = (page.Keys ?? []).flatMap(({ KeyId }) => KeyId ?? [])
    for (let n = 0; n < ids.length; n += atOnce) {
      // oxlint-disable-next-line no-await-in-loop -- KMS counts requests
      const found = await Promise.all(ids.slice(n, n + atOnce).map(made))
      const ours = found.find((id) => id !== null)
      if (ours !== undefined) return ours
    }
    next = page.Truncated === true ? page.NextMarker : undefined
  } while (next !== undefined)
  return null
}
