// Certificates of Key Vault: the routes of certificates.json of the specification that a rotation can need. A version comes of
// a pending operation, when its issuer has issued it; its key and its secret have the same version, and are switched with it.

import { randomUUID } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import { newPair, type Pair } from './crypto.ts'
import { certificateRequest, selfSigned } from './der.ts'
import type { makeKeys } from './keys.ts'
import type { Route } from './routes.ts'
import type { makeSecrets } from './secrets.ts'
import { listRoutes } from './shelf-routes.ts'
import { makeShelf, newVersionId, type Windows } from './shelf.ts'
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

export interface CertificateVersion {
  readonly der: Buffer
  readonly thumbprint: Buffer
  readonly attributes: Attributes
  tags: Readonly<Record<string, string>>
}

interface Operation {
  readonly name: string
  readonly requestId: string
  readonly csr: Buffer
  readonly pair: Pair
  readonly commonName: string
  readonly months: number
  readonly issuer: string
  readonly tags: Readonly<Record<string, string>>
  readyAt: number
  /** What becomes of it at that time. */
  readonly ends: 'completed' | 'failed'
  status: 'inProgress' | 'completed' | 'failed'
}

export interface Issuing {
  /** How long it takes an issuer, unless it is told to end (`issueNow`). */
  ms: number
  fails: boolean
}

