// `aws.kms.alias`: the key that an alias leads to. Keys that KMS cannot rotate in place (asymmetric, HMAC) are replaced: a new
// key is made after the likeness of the old one (spec, use, policy, tags, description, grants), proven, and the alias moved.
//
//   alias/x            what is used
//   alias/x-previous   the key that was replaced last: what it has signed, encrypted or authenticated names it, or is tried there
//   alias/x-next       the key that is made and not handed out yet
//
// CreateKey takes no token: the operation's id is a tag of the new key, and by that it is found again. UpdateAlias has no
// compare-and-swap: the alias is read right before it is moved, and moved only from where it should be; somebody who moves it
// in between is overwritten, and seen by the next look (complete-rotation.ts). Everything beside CreateKey has set semantics:
// what a crash left undone is done by promoting again.

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
  type PromoteOrder,
} from '#domain/provider.ts'
import { copyGrants, createLike, dropAlias, pointAlias } from './kms-alias-make.ts'
import { findMade, keysBehind, operationTag, readTags, targetOf } from './kms-alias-read.ts'
import { readAliasRef, type AliasRef } from './kms-alias-ref.ts'
import { isRefused, uses } from './kms-alias-use.ts'
import { readKmsKey, type KmsKey } from './kms-read.ts'
import { kmsKeyArn } from './kms-ref.ts'
import { aliasRights } from './kms-rights.ts'
import { requireRights } from './rights.ts'
import type { Aws, ObjectType } from './session.ts'
import { tokenOf, unsupported } from './values.ts'

/** The longest that KMS offers: until then `aws kms cancel-key-deletion` brings a key back. */
const pendingDays = 30

