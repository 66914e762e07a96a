// Secrets of Key Vault: the routes of secrets.json of the specification that a rotation can need.

import type { JsonObject } from '#domain/json.ts'
import { listRoutes, newestOf, softDeleteRoutes } from './shelf-routes.ts'
import { makeShelf, type Windows } from './shelf.ts'
import {
  attributesOf,
  badParameter,
  isName,
  newAttributes,
  only,
  Refused,
  setAttributes,
  tagsIn,
  type Asked,
  type Attributes,
  type Reply,
} from './wire.ts'
import type { Route } from './routes.ts'

export interface SecretVersion {
  /** Null: of a certificate; it is made from that. */
  readonly value: string
  contentType: string | null
  readonly attributes: Attributes
  tags: Readonly<Record<string, string>>
  /** The key of the certificate that it belongs to. */
  readonly kid: string | null
}

export const makeSecrets = (windows: Windows) => {
  const shelf = makeShelf<SecretVersion>('Secret', windows)

  const itemOf = (
    base: string,
    name: string,
    id: string | null,
    at: SecretVersion,
  ): JsonObject => ({
    id: `${base}/secrets/${name}${id === null ? '' : `/${id}`}`,
    attributes: attributesOf(at.attributes),
    ...(Object.keys(at.tags).length === 0 ? {} : { tags: { ...at.tags } }),
    ...(at.contentType === null ? {} : { contentType: at.contentType }),
    ...(at.kid === null ? {} : { kid: at.kid, managed: true }),
  })
  const set = ({ base, body, path: [, name = ''] }: Asked): Reply => {
    if (!isName(name)) throw badParameter('The request URI contains an invalid name')
    only(body, 'value', 'contentType', 'attributes', 'tags')
    const { value, contentType } = body
    if (typeof value !== 'string') throw badParameter('Property value is required')
    if (value.length > 25_600) throw badParameter('The secret value is too long')
    const before = shelf.find(name)
    if (before !== undefined && newestOf(before).value.kid !== null)
      throw new Refused(409, 'Conflict', 'The secret is managed by a certificate.')
    const at: SecretVersion = {
      value,
      contentType: typeof contentType === 'string' ? contentType : null,
      attributes: newAttributes(body['attributes']),
      tags: tagsIn(body['tags']),
      kid: null,
    }
    const previous = before === undefined ? {} : { previousVersion: newestOf(before).id }
    const id = shelf.add(name, at)
    return { status: 200, body: { value, ...itemOf(base, name, id, at), ...previous } }
  }

  const get = ({ base, path: [, name = '', id = ''] }: Asked): Reply => {
    const found = shelf.version(name, id)
    if (!found.value.attributes.enabled)
      throw new Refused(403, 'Forbidden', 'Operation get is not allowed on a disabled secret.', {
        inner: 'SecretDisabled',
      })
    const { value } = found
    return {
      status: 200,
      body: { value: value.value, ...itemOf(base, shelf.get(name).name, found.id, value) },
    }
  }

  const update = ({ base, body, path: [, name = '', id = ''] }: Asked): Reply => {
    only(body, 'contentType', 'attributes', 'tags')
    const found = shelf.version(name, id)
    const { value } = found
    setAttributes(value.attributes, body['attributes'])
    if (body['tags'] !== undefined) value.tags = tagsIn(body['tags'])
    if (typeof body['contentType'] === 'string') value.contentType = body['contentType']
    return { status: 200, body: itemOf(base, shelf.get(name).name, found.id, value) }
  }

  const routes: readonly Route[] = [
    ...listRoutes('secrets', 'secrets/readMetadata/action', shelf, itemOf),
    {
      method: 'GET',
      path: /^secrets\/[^/]+(\/[^/]*)?$/,
      action: 'secrets/getSecret/action',
      run: get,
    },
    {
      method: 'PUT',
      path: /^secrets\/[^/]+$/,
      action: 'secrets/setSecret/action',
      changes: true,
      run: set,
    },
    {
      method: 'PATCH',
      path: /^secrets\/[^/]+\/[^/]*$/,
      action: 'secrets/update/action',
      changes: true,
      run: update,
    },
    ...softDeleteRoutes('secrets', 'secrets/readMetadata/action', shelf, itemOf),
  ]
  return { shelf, routes }
}
