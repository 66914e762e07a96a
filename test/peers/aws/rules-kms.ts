// KMS, where moto is lax. From the API reference (docs.aws.amazon.com/kms/latest/APIReference) and the developer guide, above
// all its pages "Key states of AWS KMS keys" and "Perform on-demand key rotation":
//
//   key states            a disabled key is used for nothing (DisabledException), one that is pending deletion neither
//                         (KMSInvalidStateException), nor changed, nor given an alias
//   key metadata          the algorithms of the key's use, and no others
//   key material          each answer that was made with material of a symmetric key says which; DescribeKey says the current
//   RotateKeyOnDemand     symmetric keys only; one at a time (ConflictException); 25 in a key's life (LimitExceededException);
//                         it goes on after its answer: GetKeyRotationStatus tells since when, until it is done
//   ListKeyRotations      also the first material and the current one, where all are asked for
//   ListKeys              in pages
//   ScheduleKeyDeletion   7 to 30 days
//
// `slow(n)`: a rotation that is asked for from now on is done after n looks at it. `stale(n)`: the next n answers of DescribeKey
// are from before the last write, `staleAlias(n)`: those by an alias from before it was moved. `rotateByItself(id)`: as the yearly rotation does.
// Not there: key policies, grants as rights, imported material, custom key stores, replicas.

import { createHash, randomBytes } from 'node:crypto'
import { json, refusal, textIn, type Body, type Reply } from './wire.ts'
import type { RuleAt, Rules } from './rules.ts'

const service = 'kms'
const writes = new Set([
  'CreateKey',
  'RotateKeyOnDemand',
  'CreateAlias',
  'UpdateAlias',
  'DeleteAlias',
  'EnableKey',
  'DisableKey',
  'ScheduleKeyDeletion',
  'CancelKeyDeletion',
  'CreateGrant',
  'PutKeyPolicy',
  'TagResource',
])
const uses = new Set([
  'Encrypt',
  'Decrypt',
  'GenerateDataKey',
  'Sign',
  'Verify',
  'GenerateMac',
  'VerifyMac',
  'GetPublicKey',
  'RotateKeyOnDemand',
])
const changes = new Set([
  'EnableKey',
  'DisableKey',
  'CreateGrant',
  'CreateAlias',
  'UpdateAlias',
  'TagResource',
  'ScheduleKeyDeletion',
])

interface Material {
  readonly id: string
  readonly type: 'ON_DEMAND' | 'AUTOMATIC' | null
  readonly date: number | null
}
interface Held {
  /** The last one is current. */
  readonly materials: Material[]
  /** An on-demand rotation under way. */
  going: { readonly since: number; looksLeft: number } | null
}

export interface KmsRules extends Rules {
  readonly stale: (answers: number) => void
  /** The same of where an alias leads. */
  readonly staleAlias: (answers: number) => void
  readonly slow: (looks: number) => void
  readonly rotateByItself: (keyId: string) => void
}

