// `aws.kms.symmetric`: a symmetric KMS key, rotated in place by RotateKeyOnDemand. KMS makes new material and encrypts with it
// from then on; it keeps every older one for what that has encrypted. So rotation revokes nothing, no old material can be
// switched off by itself, none becomes current again: there is nothing to undo or retire. An incident switches off the whole key.
//
// RotateKeyOnDemand takes no token, and each one counts: a key has 25 in its life. It is sent only while the current material
// is the one that the pre-image names and no rotation is under way. It works on after its answer: the mint is done when KMS
// shows another current material, which may be minutes later. Until then its outcome is unknown and the probe says
// `inProgress`; it is never sent again meanwhile. Whose rotation it was cannot be told: `goalMet`.

import { Type } from 'typebox'
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
  type ProviderVersion,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import {
  readKmsKey,
  readMaterials,
  readRotation,
  type KmsKey,
  type KmsRotation,
  type MaterialRow,
} from './kms-read.ts'
import { readKmsKeyRef, type KmsKeyRef } from './kms-ref.ts'
import { symmetricRights } from './kms-rights.ts'
import {
  isRefused,
  makeProof,
  proofIn,
  refusalOf,
  roundTrip,
  stillOpens,
} from './kms-symmetric-use.ts'
import { requireRights } from './rights.ts'
import type { Aws, ObjectType } from './session.ts'
import { unsupported } from './values.ts'

/** AWS raises it for nobody. */
const mostRotations = 25
const defaultReserve = 3

export const symmetricGenerateSchema = Type.Object(
  {
    reserve: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: mostRotations - 1,
        description: `How many of the ${mostRotations} rotations that a key has in its life are kept for emergencies; ${defaultReserve} unless told. Rotations that are none stop there.`,
      }),
    ),
  },
  { additionalProperties: false },
)

const daySeconds = 86_400
const pollAfterMs = 5_000

