import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { rowOf, type VersionRow } from './versions.ts'

export interface SecretRow extends VersionRow {
  readonly contentType: string | null
  /** It belongs to a certificate, and is set by nobody else. */
  readonly managed: boolean
}

/** Empty: there is no such secret. Key Vault lists in no order. */
export const readVersions = (
  azure: Azure,
  name: string,
  call: Call,
): Promise<readonly SecretRow[]> =>
  azure
    .read(
      {
        client: 'secrets',
        action: 'secrets/readMetadata/action',
        scope: `/secrets/${name}`,
        send: async (secrets, options) => {
          const rows: SecretRow[] = []
          for await (const properties of secrets.listPropertiesOfSecretVersions(name, options))
            rows.push({
              ...rowOf(properties),
              contentType: properties.contentType ?? null,
              managed: properties.managed === true || properties.certificateKeyId !== undefined,
            })
          return rows
        },
      },
      call,
    )
    .catch(noneWhereNotFound)

const noneWhereNotFound = (error: unknown): readonly SecretRow[] => {
  if (error instanceof ProviderError && error.kind === 'notFound') return []
  throw error
}

export interface Held {
  readonly id: string
  readonly value: string
}

/** Null where the version is not handed out: it is disabled, or is not there. Without a version: what readers get. */
export const readValue = async (
  azure: Azure,
  name: string,
  version: string | null,
  call: Call,
): Promise<Held | null> => {
  try {
    const { value, properties } = await azure.read(
      {
        client: 'secrets',
        action: 'secrets/getSecret/action',
        scope: `/secrets/${name}`,
        send: (secrets, options) =>
          secrets.getSecret(name, version === null ? options : { ...options, version }),
      },
      call,
    )
    return { id: properties.version ?? '', value: value ?? '' }
  } catch (error) {
    const isOff = error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind)
    if (isOff) return null
    throw error
  }
}