export const makeKmsRules = (): KmsRules => {
  const held = new Map<string, Held>()
  /** By hash of a ciphertext. */
  const madeWith = new Map<string, string>()
  const before = new Map<string, string>()
  /** Asked of moto once for a request. */
  const asking = new WeakMap<RuleAt['asked'], Promise<Body | null>>()
  const aliasBefore = new Map<string, string>()
  let stale = 0
  let staleAlias = 0
  let looks = 0

  const heldOf = (id: string): Held => {
    const found = held.get(id) ?? { materials: [newMaterial(null)], going: null }
    held.set(id, found)
    return found
  }
  const current = (id: string): string => heldOf(id).materials.at(-1)?.id ?? ''
  /** The key that a request is about, through its alias where it names one. */
  const metadataOf = (at: RuleAt, key: string): Promise<Body | null> => {
    const known = asking.get(at.asked) ?? readMetadata(at, key)
    asking.set(at.asked, known)
    return known
  }
  const readMetadata = async ({ moto }: RuleAt, key: string): Promise<Body | null> => {
    const reply = await moto.send(service, 'DescribeKey', JSON.stringify({ KeyId: key }))
    if (reply.status !== 200) return null
    const { KeyMetadata: said } = JSON.parse(reply.text) as { readonly KeyMetadata: Body }
    const told = putRight(said)
    return told['KeySpec'] === 'SYMMETRIC_DEFAULT'
      ? { ...told, CurrentKeyMaterialId: current(textIn(told, 'KeyId')) }
      : told
  }
  const finish = (of: Held, type: Material['type']): void => {
    of.materials.push(newMaterial(type))
    of.going = null
  }

  const rotate = (told: Body): Reply => {
    const id = textIn(told, 'KeyId')
    const of = heldOf(id)
    if (told['KeySpec'] !== 'SYMMETRIC_DEFAULT')
      return refusal(
        service,
        'UnsupportedOperationException',
        `${textIn(told, 'Arn')} is asymmetric.`,
      )
    if (of.going !== null)
      return refusal(service, 'ConflictException', 'An on-demand rotation is already in progress.')
    if (of.materials.filter(({ type }) => type === 'ON_DEMAND').length >= 25)
      return refusal(service, 'LimitExceededException', 'The key has no on-demand rotation left.')
    if (looks === 0) finish(of, 'ON_DEMAND')
    else of.going = { since: seconds(), looksLeft: looks }
    return json({ KeyId: id })
  }
  /** Whoever looks brings it nearer to its end. */
  const look = (id: string): void => {
    const of = heldOf(id)
    if (of.going === null) return
    of.going.looksLeft -= 1
    if (of.going.looksLeft < 0) finish(of, 'ON_DEMAND')
  }
  const rotations = (id: string, body: Body): Reply => {
    const all = heldOf(id).materials.map(({ id: material, type, date }, n, list) => ({
      KeyId: id,
      KeyMaterialId: material,
      KeyMaterialState: n === list.length - 1 ? 'CURRENT' : 'NON_CURRENT',
      ...(type === null ? {} : { RotationType: type }),
      ...(date === null ? {} : { RotationDate: date }),
    }))
    const asked =
      body['IncludeKeyMaterial'] === 'ALL_KEY_MATERIAL'
        ? all
        : all.filter((row) => row.RotationType)
    return paged('Rotations', asked, body)
  }

  return {
    writes,
    stale: (answers) => {
      stale = answers
    },
    staleAlias: (answers) => {
      staleAlias = answers
    },
    slow: (n) => {
      looks = n
    },
    rotateByItself: (id) => finish(heldOf(id), 'AUTOMATIC'),
    // Of a key that is made for an alias: that alias.
    subject: (body) =>
      textIn(body, 'AliasName') ||
      tagOf(body, 'rekey:alias') ||
      (textIn(body, 'KeyId').split('/').at(-1) ?? ''),
    resource: async (at) => {
      const { body } = at.asked
      const alias = textIn(body, 'AliasName')
      const key = textIn(body, 'KeyId') || textIn(body, 'TargetKeyId')
      const keyArn = key === '' ? null : ((await metadataOf(at, key))?.['Arn'] ?? nowhere(key))
      const arns = [
        ...(alias === '' ? [] : [`arn:aws:kms:eu-west-1:123456789012:${alias}`]),
        ...(typeof keyArn === 'string' ? [keyArn] : []),
      ]
      return arns.length === 0 ? '*' : arns
    },
    before: async (at) => {
      const { operation, body } = at.asked
      // moto knows no default.
      if (operation === 'CreateKey' && !('KeyUsage' in body))
        return { text: JSON.stringify({ ...body, KeyUsage: 'ENCRYPT_DECRYPT' }) }
      const key = textIn(body, 'KeyId') || textIn(body, 'TargetKeyId')
      if (key === '') return null
      const told = await metadataOf(at, key)
      if (told === null) return null
      const id = textIn(told, 'KeyId')
      const state = textIn(told, 'KeyState')
      const arn = textIn(told, 'Arn')
      if (uses.has(operation) && state === 'Disabled')
        return refusal(service, 'DisabledException', `${arn} is disabled.`)
      if ((uses.has(operation) || changes.has(operation)) && state === 'PendingDeletion')
        return refusal(service, 'KMSInvalidStateException', `${arn} is pending deletion.`)
      if (operation === 'ScheduleKeyDeletion') {
        const days = Number(body['PendingWindowInDays'] ?? 30)
        if (days < 7 || days > 30)
          return refusal(service, 'ValidationException', 'PendingWindowInDays is from 7 to 30')
      }
      const alias = textIn(body, 'AliasName')
      if (operation === 'UpdateAlias')
        aliasBefore.set(alias, JSON.stringify({ KeyMetadata: await readMetadata(at, alias) }))
      if (writes.has(operation)) before.set(id, JSON.stringify({ KeyMetadata: told }))
      switch (operation) {
        case 'RotateKeyOnDemand':
          return rotate(told)
        case 'ListKeyRotations':
          return rotations(id, body)
        case 'DescribeKey': {
          const led = aliasBefore.get(key)
          if (staleAlias > 0 && led !== undefined) {
            staleAlias -= 1
            return json(JSON.parse(led))
          }
          const old = before.get(id)
          if (stale > 0 && old !== undefined && !key.includes('alias/')) {
            stale -= 1
            return json(JSON.parse(old))
          }
          return json({ KeyMetadata: told })
        }
        // moto knows it by its id alone.
        case 'ScheduleKeyDeletion':
          return { text: JSON.stringify({ ...body, KeyId: id }) }
        default:
          return null
      }
    },
    after: async (at, reply) => {
      if (reply.status !== 200) return reply
      // An operation that tells nothing has an empty body.
      if (reply.text === 'null') return { ...reply, text: '' }
      const { operation, body } = at.asked
      const answer = JSON.parse(reply.text || '{}') as Body
      switch (operation) {
        // moto gives all of them at once.
        case 'ListKeys':
          return paged('Keys', answer['Keys'] as readonly unknown[], body)
        case 'ListAliases':
          return paged('Aliases', answer['Aliases'] as readonly unknown[], body)
        case 'GetKeyRotationStatus': {
          const id = textIn(body, 'KeyId').split('/').at(-1) ?? ''
          look(id)
          const { going } = heldOf(id)
          return json({
            ...answer,
            KeyId: id,
            ...(answer['KeyRotationEnabled'] === true ? { RotationPeriodInDays: 365 } : {}),
            ...(going === null ? {} : { OnDemandRotationStartDate: going.since }),
          })
        }
        case 'GenerateDataKey':
        case 'Encrypt': {
          const id = textIn(answer, 'KeyId').split('/').at(-1) ?? ''
          madeWith.set(hash(answer['CiphertextBlob']), current(id))
          // Encrypt does not say it.
          return operation === 'Encrypt' ? reply : json({ ...answer, KeyMaterialId: current(id) })
        }
        case 'ScheduleKeyDeletion': {
          const told = await metadataOf(at, textIn(body, 'KeyId'))
          const days = Number(body['PendingWindowInDays'] ?? 30)
          return json({
            ...answer,
            KeyId: textIn(told ?? {}, 'Arn'),
            KeyState: 'PendingDeletion',
            PendingWindowInDays: days,
          })
        }
        case 'CreateKey':
          return json({ KeyMetadata: putRight(answer['KeyMetadata'] as Body) })
        // moto says its id alone, and algorithms of other uses.
        case 'GetPublicKey':
        case 'GenerateMac':
        case 'VerifyMac': {
          const told = await metadataOf(at, textIn(body, 'KeyId'))
          const said = Object.entries(answer).filter(([, value]) => value !== null)
          return json({ ...Object.fromEntries(said), KeyId: textIn(told ?? {}, 'Arn') })
        }
        case 'Decrypt': {
          const material = madeWith.get(hash(body['CiphertextBlob']))
          return material === undefined ? reply : json({ ...answer, KeyMaterialId: material })
        }
        default:
          return reply
      }
    },
  }
}