export const makeSymmetric = (aws: Aws): ObjectType => {
  const refOf = ({ ref }: ObjectAddress): KmsKeyRef => readKmsKeyRef(ref, aws.settings)

  const keyOf = async (ref: KmsKeyRef, call: Call): Promise<KmsKey> => {
    const key = await readKmsKey(aws, ref, call)
    if (key === null)
      throw new ProviderError('notFound', 'none', 'there is no such key in KMS', {
        hint: `nothing is at ${ref.arn}`,
      })
    mustRotateInPlace(key)
    return key
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const key = await keyOf(refOf(object), call)
    const rotation = await readRotation(aws, key, call)
    const materials = await readMaterials(aws, key, call)
    return { versions: versionsOf(key, materials), facts: factsOf(key, rotation, materials) }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const key = await keyOf(refOf(object), call)
    mustBeEnabled(key)
    const rotation = await readRotation(aws, key, call)
    const materials = await readMaterials(aws, key, call)
    await requireRights(
      aws,
      symmetricRights(key.arn).filter(({ name }) => name !== 'describe'),
      call,
    )
    if (call.generate !== undefined) {
      mustBeStill(rotation)
      mustHaveLeft(materials, call.generate, call)
    }
    return {
      preImage: {
        material: key.material,
        // Made with the material in use: afterwards it proves that old data can still be read.
        proof: { ...(await makeProof(aws, key, call)) },
        ...factsOf(key, rotation, materials),
      },
      risks: risksOf(key, rotation, materials, current),
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = refOf(order.object)
    const key = await keyOf(ref, call)
    const before = order.preImage['material']
    if (key.material !== before)
      throw new ProviderError(
        'conflict',
        'none',
        `the key has the material ${key.material} now, and had another before`,
      )
    mustBeStill(await readRotation(aws, key, call))
    mustHaveLeft(await readMaterials(aws, key, call), order.generate, call)
    await aws.write(
      'kms',
      key.arn,
      (kms, options) => kms.rotateKeyOnDemand({ KeyId: key.id }, options),
      call,
    )
    // A crash from here on: the probe waits for KMS, and finds what it makes.
    const now = await materialAfter(ref, call)
    if (now !== null && now !== before) return mintedAt(now)
    throw new ProviderError(
      'outcomeUnknown',
      'unknown',
      'KMS took the request, and makes the new material by itself',
    )
  }

  /** Null: it could not be read. */
  const materialAfter = async (ref: KmsKeyRef, call: Call): Promise<string | null> => {
    try {
      return (await readKmsKey(aws, ref, call))?.material ?? null
    } catch (error) {
      if (error instanceof ProviderError) return null
      throw error
    }
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const key = await readKmsKey(aws, refOf(order.object), call)
    if (key === null || key.material === null)
      return { answer: 'foreign', detail: 'the key was deleted' }
    if (key.material !== order.preImage['material'])
      return { answer: 'goalMet', value: mintedAt(key.material) }
    const { begunAt } = await readRotation(aws, key, call)
    return begunAt === null ? { answer: 'absent' } : { answer: 'inProgress', pollAfterMs }
  }

  const verify = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = refOf(order.object)
    const proof = proofIn(order.preImage)
    switch (order.how) {
      case 'roundTrip': {
        const used = await refusalOf(() => roundTrip(aws, ref, order.providerVersion, call))
        if ('did' in used) return used.did
        const facts = { refusal: used.refused.kind, status: used.refused.status }
        return { ok: false, detail: used.refused.message, facts }
      }
      case 'oldDataReadable': {
        const detail = 'preflight left nothing made with the old material'
        return proof === null ? { ok: false, detail, facts: {} } : stillOpens(aws, ref, proof, call)
      }
      case 'refused':
        return isRefused(aws, ref, proof, call)
      case 'login':
        throw unsupported('logging in with a KMS key')
    }
  }

  const none = (what: string) => async (): Promise<never> => {
    throw unsupported(what)
  }

  /** With all of its materials. Sent whatever was read of its state: KMS takes it twice, and a read may be old. */
  const switchWhole = async (
    object: ObjectAddress,
    to: 'enabled' | 'disabled',
    call: Call,
  ): Promise<JsonObject> => {
    if (call.incident !== true) throw unsupported('switching off one material of a KMS key')
    const key = await keyOf(refOf(object), call)
    await aws.write(
      'kms',
      key.arn,
      async (kms, options) => {
        if (to === 'enabled') await kms.enableKey({ KeyId: key.id }, options)
        else await kms.disableKey({ KeyId: key.id }, options)
      },
      call,
    )
    return { arn: key.arn, from: stateIn(key), to, wholeKey: true }
  }
  return {
    rights: async (object) => symmetricRights(refOf(object).arn),
    describe,
    prepare,
    mint,
    create: none('making a key that is asked for by its id'),
    probeMint,
    verify,
    promote: none('choosing the material of a KMS key'),
    probePromote: none('choosing the material of a KMS key'),
    suspend: (object, _material, call) => switchWhole(object, 'disabled', call),
    reinstate: (object, _material, call) => switchWhole(object, 'enabled', call),
    retire: none('retiring one material of a KMS key'),
    stateOf: async (object, version, call) => {
      const key = await readKmsKey(aws, refOf(object), call)
      if (key === null) return 'absent'
      const found = (await readMaterials(aws, key, call)).some(({ id }) => id === version)
      return found ? stateIn(key) : 'absent'
    },
    lastUsed: async () => null,
    readMaterial: none('reading the material of a KMS key'),
    operate: none('using a KMS key through Rekey'),
  }
}

const mintedAt = (material: string): Minted => ({
  providerVersion: material,
  facts: { material },
})

const stateIn = ({ state }: KmsKey): 'enabled' | 'disabled' =>
  state === 'Enabled' ? 'enabled' : 'disabled'

