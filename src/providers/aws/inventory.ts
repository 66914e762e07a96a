// What the connection can see, a page of AWS's for a page of ours.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type InventoryItem } from '#domain/provider.ts'
import { kmsAliasObjectId } from './kms-alias-ref.ts'
import { readKmsKey, type KmsKey } from './kms-read.ts'
import { kmsKeyArn, kmsKeyObjectId } from './kms-ref.ts'
import { secretObjectId } from './secret-ref.ts'
import type { Aws } from './session.ts'
import { userObjectId } from './user-ref.ts'

const pageSize = 50

interface Page {
  readonly items: readonly InventoryItem[]
  readonly next: string | null
}

export const inventory = async (
  aws: Aws,
  settings: JsonObject,
  type: string,
  cursor: string | null,
  call: Call,
): Promise<Page> => {
  const list = lists[type]
  if (list === undefined)
    throw new ProviderError('unsupported', 'none', 'the aws provider has no such key type')
  const { items, next } = await list(aws, settings, cursor === null ? null : decode(cursor), call)
  return { items, next: next === null ? null : encode(next) }
}

type List = (aws: Aws, settings: JsonObject, token: string | null, call: Call) => Promise<Page>

const secrets: List = async (aws, settings, token, call) => {
  const page = await aws.read(
    'secretsmanager',
    '*',
    (client, options) =>
      client.listSecrets(
        { MaxResults: pageSize, ...(token === null ? {} : { NextToken: token }) },
        options,
      ),
    call,
  )
  const items = (page.SecretList ?? []).flatMap(({ Name, RotationEnabled, OwningService }) => {
    if (Name === undefined) return []
    const ref = { secretId: Name }
    return [
      {
        type: 'aws.secretsmanager.secret',
        ref,
        objectId: secretObjectId(settings, ref),
        facts: {
          rotatesByItself: RotationEnabled === true,
          ...(OwningService === undefined ? {} : { managedBy: OwningService }),
        },
      },
    ]
  })
  return { items, next: page.NextToken ?? null }
}

/** Users, whether they have a key or not: IAM would have to be asked about each. */
const users: List = async (aws, settings, token, call) => {
  const page = await aws.read(
    'iam',
    '*',
    (iam, options) =>
      iam.listUsers({ MaxItems: pageSize, ...(token === null ? {} : { Marker: token }) }, options),
    call,
  )
  const items = (page.Users ?? []).flatMap(({ UserName, Path, CreateDate }) => {
    if (UserName === undefined) return []
    const ref = { userName: UserName }
    return [
      {
        type: 'aws.iam.accessKey',
        ref,
        objectId: userObjectId(settings, ref),
        facts: { path: Path ?? '/', createdAt: CreateDate?.toISOString() ?? null },
      },
    ]
  })
  return { items, next: page.IsTruncated === true ? (page.Marker ?? null) : null }
}

/** Those that can be rotated in place. KMS lists ids alone, so each is asked about, some at once. */
const symmetricKeys: List = async (aws, settings, token, call) => {
  const page = await aws.read(
    'kms',
    '*',
    (kms, options) =>
      kms.listKeys({ Limit: pageSize, ...(token === null ? {} : { Marker: token }) }, options),
    call,
  )
  const ids = (page.Keys ?? []).flatMap(({ KeyId }) => KeyId ?? [])
  const found: (KmsKey | null)[] = []
  for (let n = 0; n < ids.length; n += atOnce)
    found.push(
      // oxlint-disable-next-line no-await-in-loop -- KMS counts requests
      ...(await Promise.all(ids.slice(n, n + atOnce).map((id) => visibleKey(aws, id, call)))),
    )
  const items = found.flatMap((key) => {
    if (key === null || key.ofAws || key.material === null || key.origin !== 'AWS_KMS') return []
    const ref = { keyId: key.id }
    return [
      {
        type: 'aws.kms.symmetric',
        ref,
        objectId: kmsKeyObjectId(settings, ref),
        facts: { state: key.state, description: key.description, multiRegion: key.region },
      },
    ]
  })
  return { items, next: page.Truncated === true ? (page.NextMarker ?? null) : null }
}
const atOnce = 10

/** The policy of a key may hide it from the connection. */
const visibleKey = async (aws: Aws, id: string, call: Call): Promise<KmsKey | null> => {
  try {
    return await readKmsKey(aws, { id, arn: kmsKeyArn(aws.settings, id) }, call)
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'forbidden') return null
    throw error
  }
}

const aliases: List = async (aws, settings, token, call) => {
  const page = await aws.read(
    'kms',
    '*',
    (kms, options) =>
      kms.listAliases({ Limit: pageSize, ...(token === null ? {} : { Marker: token }) }, options),
    call,
  )
  const items = (page.Aliases ?? []).flatMap(({ AliasName: alias = '', TargetKeyId }) => {
    // AWS's own, those that lead nowhere, and those that Rekey keeps beside its own.
    if (TargetKeyId === undefined || /^alias\/aws\/|-(?:previous|next)$/.test(alias)) return []
    const ref = { alias }
    const objectId = kmsAliasObjectId(settings, ref)
    return [{ type: 'aws.kms.alias', ref, objectId, facts: { keyId: TargetKeyId } }]
  })
  return { items, next: page.Truncated === true ? (page.NextMarker ?? null) : null }
}

const lists: Readonly<Record<string, List>> = {
  'aws.kms.alias': aliases,
  'aws.kms.symmetric': symmetricKeys,
  'aws.secretsmanager.secret': secrets,
  'aws.iam.accessKey': users,
}

const encode = (token: string): string =>
  Buffer.from(JSON.stringify({ token })).toString('base64url')

const decode = (cursor: string): string => {
  try {
    const { token } = Object(JSON.parse(Buffer.from(cursor, 'base64url').toString())) as {
      readonly token?: unknown
    }
    if (typeof token === 'string' && token !== '') return token
  } catch {
    // Falls through: not one of ours.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
