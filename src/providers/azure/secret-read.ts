import type { SecretProperties } from '@azure/keyvault-secrets'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { allVersions, oneVersion, rowOf, type Looks, type VersionRow } from './versions.ts'

export interface SecretRow extends VersionRow {
  readonly contentType: string | null
  /** It belongs to a certificate, and is set by nobody else. */
  readonly managed: boolean
}

const looks = (azure: Azure, name: string, call: Call): Looks<SecretRow> => ({
  one: async (version) => (await getSecret(azure, name, version, call)).row,
  list: () =>
    azure.read(
      {
        client: 'secrets',
        action: 'secrets/readMetadata/action',
        scope: `/secrets/${name}`,
        send: async (secrets, options) => {
          const rows: SecretRow[] = []
          for await (const properties of secrets.listPropertiesOfSecretVersions(name, options))
            rows.push(secretRow(properties))
          return rows
        },
      },
      call,
    ),
})

const secretRow = (properties: SecretProperties): SecretRow => ({
  ...rowOf(properties),
  contentType: properties.contentType ?? null,
  managed: properties.managed === true || properties.certificateKeyId !== undefined,
})

const getSecret = async (azure: Azure, name: string, version: string | null, call: Call) => {
  const { value = '', properties } = await azure.read(
    {
      client: 'secrets',
      action: 'secrets/getSecret/action',
      scope: `/secrets/${name}`,
      send: (secrets, options) =>
        secrets.getSecret(name, version === null ? options : { ...options, version }),
    },
    call,
  )
  return { row: secretRow(properties), value }
}

/** Empty: there is no such secret. Key Vault lists in no order. */
export const readVersions = (
  azure: Azure,
  name: string,
  call: Call,
  seen?: SecretRow,
): Promise<readonly SecretRow[]> => allVersions(looks(azure, name, call), seen)

/** Null: there is no such version. */
export const readVersion = (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<SecretRow | null> => oneVersion(looks(azure, name, call), version)

export interface Held {
  readonly id: string
  readonly value: string
  readonly row: SecretRow
}

/** Null where the version is not handed out: it is disabled, or is not there. Without a version: what readers get. */
export const readValue = async (
  azure: Azure,
  name: string,
  version: string | null,
  call: Call,
): Promise<Held | null> => {
  try {
    const { row, value } = await getSecret(azure, name, version, call)
    return { id: row.id, value, row }
  } catch (error) {
    const isOff = error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind)
    if (isOff) return null
    throw error
  }
}
