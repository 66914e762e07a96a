// What the connection can see, a page of Key Vault's for a page of ours.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type InventoryItem } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { collectionOf, objectIdOf } from './refs.ts'
import { rides } from './transport.ts'

const pageSize = 25

interface Page {
  readonly items: readonly InventoryItem[]
  readonly next: string | null
}

export const inventory = async (
  azure: Azure,
  settings: JsonObject,
  type: string,
  cursor: string | null,
  call: Call,
): Promise<Page> => {
  const list = lists[type]
  if (list === undefined)
    throw new ProviderError('unsupported', 'none', 'the azure provider has no such key type')
  const token = cursor === null ? null : decode(azure, type, cursor)
  const { named, next } = await list(azure, token, call)
  return {
    items: named.map(({ name, facts }) => {
      const ref = { name }
      return { type, ref, objectId: objectIdOf(type, { settings, ref }), facts }
    }),
    next: next === null ? null : encode(next),
  }
}

interface Listed {
  readonly named: readonly { readonly name: string; readonly facts: JsonObject }[]
  readonly next: string | null
}

type List = (azure: Azure, token: string | null, call: Call) => Promise<Listed>

interface Pages<T> {
  byPage(at: { maxPageSize: number; continuationToken?: string }): AsyncIterableIterator<T[]>
}

const pageOf = async <T>(
  pages: Pages<T>,
  token: string | null,
): Promise<{ readonly rows: readonly T[]; readonly next: string | null }> => {
  const walk = pages.byPage({
    maxPageSize: pageSize,
    ...(token === null ? {} : { continuationToken: token }),
  })
  const page = await walk.next()
  return { rows: page.done === true ? [] : page.value, next: rides.getStore()?.nextLink ?? null }
}

const secrets: List = (azure, token, call) =>
  azure.read(
    {
      client: 'secrets',
      action: 'secrets/readMetadata/action',
      scope: '/',
      send: async (client, options) => {
        const { rows, next } = await pageOf(client.listPropertiesOfSecrets(options), token)
        const named = rows
          // A certificate's private key is rotated with the certificate.
          .filter(({ managed }) => managed !== true)
          .map(({ name, enabled }) => ({ name, facts: { enabled: enabled !== false } }))
        return { named, next }
      },
    },
    call,
  )

const keys: List = (azure, token, call) =>
  azure.read(
    {
      client: 'keys',
      action: 'keys/read',
      scope: '/',
      send: async (client, options) => {
        const { rows, next } = await pageOf(client.listPropertiesOfKeys(options), token)
        const named = rows
          .filter(({ managed }) => managed !== true)
          .map(({ name, enabled }) => ({ name, facts: { enabled: enabled !== false } }))
        return { named, next }
      },
    },
    call,
  )

const certificates: List = (azure, token, call) =>
  azure.read(
    {
      client: 'certificates',
      action: 'certificates/read',
      scope: '/',
      send: async (client, options) => {
        const { rows, next } = await pageOf(client.listPropertiesOfCertificates(options), token)
        const named = rows.flatMap(({ name, enabled, expiresOn }) =>
          name === undefined
            ? []
            : [
                {
                  name,
                  facts: {
                    enabled: enabled !== false,
                    ...(expiresOn === undefined ? {} : { expiresAt: expiresOn.toISOString() }),
                  },
                },
              ],
        )
        return { named, next }
      },
    },
    call,
  )

const lists: Readonly<Record<string, List>> = {
  'azure.keyvault.secret': secrets,
  'azure.keyvault.key': keys,
  'azure.keyvault.certificate': certificates,
}

const encode = (token: string): string =>
  Buffer.from(JSON.stringify({ token })).toString('base64url')

/** The SDK goes where the token says, with the connection's rights: it must be of this list, and not, say, a secret's value. */
const decode = ({ settings }: Azure, type: string, cursor: string): string => {
  try {
    const { token } = Object(JSON.parse(Buffer.from(cursor, 'base64url').toString())) as {
      readonly token?: unknown
    }
    const at = typeof token === 'string' ? URL.parse(token) : null
    const isOfList =
      at?.origin === new URL(settings.vaultUrl).origin &&
      at.pathname.replace(/\/$/, '') === `/${collectionOf(type)}`
    if (typeof token === 'string' && isOfList) return token
  } catch {
    // Falls through: not one of ours.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
