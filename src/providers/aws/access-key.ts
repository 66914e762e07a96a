// `aws.iam.accessKey`: the access keys of an IAM user. There is room for two: the new one is made beside the old one, both are
// valid until the old one is made inactive, and undo makes it active again.
//
// CreateAccessKey takes no token, and its answer is the only place where the secret ever stands. A key is made only while the
// user's keys are those that the pre-image names. Where the answer was lost, the key that came since is ours, and its secret
// is gone: it is deleted, and another one is made. Whose a key is IAM does not tell, so one counts as ours only if
//
//   - it was made in the few minutes in which our request could have its effect, by AWS's own clock, and
//   - nobody has used it, as far as IAM knows: nobody but its maker can have its secret.
//
// Whatever does not fit is somebody else's, and is never touched (ADR 0018).

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Material,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
} from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { switchKey } from './access-key-switch.ts'
import { isRefused, logsIn } from './access-key-verify.ts'
import { requireRights } from './rights.ts'
import type { Aws, ObjectType } from './session.ts'
import {
  mostKeys,
  noUser,
  readKeys,
  readLastUse,
  readUser,
  type AccessKeyRow,
} from './user-read.ts'
import { readUserRef, type UserRef } from './user-ref.ts'
import { userRights } from './user-rights.ts'
import { lateEffectMs, unsupported } from './values.ts'

/** What a consumer, a publish target or a connection of Rekey's gets: the form that a connection's credential has too. */
export const accessKeyHandedOut = (
  { providerVersion: accessKeyId }: { readonly providerVersion: string },
  material: Material,
): Material => new Secret(JSON.stringify({ accessKeyId, secretAccessKey: revealText(material) }))

