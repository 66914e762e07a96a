// Keys of Key Vault and of managed HSMs: the routes of keys.json of the specification that a rotation can need.

import type { JsonObject } from '#domain/json.ts'
import {
  decryptWith,
  encryptWith,
  newPair,
  publicJwk,
  signDigest,
  verifyDigest,
  type Pair,
} from './crypto.ts'
import type { Route } from './routes.ts'
import { listRoutes, newestOf, softDeleteRoutes } from './shelf-routes.ts'
import { makeShelf, type Windows } from './shelf.ts'
import {
  attributesOf,
  badParameter,
  isName,
  newAttributes,
  objectIn,
  only,
  Refused,
  seconds,
  setAttributes,
  tagsIn,
  type Asked,
  type Attributes,
  type Reply,
} from './wire.ts'

export interface KeyVersion {
  readonly pair: Pair
  operations: readonly string[]
  readonly attributes: Attributes
  tags: Readonly<Record<string, string>>
  /** Of a certificate. */
  readonly managed: boolean
}

const operationsOf = (kty: string): readonly string[] =>
  kty.startsWith('RSA')
    ? ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey']
    : ['sign', 'verify']

export const makeKeys = (windows: Windows, { hsm }: { readonly hsm: boolean }) => {
  const shelf = makeShelf<KeyVersion>('Key', windows)
  const policies = new Map<string, JsonObject>()

  const common = ({ attributes, tags, managed }: KeyVersion): JsonObject => ({
    attributes: attributesOf(attributes),
    ...(Object.keys(tags).length === 0 ? {} : { tags: { ...tags } }),
    ...(managed ? { managed } : {}),
  })
  const bundle = (base: string, name: string, id: string, at: KeyVersion): JsonObject => ({
    key: { kid: `${base}/keys/${name}/${id}`, key_ops: [...at.operations], ...publicJwk(at.pair) },
    ...common(at),
  })
  const itemOf = (base: string, name: string, id: string | null, at: KeyVersion): JsonObject => ({
    kid: `${base}/keys/${name}${id === null ? '' : `/${id}`}`,
    ...common(at),
  })

  const operationsIn = (given: unknown, kty: string): readonly string[] => {
    if (given === undefined) return operationsOf(kty)
    const list = Array.isArray(given) ? (given as readonly string[]) : []
    if (list.some((one) => !operationsOf(kty).includes(one))) throw badParameter('key_ops')
    return list
  }

  const create = ({ base, body, path: [, name = ''] }: Asked): Reply => {
    if (!isName(name)) throw badParameter('The request URI contains an invalid name')
    only(body, 'kty', 'key_size', 'key_ops', 'attributes', 'tags', 'crv')
    const { kty, key_size: size = 2048, crv = 'P-256' } = body
    if (typeof kty !== 'string' || (hsm && !kty.endsWith('-HSM')))
      throw badParameter('kty is not known')
    const before = shelf.find(name)
    if (before !== undefined && newestOf(before).value.managed)
      throw new Refused(409, 'Conflict', 'The key is managed by a certificate.')
    shelf.mustBeFree(name)
    const at: KeyVersion = {
      pair: newPair(kty, Number(size), typeof crv === 'string' ? crv : ''),
      operations: operationsIn(body['key_ops'], kty),
      attributes: newAttributes(body['attributes']),
      tags: tagsIn(body['tags']),
      managed: false,
    }
    const id = shelf.add(name, at)
    return { status: 200, body: bundle(base, shelf.get(name).name, id, at) }
  }

  /** As the version before, and without its tags' meaning: Key Vault copies them. */
  const rotate = ({ base, path: [, name = ''] }: Asked): Reply => {
    const { value: before } = newestOf(shelf.get(name))
    const { pair } = before
    const size = pair.privateKey.asymmetricKeyDetails?.modulusLength ?? 0
    const at: KeyVersion = {
      pair: newPair(pair.kty, size, pair.crv ?? ''),
      operations: before.operations,
      attributes: newAttributes(undefined),
      tags: before.tags,
      managed: false,
    }
    const id = shelf.add(name, at)
    return { status: 200, body: bundle(base, shelf.get(name).name, id, at) }
  }

  const mustBeEnabled = ({ attributes }: KeyVersion, operation: string): void => {
    if (!attributes.enabled)
      throw new Refused(
        403,
        'Forbidden',
        `Operation ${operation} is not allowed on a disabled key.`,
        {
          inner: 'KeyDisabled',
        },
      )
  }

  const get = ({ base, path: [, name = '', id = ''] }: Asked): Reply => {
    const found = shelf.version(name, id)
    mustBeEnabled(found.value, 'get')
    return { status: 200, body: bundle(base, shelf.get(name).name, found.id, found.value) }
  }

  const update = ({ base, body, path: [, name = '', id = ''] }: Asked): Reply => {
    only(body, 'key_ops', 'attributes', 'tags')
    const { id: version, value } = shelf.version(name, id)
    if (body['key_ops'] !== undefined)
      value.operations = operationsIn(body['key_ops'], value.pair.kty)
    setAttributes(value.attributes, body['attributes'])
    if (body['tags'] !== undefined) value.tags = tagsIn(body['tags'])
    return { status: 200, body: bundle(base, shelf.get(name).name, version, value) }
  }

  const use =
    (operation: string, run: (pair: Pair, body: JsonObject) => JsonObject) =>
    ({ base, body, path: [, name = '', id = ''] }: Asked): Reply => {
      const { id: version, value } = shelf.version(name, id)
      mustBeEnabled(value, operation)
      const { nbf = 0, exp = Infinity } = value.attributes
      const readsOnly = ['decrypt', 'unwrapKey', 'verify'].includes(operation)
      if (!readsOnly && (seconds() < nbf || seconds() >= exp))
        throw new Refused(403, 'Forbidden', `Operation ${operation} is not allowed now.`, {
          inner: seconds() < nbf ? 'KeyNotYetValid' : 'KeyExpired',
        })
      if (!value.operations.includes(operation))
        throw new Refused(
          403,
          'Forbidden',
          `Operation ${operation} is not permitted on this key.`,
          {
            inner: 'KeyOperationForbidden',
          },
        )
      const kid = `${base}/keys/${shelf.get(name).name}/${version}`
      return { status: 200, body: { kid, ...run(value.pair, body) } }
    }
  const text = (body: JsonObject, name: string): string => {
    const value = body[name]
    if (typeof value !== 'string') throw badParameter(`Property ${name} is required`)
    return value
  }
  const bytes = (body: JsonObject, name = 'value'): Buffer =>
    Buffer.from(text(body, name), 'base64url')
  const told = (value: Buffer): JsonObject => ({ value: value.toString('base64url') })

  const crypto = (
    path: string,
    operation: string,
    run: (pair: Pair, alg: string, body: JsonObject) => JsonObject,
  ): Route => ({
    method: 'POST',
    path: new RegExp(`^keys/[^/]+/[^/]*/${path}$`),
    action: `keys/${path.replace('key', '')}/action`,
    run: use(operation, (pair, body) => run(pair, text(body, 'alg'), body)),
  })
  const encrypts = (pair: Pair, alg: string, body: JsonObject): JsonObject =>
    told(encryptWith(pair, alg, bytes(body)))
  const decrypts = (pair: Pair, alg: string, body: JsonObject): JsonObject =>
    told(decryptWith(pair, alg, bytes(body)))

  const policyOf = (base: string, name: string): JsonObject => ({
    id: `${base}/keys/${shelf.get(name).name}/rotationpolicy`,
    ...(policies.get(name.toLowerCase()) ?? {
      lifetimeActions: [{ trigger: { timeBeforeExpiry: 'P30D' }, action: { type: 'Notify' } }],
      attributes: {},
    }),
  })

  const routes: readonly Route[] = [
    ...listRoutes('keys', 'keys/read', shelf, itemOf),
    {
      method: 'GET',
      path: /^keys\/[^/]+\/rotationpolicy$/,
      action: 'keyrotationpolicies/read',
      run: ({ base, path: [, name = ''] }) => ({ status: 200, body: policyOf(base, name) }),
    },
    {
      method: 'PUT',
      path: /^keys\/[^/]+\/rotationpolicy$/,
      action: 'keyrotationpolicies/write',
      changes: true,
      run: ({ base, body, path: [, name = ''] }) => {
        only(body, 'lifetimeActions', 'attributes', 'id')
        const attributes = {
          ...objectIn(body['attributes']),
          created: seconds(),
          updated: seconds(),
        }
        policies.set(name.toLowerCase(), { ...body, attributes })
        return { status: 200, body: policyOf(base, name) }
      },
    },
    { method: 'GET', path: /^keys\/[^/]+(\/[^/]*)?$/, action: 'keys/read', run: get },
    {
      method: 'POST',
      path: /^keys\/[^/]+\/create$/,
      action: 'keys/create/action',
      changes: true,
      run: create,
    },
    {
      method: 'POST',
      path: /^keys\/[^/]+\/rotate$/,
      action: 'keys/rotate/action',
      changes: true,
      run: rotate,
    },
    {
      method: 'PATCH',
      path: /^keys\/[^/]+\/[^/]*$/,
      action: 'keys/update/action',
      changes: true,
      run: update,
    },
    crypto('sign', 'sign', (pair, alg, body) => told(signDigest(pair, alg, bytes(body)))),
    crypto('verify', 'verify', (pair, alg, body) => ({
      value: verifyDigest(pair, alg, bytes(body, 'digest'), bytes(body)),
    })),
    crypto('encrypt', 'encrypt', encrypts),
    crypto('decrypt', 'decrypt', decrypts),
    crypto('wrapkey', 'wrapKey', encrypts),
    crypto('unwrapkey', 'unwrapKey', decrypts),
    ...softDeleteRoutes('keys', 'keys/read', shelf, bundle),
  ]
  return { shelf, routes }
}