export const makeCertificates = (
  windows: Windows,
  keys: ReturnType<typeof makeKeys>,
  secrets: ReturnType<typeof makeSecrets>,
) => {
  const shelf = makeShelf<CertificateVersion>('Certificate', windows)
  const operations = new Map<string, Operation>()
  const policies = new Map<string, JsonObject>()
  const issuing: Issuing = { ms: 0, fails: false }
  const keyOf = (name: string): string => name.toLowerCase()

  const itemOf = (
    base: string,
    name: string,
    id: string | null,
    { attributes, tags, thumbprint }: CertificateVersion,
  ): JsonObject => ({
    id: `${base}/certificates/${name}${id === null ? '' : `/${id}`}`,
    x5t: thumbprint.toString('base64url'),
    attributes: attributesOf(attributes),
    ...(Object.keys(tags).length === 0 ? {} : { tags: { ...tags } }),
  })
  const bundle = (base: string, name: string, id: string, at: CertificateVersion): JsonObject => ({
    ...itemOf(base, name, id, at),
    kid: `${base}/keys/${name}/${id}`,
    sid: `${base}/secrets/${name}/${id}`,
    cer: at.der.toString('base64'),
  })
  const policyOf = (base: string, name: string): JsonObject => {
    const policy = policies.get(keyOf(name))
    if (policy === undefined)
      throw new Refused(404, 'CertificateNotFound', 'there is no such policy')
    return { id: `${base}/certificates/${name}/policy`, ...policy }
  }
  const operationOf = (base: string, name: string, at: Operation): JsonObject => ({
    id: `${base}/certificates/${name}/pending`,
    issuer: { name: at.issuer },
    csr: at.csr.toString('base64'),
    cancellation_requested: false,
    status: at.status,
    request_id: at.requestId,
    ...(at.status === 'completed' ? { target: `${base}/certificates/${name}` } : {}),
    ...(at.status === 'failed'
      ? { error: { code: 'CertificateRequestFailed', message: 'the issuer does not want to' } }
      : {}),
  })

  /** What issuers have done since it was last looked at. */
  const settle = (): void => {
    for (const at of operations.values()) {
      if (at.status !== 'inProgress' || at.readyAt > Date.now()) continue
      at.status = at.ends
      if (at.ends === 'completed') issue(at)
    }
  }
  const issue = ({ name, pair, commonName, months, tags }: Operation): void => {
    const id = newVersionId()
    const made = selfSigned({ key: pair.privateKey, commonName, days: months * 30 })
    const attributes: Attributes = {
      ...newAttributes(undefined),
      nbf: Math.floor(made.notBefore.getTime() / 1000),
      exp: Math.floor(made.notAfter.getTime() / 1000),
    }
    shelf.add(name, { der: made.der, thumbprint: made.thumbprint, attributes, tags }, id)
    keys.shelf.add(
      name,
      {
        pair,
        operations: pair.kty.startsWith('RSA')
          ? ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey']
          : ['sign', 'verify'],
        // One and the same: switched off with the certificate.
        attributes,
        tags,
        managed: true,
      },
      id,
    )
    const value = `${pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()}${made.pem}`
    const contentType = 'application/x-pem-file'
    secrets.shelf.add(name, { value, contentType, attributes, tags, kid: `keys/${name}/${id}` }, id)
  }

  const text = (of: JsonObject, name: string): string => {
    const value = of[name]
    return typeof value === 'string' ? value : ''
  }

  const create = ({ base, body, path: [, name = ''] }: Asked): Reply => {
    if (!isName(name)) throw badParameter('The request URI contains an invalid name')
    only(body, 'policy', 'attributes', 'tags', 'preserveCertOrder')
    const policy = policyIn(body['policy'])
    const keyProps = objectIn(policy['key_props'])
    const x509 = objectIn(policy['x509_props'])
    const issuer = text(objectIn(policy['issuer']), 'name')
    if (issuer === '') throw badParameter('issuer.name is required')
    const commonName = /CN=([^,]+)/.exec(text(x509, 'subject'))?.[1]
    if (commonName === undefined) throw badParameter('x509_props.subject is required')
    const pair = newPair(
      text(keyProps, 'kty'),
      Number(keyProps['key_size'] ?? 2048),
      text(keyProps, 'crv') || 'P-256',
    )
    shelf.mustBeFree(name)
    if (operations.get(keyOf(name))?.status === 'inProgress')
      throw new Refused(409, 'Conflict', 'A certificate of this name is pending.')
    const months = Number(x509['validity_months'] ?? 12)
    const times = { created: seconds(), updated: seconds(), enabled: true }
    policies.set(keyOf(name), { ...policy, attributes: times })
    const operation: Operation = {
      name,
      requestId: randomUUID().replaceAll('-', ''),
      csr: certificateRequest({ key: pair.privateKey, commonName }),
      pair,
      commonName,
      months,
      issuer,
      tags: tagsIn(body['tags']),
      // Of an issuer that it does not know, it waits for a person.
      readyAt: issuer === 'Unknown' ? Infinity : Date.now() + issuing.ms,
      ends: issuing.fails ? 'failed' : 'completed',
      status: 'inProgress',
    }
    operations.set(keyOf(name), operation)
    return { status: 202, body: operationOf(base, name, operation) }
  }

  const policyIn = (given: unknown): JsonObject => {
    const policy = objectIn(given as JsonObject)
    only(
      policy,
      'id',
      'key_props',
      'secret_props',
      'x509_props',
      'lifetime_actions',
      'issuer',
      'attributes',
    )
    return policy
  }

  const get = ({ base, path: [, name = '', id = ''] }: Asked): Reply => {
    const found = shelf.version(name, id)
    const certificate = bundle(base, shelf.get(name).name, found.id, found.value)
    return { status: 200, body: { ...certificate, policy: policyOf(base, name) } }
  }

  const update = ({ base, body, path: [, name = '', id = ''] }: Asked): Reply => {
    only(body, 'attributes', 'tags', 'policy')
    const { id: version, value } = shelf.version(name, id)
    setAttributes(value.attributes, body['attributes'])
    if (body['tags'] !== undefined) value.tags = tagsIn(body['tags'])
    return { status: 200, body: bundle(base, shelf.get(name).name, version, value) }
  }

  const pending = ({ base, path: [, name = ''] }: Asked): Reply => {
    const found = operations.get(keyOf(name))
    if (found === undefined)
      throw new Refused(404, 'PendingCertificateNotFound', `Pending certificate not found: ${name}`)
    return { status: 200, body: operationOf(base, name, found) }
  }

  const routes: readonly Route[] = [
    ...listRoutes('certificates', 'certificates/read', shelf, itemOf),
    {
      method: 'GET',
      path: /^certificates\/[^/]+\/policy$/,
      action: 'certificates/read',
      run: ({ base, path: [, name = ''] }) => ({ status: 200, body: policyOf(base, name) }),
    },
    {
      method: 'PATCH',
      path: /^certificates\/[^/]+\/policy$/,
      action: 'certificates/update/action',
      changes: true,
      run: ({ base, body, path: [, name = ''] }) => {
        const times = { created: seconds(), updated: seconds(), enabled: true }
        policies.set(keyOf(name), {
          ...policies.get(keyOf(name)),
          ...policyIn(body),
          attributes: times,
        })
        return { status: 200, body: policyOf(base, name) }
      },
    },
    {
      method: 'GET',
      path: /^certificates\/[^/]+\/pending$/,
      action: 'certificates/read',
      run: pending,
    },
    {
      method: 'POST',
      path: /^certificates\/[^/]+\/create$/,
      action: 'certificates/create/action',
      changes: true,
      run: create,
    },
    {
      method: 'GET',
      path: /^certificates\/[^/]+(\/[^/]*)?$/,
      action: 'certificates/read',
      run: get,
    },
    {
      method: 'PATCH',
      path: /^certificates\/[^/]+\/[^/]*$/,
      action: 'certificates/update/action',
      changes: true,
      run: update,
    },
  ]
  const issueNow = (name: string): void => {
    const found = operations.get(keyOf(name))
    if (found === undefined) throw new TypeError('nothing is pending')
    found.readyAt = 0
    settle()
  }
  return { shelf, routes, settle, issueNow, issuing, create }
}