export const makeAccessKey = (aws: Aws): ObjectType => {
  const refOf = ({ ref }: ObjectAddress): UserRef => readUserRef(ref, aws.settings)

  const keysOf = async (ref: UserRef, call: Call) => {
    const told = await readKeys(aws, ref, call)
    if (told !== null) return told
    throw noUser(ref)
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = refOf(object)
    const arn = await readUser(aws, ref, call)
    if (arn === null) throw noUser(ref)
    const { keys } = await keysOf(ref, call)
    return {
      versions: keys.map(({ id, active, createdAt }) => ({
        id,
        state: active ? 'enabled' : 'disabled',
        // IAM does not know which of the two is in use.
        current: false,
        ...(createdAt === null ? {} : { createdAt }),
      })),
      facts: { arn, placesLeft: Math.max(0, mostKeys - keys.length) },
    }
  }

  const prepare = async (
    object: ObjectAddress,
    _current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = refOf(object)
    const arn = await readUser(aws, ref, call)
    if (arn === null) throw noUser(ref)
    const { keys, at } = await keysOf(ref, call)
    await requireRights(
      aws,
      userRights(arn).filter(({ name }) => name !== 'describe' && name !== 'usage'),
      call,
    )
    const signer = await aws.signsWith(call)
    return {
      preImage: { keys: keys.map(({ id }) => id), readAt: at?.toISOString() ?? null, arn },
      risks: [
        ...fullOf(keys),
        ...(keys.some(({ id }) => id === signer)
          ? [
              'The connection itself signs with a key of this user: let its credential be {"from": "key"} of this key.',
            ]
          : []),
      ],
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = refOf(order.object)
    const { keys } = await keysOf(ref, call)
    const [stranger] = freshIn(keys, order.preImage)
    if (stranger !== undefined)
      throw new ProviderError(
        'conflict',
        'none',
        `the access key ${stranger.id} came since preflight, and not by this`,
      )
    if (keys.length >= mostKeys) throw new ProviderError('quota', 'none', fullOf(keys).join(' '))
    const { AccessKey: made } = await aws.write(
      'iam',
      ref.arn,
      (iam, options) => iam.createAccessKey({ UserName: ref.name }, options),
      call,
    )
    // A crash from here on leaves a key whose secret nobody has: the probe finds it, and it is deleted.
    if (made?.AccessKeyId === undefined || made.SecretAccessKey === undefined)
      throw new ProviderError('outcomeUnknown', 'unknown', 'IAM’s answer has no access key in it')
    return {
      providerVersion: made.AccessKeyId,
      material: new Secret(made.SecretAccessKey),
      facts: { user: ref.name },
    }
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ref = refOf(order.object)
    const told = await readKeys(aws, ref, call)
    if (told === null) return { answer: 'foreign', detail: 'the user was deleted' }
    const [fresh, ...more] = freshIn(told.keys, order.preImage)
    if (fresh === undefined) return { answer: 'absent' }
    if (more.length > 0)
      return { answer: 'foreign', detail: `${more.length + 1} access keys came: one is not ours` }
    if (!isOfOurTime(fresh, order.preImage))
      return { answer: 'foreign', detail: `somebody else made the access key ${fresh.id}` }
    if ((await readLastUse(aws, ref, fresh.id, call)) !== null)
      return { answer: 'foreign', detail: `the access key ${fresh.id} is in use: it is not ours` }
    return {
      answer: 'ours',
      secretLost: true,
      value: { providerVersion: fresh.id, facts: { user: ref.name } },
    }
  }

  return {
    rights: async (object, call) => {
      const ref = refOf(object)
      try {
        return userRights((await readUser(aws, ref, call)) ?? ref.arn)
      } catch (error) {
        if (error instanceof ProviderError && error.kind === 'forbidden') return userRights(ref.arn)
        throw error
      }
    },
    describe,
    prepare,
    mint,
    create: async () => {
      throw unsupported('making a user')
    },
    probeMint,
    verify: async ({ object, providerVersion: id, how, material }, call) => {
      if (how === 'oldDataReadable') throw unsupported('verifying an access key by old data')
      const at = { aws, ref: refOf(object), id, material }
      return how === 'refused' ? isRefused(at, call) : logsIn(at, call)
    },
    promote: async () => {
      throw unsupported('choosing the access key that is in use')
    },
    probePromote: async () => {
      throw unsupported('choosing the access key that is in use')
    },
    suspend: (object, id, call) => switchKey({ aws, ref: refOf(object), id }, 'disabled', call),
    reinstate: (object, id, call) => switchKey({ aws, ref: refOf(object), id }, 'enabled', call),
    retire: (object, id, how, call) =>
      switchKey(
        { aws, ref: refOf(object), id },
        how === 'destroy' ? 'destroyed' : 'disabled',
        call,
      ),
    stateOf: async (object, id, call) => {
      const key = (await readKeys(aws, refOf(object), call))?.keys.find((one) => one.id === id)
      if (key === undefined) return 'absent'
      return key.active ? 'enabled' : 'disabled'
    },
    // Rekey's own tries count at IAM too: they make a key look used later than it was, never earlier.
    lastUsed: async (object, id, call) => {
      const ref = refOf(object)
      const key = (await keysOf(ref, call)).keys.find((one) => one.id === id)
      if (key === undefined)
        throw new ProviderError('notFound', 'none', `the user has no access key ${id} (any more)`)
      return (await readLastUse(aws, ref, id, call)) ?? key.createdAt
    },
    readMaterial: async () => {
      throw unsupported('reading the secret of an access key, which is shown once,')
    },
    operate: async () => {
      throw unsupported('using an access key through Rekey')
    },
  }
}

const freshIn = (
  keys: readonly AccessKeyRow[],
  { keys: before }: JsonObject,
): readonly AccessKeyRow[] => {
  const known: ReadonlySet<unknown> = new Set(Array.isArray(before) ? before : [])
  return keys.filter(({ id }) => !known.has(id))
}

/** Two of AWS's hosts tell the time a little apart. */
const toleranceMs = 10_000

/** A request is sent within seconds of its pre-image, and AWS takes it for five minutes. */
const isOfOurTime = ({ createdAt }: AccessKeyRow, { readAt }: JsonObject): boolean => {
  const from = typeof readAt === 'string' ? Date.parse(readAt) : Number.NaN
  if (createdAt === null || Number.isNaN(from)) return false
  const after = createdAt.getTime() - from
  return after >= -toleranceMs && after <= lateEffectMs + 60_000
}

const fullOf = (keys: readonly AccessKeyRow[]): readonly string[] =>
  keys.length < mostKeys
    ? []
    : [
        `Both places of the user are taken: ${keys
          .map(
            ({ id, active, createdAt }) =>
              `${id} (${active ? 'active' : 'inactive'}, made ${createdAt?.toISOString().slice(0, 10) ?? 'at an unknown time'})`,
          )
          .join(' and ')}. Delete the one that nobody uses, or let retire: destroy do it.`,
      ]