export const makeAlias = (aws: Aws, random: (bytes: number) => Uint8Array): ObjectType => {
  /** Keys that were made before any operation of this session. */
  const old = new Set<string>()
  const refOf = ({ ref }: ObjectAddress): AliasRef => readAliasRef(ref, aws.settings)
  const keyAt = (id: string, call: Call): Promise<KmsKey | null> =>
    readKmsKey(aws, { id, arn: kmsKeyArn(aws.settings, id) }, call)

  const served = async (ref: AliasRef, call: Call): Promise<KmsKey> => {
    const key = await targetOf(aws, ref, ref.alias, call)
    if (key === null)
      throw new ProviderError('notFound', 'none', 'there is no such alias in KMS', {
        hint: `nothing is at ${ref.arn}`,
      })
    mustBeReplaceable(key)
    return key
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = refOf(object)
    const target = await served(ref, call)
    const keys = await keysBehind(aws, ref, target, call)
    return {
      versions: keys.map((key) => ({
        id: key.id,
        state: stateIn(key),
        current: key.id === target.id,
        ...(key.createdAt === null ? {} : { createdAt: key.createdAt }),
        ...(key.deletionAt === null ? {} : { expiresAt: key.deletionAt }),
      })),
      facts: { arn: target.arn, spec: target.spec, usage: target.usage },
    }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = refOf(object)
    const target = await served(ref, call)
    if (current !== null && target.id !== current)
      throw new ProviderError(
        'conflict',
        'none',
        `somebody else has moved the alias, to the key ${target.id}`,
        { hint: `move it back to ${current}, or delete the key here and register it anew` },
      )
    await requireRights(
      aws,
      aliasRights(ref, target.arn).filter(({ name }) => name !== 'describe'),
      call,
    )
    const { date } = await aws.whoAmI(call)
    return {
      preImage: { target: target.id, readAt: date?.toISOString() ?? null, spec: target.spec },
      risks: risksOf(ref, target),
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = refOf(order.object)
    const token = tokenOf(order.operationId)
    const target = await served(ref, call)
    if (target.id !== order.preImage['target'])
      throw new ProviderError('conflict', 'none', `the alias leads to the key ${target.id} by now`)
    const staged = await targetOf(aws, ref, ref.next, call)
    if (staged !== null && (await readTags(aws, staged, call)).get(operationTag) === token)
      return mintedAt(staged.id)
    const made = await createLike(aws, ref, target, token, call)
    // A crash from here on leaves a key that nothing leads to: the probe finds it by its tag.
    try {
      await pointAlias(aws, ref, { alias: ref.next, to: made }, call)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      throw new ProviderError(
        error.kind,
        'unknown',
        `a key was made, and not named: ${error.message}`,
        error.hint === null ? {} : { hint: error.hint },
      )
    }
    return mintedAt(made)
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ref = refOf(order.object)
    const token = tokenOf(order.operationId)
    const staged = await targetOf(aws, ref, ref.next, call)
    if (staged !== null && (await readTags(aws, staged, call)).get(operationTag) === token)
      return { answer: 'ours', value: mintedAt(staged.id) }
    const { readAt, target } = order.preImage
    const since = new Date(typeof readAt === 'string' ? readAt : 0)
    const made = await findMade(aws, { token, since, old }, call)
    if (made !== null) return { answer: 'ours', value: mintedAt(made) }
    const now = await targetOf(aws, ref, ref.alias, call)
    return now?.id === target
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `the alias leads to the key ${now?.id ?? 'none'} by now` }
  }

  const promote = async ({ object, from, to }: PromoteOrder, call: Call): Promise<JsonObject> => {
    const ref = refOf(object)
    const target = await served(ref, call)
    if (target.id !== to) {
      if (target.id !== from)
        throw new ProviderError('conflict', 'none', `the alias leads to the key ${target.id}`)
      // Whoever is let in by a grant must be let in by the new key before it is handed out.
      await copyGrants(aws, from, to, call)
      // Going back, the old key is the previous one already.
      const previous = await targetOf(aws, ref, ref.previous, call)
      if (previous?.id !== to) await pointAlias(aws, ref, { alias: ref.previous, to: from }, call)
      const now = await targetOf(aws, ref, ref.alias, call)
      if (now?.id !== from && now?.id !== to)
        throw new ProviderError('conflict', 'none', 'somebody else has moved the alias just now')
    }
    // Also where it is told to lead there: that may be from before the last move.
    await pointAlias(aws, ref, { alias: ref.alias, to }, call)
    // A crash here leaves alias/x-next on a key that is handed out: the next rotation moves it.
    return { alias: ref.alias, key: to }
  }

  const probePromote = async (
    { object, from, to }: PromoteOrder,
    call: Call,
  ): Promise<Probe<null>> => {
    const ref = refOf(object)
    const now = (await targetOf(aws, ref, ref.alias, call))?.id ?? null
    if (now === to) return { answer: 'ours', value: null }
    if (now === from) return { answer: 'absent' }
    return { answer: 'foreign', detail: `the alias leads to the key ${now ?? 'none'}` }
  }

  const switchKey = async (
    object: ObjectAddress,
    id: string,
    to: 'enabled' | 'disabled' | 'destroyed',
    call: Call,
  ): Promise<JsonObject> => {
    const ref = refOf(object)
    const key = await keyAt(id, call)
    if (key === null) {
      if (to === 'destroyed') return { key: id, to, already: true }
      throw new ProviderError('notFound', 'none', `there is no key ${id} in KMS (any more)`)
    }
    if (to !== 'enabled' && call.incident !== true) await mustNotServe(ref, id, call)
    if (to === 'destroyed') await dropAlias(aws, ref, { alias: ref.next, from: id }, call)
    const from = stateIn(key)
    try {
      // What was read may be from before the last change: KMS takes each of these twice, and so each is sent.
      await aws.write(
        'kms',
        key.arn,
        async (kms, options) => {
          if (to === 'enabled') await kms.enableKey({ KeyId: id }, options)
          else if (to === 'disabled') await kms.disableKey({ KeyId: id }, options)
          else
            await kms.scheduleKeyDeletion({ KeyId: id, PendingWindowInDays: pendingDays }, options)
        },
        call,
      )
    } catch (error) {
      if (!(error instanceof ProviderError) || error.kind !== 'disabled') throw error
      // KMS changes nothing any more of a key that it is about to delete.
      if (to !== 'enabled') return { key: id, to, already: true }
      throw new ProviderError('precondition', 'none', `the key ${id} is scheduled for deletion`, {
        hint: `aws kms cancel-key-deletion --key-id ${id}`,
      })
    }
    return { key: id, from, to, ...(to === 'destroyed' ? { pendingDays } : {}) }
  }

  const mustNotServe = async (ref: AliasRef, id: string, call: Call): Promise<void> => {
    if ((await targetOf(aws, ref, ref.alias, call))?.id === id)
      throw new ProviderError('precondition', 'none', `the alias leads to the key ${id}`, {
        hint: 'hand out another one first',
      })
  }

  return {
    rights: async (object, call) => {
      const ref = refOf(object)
      const any = kmsKeyArn(aws.settings, '*')
      try {
        return aliasRights(ref, (await targetOf(aws, ref, ref.alias, call))?.arn ?? any)
      } catch (error) {
        if (error instanceof ProviderError && error.kind === 'forbidden')
          return aliasRights(ref, any)
        throw error
      }
    },
    describe,
    prepare,
    mint,
    create: async () => {
      throw unsupported('making the first key of an alias')
    },
    probeMint,
    verify: async ({ providerVersion: id, how }, call) => {
      if (how === 'roundTrip') return uses({ aws, random, id }, call)
      if (how === 'refused') return isRefused({ aws, random, id }, call)
      throw unsupported(`verifying a KMS key by ${how}`)
    },
    promote,
    probePromote,
    suspend: (object, id, call) => switchKey(object, id, 'disabled', call),
    reinstate: (object, id, call) => switchKey(object, id, 'enabled', call),
    retire: (object, id, how, call) =>
      switchKey(object, id, how === 'destroy' ? 'destroyed' : 'disabled', call),
    stateOf: async (object, id, call) => {
      refOf(object)
      const key = await keyAt(id, call)
      return key === null ? 'absent' : stateIn(key)
    },
    lastUsed: async () => null,
    readMaterial: async () => {
      throw unsupported('reading the material of a KMS key')
    },
    operate: async () => {
      throw unsupported('using a KMS key through Rekey')
    },
  }
}