/** moto names algorithms of other uses than the key's, and none of a MAC. */
const putRight = (metadata: Body): Body => {
  const { EncryptionAlgorithms: encryption, SigningAlgorithms: signing, ...rest } = metadata
  const mac = /^HMAC_(\d+)$/.exec(textIn(metadata, 'KeySpec'))?.[1]
  return {
    ...rest,
    MultiRegion: metadata['MultiRegion'] === true,
    ...(metadata['KeyUsage'] === 'ENCRYPT_DECRYPT' ? { EncryptionAlgorithms: encryption } : {}),
    ...(metadata['KeyUsage'] === 'SIGN_VERIFY' ? { SigningAlgorithms: signing } : {}),
    ...(mac === undefined ? {} : { MacAlgorithms: [`HMAC_SHA_${mac}`] }),
  }
}

const tagOf = ({ Tags: tags }: Body, name: string): string => {
  const found = (Array.isArray(tags) ? tags : []).find((tag) => Object(tag)['TagKey'] === name)
  return textIn(Object(found) as Body, 'TagValue')
}

const paged = (name: string, all: readonly unknown[], body: Body): Reply => {
  const from = Number(body['Marker'] ?? 0)
  const size = Number(body['Limit'] ?? 100)
  const more = from + size < all.length
  return json({
    [name]: all.slice(from, from + size),
    Truncated: more,
    ...(more ? { NextMarker: String(from + size) } : {}),
  })
}

const newMaterial = (type: Material['type']): Material => ({
  id: randomBytes(32).toString('hex'),
  type,
  date: type === null ? null : seconds(),
})

const seconds = (): number => Date.now() / 1000

const hash = (of: unknown): string => createHash('sha256').update(String(of)).digest('hex')

/** An alias that leads nowhere is not found, whatever the rights say of aliases. */
const nowhere = (key: string): string =>
  key.startsWith('arn:')
    ? key
    : `arn:aws:kms:eu-west-1:123456789012:key/${key.replace(/^alias\//, '')}`