const mustRotateInPlace = ({ ofAws, spec, origin, region, material }: KmsKey): void => {
  const refuse = (detail: string, hint: string): never => {
    throw new ProviderError('unsupported', 'none', detail, { hint })
  }
  if (ofAws) refuse('the key is managed by AWS', 'AWS rotates it every year, and lets nobody else')
  if (spec !== 'SYMMETRIC_DEFAULT')
    refuse(`the key is no symmetric one (${spec})`, 'register its alias as aws.kms.alias')
  if (origin !== 'AWS_KMS' || material === null)
    refuse(
      `the material of the key is not made by KMS (${origin})`,
      'register its alias as aws.kms.alias',
    )
  if (region === 'REPLICA')
    refuse('the key is a replica', 'rotate the primary key: its replicas follow')
}

const mustBeEnabled = ({ state, arn }: KmsKey): void => {
  if (state !== 'Enabled')
    throw new ProviderError('precondition', 'none', `the key is ${state}, and not enabled`, {
      hint: `aws kms describe-key --key-id ${arn}`,
    })
}

const mustBeStill = ({ begunAt }: KmsRotation): void => {
  if (begunAt !== null)
    throw new ProviderError(
      'conflict',
      'none',
      `somebody else began to rotate the key at ${begunAt.toISOString()}`,
      { hint: 'wait until KMS has ended it (aws kms get-key-rotation-status)' },
    )
}

const rotationsLeft = (materials: readonly MaterialRow[]): number =>
  Math.max(0, mostRotations - materials.filter(({ onDemand }) => onDemand).length)

const mustHaveLeft = (
  materials: readonly MaterialRow[],
  { reserve = defaultReserve }: JsonObject,
  { incident }: Call,
): void => {
  const left = rotationsLeft(materials)
  const kept = incident === true ? 0 : Number(reserve)
  if (left > kept) return
  const keeps = left === 0 ? 'none is left' : `${left} are left, and kept for emergencies`
  throw new ProviderError(
    'quota',
    'none',
    `of the ${mostRotations} rotations that a KMS key has in its life ${keeps}`,
    {
      hint: 'move to a new key behind an alias (aws.kms.alias), let KMS rotate it every year (observe: native), or lower generate.reserve',
    },
  )
}

const versionsOf = (key: KmsKey, materials: readonly MaterialRow[]): readonly ProviderVersion[] => {
  const rows = materials.some(({ id }) => id === key.material)
    ? materials
    : [...materials, { id: key.material ?? '', rotatedAt: key.createdAt }]
  return rows.map(({ id, rotatedAt }) => {
    const createdAt = rotatedAt ?? key.createdAt
    return {
      id,
      state: stateIn(key),
      current: id === key.material,
      ...(createdAt === null ? {} : { createdAt }),
    }
  })
}

const factsOf = (
  key: KmsKey,
  { everyDays }: KmsRotation,
  materials: readonly MaterialRow[],
): JsonObject => ({
  arn: key.arn,
  state: key.state,
  multiRegion: key.region,
  rotationsLeft: rotationsLeft(materials),
  rotationsInItsLife: mostRotations,
  autoRotateSeconds: everyDays === null ? 0 : everyDays * daySeconds,
})

const risksOf = (
  key: KmsKey,
  { everyDays }: KmsRotation,
  materials: readonly MaterialRow[],
  current: string | null,
): readonly string[] => [
  'Rotating a KMS key revokes nothing: what older material has encrypted stays readable by whoever may use the key, and nothing can undo the rotation.',
  `${rotationsLeft(materials)} of the ${mostRotations} rotations that the key has in its life are left.`,
  ...(everyDays === null
    ? []
    : [
        `KMS rotates the key by itself every ${everyDays} days: its rotations will look like somebody else’s.`,
      ]),
  ...(current !== null && current !== key.material
    ? [`KMS or somebody else has rotated the key: Rekey knew the material ${current}.`]
    : []),
]