const mintedAt = (key: string): Minted => ({ providerVersion: key, facts: { key } })

const stateIn = ({ state }: KmsKey): 'enabled' | 'disabled' | 'destroyed' => {
  if (state === 'PendingDeletion' || state === 'PendingReplicaDeletion') return 'destroyed'
  return state === 'Enabled' ? 'enabled' : 'disabled'
}

const mustBeReplaceable = ({ ofAws, origin, region, usage }: KmsKey): void => {
  const refuse = (detail: string): never => {
    throw new ProviderError('unsupported', 'none', detail)
  }
  if (ofAws) refuse('the key is managed by AWS')
  if (origin !== 'AWS_KMS') refuse(`the material of the key is not made by KMS (${origin})`)
  if (region === 'REPLICA') refuse('the key is a replica of a key of another region')
  if (usage === 'KEY_AGREEMENT') refuse('keys for key agreement cannot be tried by Rekey')
}

const risksOf = (ref: AliasRef, { usage, region }: KmsKey): readonly string[] => [
  `Programs that name the key by its id or ARN, and not by ${ref.alias}, keep the old one.`,
  usage === 'ENCRYPT_DECRYPT'
    ? `What the old key has encrypted opens under its own id only: keep it enabled, or retire it once everything is encrypted anew.`
    : `What the old key has made is verified with it: by its id, or by ${ref.previous}.`,
  ...(region === 'PRIMARY'
    ? ['The key has replicas in other regions: the new one is a primary key without any.']
    : []),
]
