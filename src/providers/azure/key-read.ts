import type { JsonWebKey, KeyOperation, KeyProperties, KeyVaultKey } from '@azure/keyvault-keys'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { allVersions, oneVersion, rowOf, type Looks, type VersionRow } from './versions.ts'

export interface KeyRow extends VersionRow {
  /** It belongs to a certificate, and is made by nobody else. */
  readonly managed: boolean
  readonly exportable: boolean
  /** Lists do not tell them. */
  readonly operations: readonly KeyOperation[]
}

const looks = (azure: Azure, name: string, call: Call): Looks<KeyRow> => ({
  one: async (version) => {
    const { properties, keyOperations = [] } = await getKey(azure, name, version, call)
    return keyRow(properties, keyOperations)
  },
  list: () =>
    azure.read(
      {
        client: 'keys',
        action: 'keys/read',
        scope: `/keys/${name}`,
        send: async (keys, options) => {
          const rows: KeyRow[] = []
          for await (const properties of keys.listPropertiesOfKeyVersions(name, options))
            rows.push(keyRow(properties, []))
          return rows
        },
      },
      call,
    ),
})

const keyRow = (properties: KeyProperties, operations: readonly KeyOperation[]): KeyRow => ({
  ...rowOf(properties),
  managed: properties.managed === true,
  exportable: properties.exportable === true,
  operations,
})

const getKey = (
  azure: Azure,
  name: string,
  version: string | null,
  call: Call,
): Promise<KeyVaultKey> =>
  azure.read(
    {
      client: 'keys',
      action: 'keys/read',
      scope: `/keys/${name}`,
      send: (keys, options) =>
        keys.getKey(name, version === null ? options : { ...options, version }),
    },
    call,
  )

/** Empty: there is no such key. Key Vault lists in no order. */
export const readKeyVersions = (
  azure: Azure,
  name: string,
  call: Call,
  seen?: KeyRow,
): Promise<readonly KeyRow[]> => allVersions(looks(azure, name, call), seen)

/** Null: there is no such version. */
export const readKeyVersion = (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<KeyRow | null> => oneVersion(looks(azure, name, call), version)

export interface HeldKey {
  readonly id: string
  readonly kty: string
  readonly jwk: JsonWebKey
  readonly operations: readonly string[]
  readonly row: KeyRow
}

/** Null where it is disabled, or is not there. Without a version: what versionless callers get. */
export const readKey = async (
  azure: Azure,
  name: string,
  version: string | null,
  call: Call,
): Promise<HeldKey | null> => {
  try {
    const key = await getKey(azure, name, version, call)
    return key.properties.enabled === false ? null : heldOf(key)
  } catch (error) {
    if (error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind)) return null
    throw error
  }
}

const heldOf = ({
  key: jwk = {},
  keyType,
  keyOperations: operations = [],
  properties,
}: KeyVaultKey): HeldKey => ({
  id: properties.version ?? '',
  kty: keyType ?? jwk.kty ?? '',
  jwk,
  operations,
  row: keyRow(properties, operations),
})

/** How often Key Vault rotates the key by itself, in seconds: 0 for never, null where it is not told. */
export const readAutoRotation = async (
  azure: Azure,
  name: string,
  call: Call,
): Promise<number | null> => {
  try {
    const { lifetimeActions = [], expiresIn } = await azure.read(
      {
        client: 'keys',
        action: 'keyrotationpolicies/read',
        scope: `/keys/${name}`,
        send: (keys, options) => keys.getKeyRotationPolicy(name, options),
      },
      call,
    )
    const rotates = lifetimeActions.find(({ action }) => action === 'Rotate')
    if (rotates === undefined) return 0
    const { timeAfterCreate, timeBeforeExpiry } = rotates
    const days =
      timeAfterCreate === undefined
        ? daysIn(expiresIn) - daysIn(timeBeforeExpiry)
        : daysIn(timeAfterCreate)
    return Math.max(1, days) * 86_400
  } catch (error) {
    if (error instanceof ProviderError && ['forbidden', 'notFound'].includes(error.kind))
      return null
    throw error
  }
}

/** Of an ISO 8601 duration as Key Vault takes them: `P90D`, `P1Y6M`. */
const daysIn = (duration = ''): number => {
  const [, years = 0, months = 0, days = 0] =
    /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?/.exec(duration) ?? []
  return Number(years) * 365 + Number(months) * 30 + Number(days)
}
