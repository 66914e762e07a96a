import type { CertificatePolicy } from '@azure/keyvault-certificates'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { rides, type Pending } from './transport.ts'
import { allVersions, oneVersion, rowOf, type Looks, type VersionRow } from './versions.ts'

/** As it is told: without what is not. */
export type Policy = Partial<CertificatePolicy>

const looks = (azure: Azure, name: string, call: Call): Looks<VersionRow> => ({
  one: async (version) =>
    rowOf(
      (version === null
        ? await getNewest(azure, name, call)
        : await getVersion(azure, name, version, call)
      ).properties,
    ),
  list: () =>
    azure.read(
      {
        client: 'certificates',
        action: 'certificates/read',
        scope: `/certificates/${name}`,
        send: async (certificates, options) => {
          const rows: VersionRow[] = []
          const listed = certificates.listPropertiesOfCertificateVersions(name, options)
          for await (const properties of listed) rows.push(rowOf(properties))
          return rows
        },
      },
      call,
    ),
})

const getVersion = (azure: Azure, name: string, version: string, call: Call) =>
  azure.read(
    {
      client: 'certificates',
      action: 'certificates/read',
      scope: `/certificates/${name}`,
      send: (certificates, options) => certificates.getCertificateVersion(name, version, options),
    },
    call,
  )

const getNewest = (azure: Azure, name: string, call: Call) =>
  azure.read(
    {
      client: 'certificates',
      action: 'certificates/read',
      scope: `/certificates/${name}`,
      send: (certificates, options) => certificates.getCertificate(name, options),
    },
    call,
  )

/** Empty: there is no such certificate, or none of it was issued yet. Key Vault lists in no order. */
export const readCertificateVersions = async (
  azure: Azure,
  name: string,
  call: Call,
): Promise<readonly VersionRow[]> => (await orNull(allVersions(looks(azure, name, call)))) ?? []

/** Null: there is no such version. */
export const readCertificateVersion = (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<VersionRow | null> => oneVersion(looks(azure, name, call), version)

export interface HeldCertificate {
  readonly id: string
  readonly enabled: boolean
  /** DER. */
  readonly cer: Uint8Array
  readonly notBefore: Date | null
  readonly expiresAt: Date | null
}

/** Null where it is not there, or not handed out. */
export const readCertificate = async (
  azure: Azure,
  name: string,
  version: string,
  call: Call,
): Promise<HeldCertificate | null> => {
  const found = await orNull(getVersion(azure, name, version, call))
  return found === null ? null : heldOf(found)
}

/** What versionless callers get, and the policy by which the next is made. */
export const readNewest = async (
  azure: Azure,
  name: string,
  call: Call,
): Promise<{ readonly held: HeldCertificate; readonly policy: Policy } | null> => {
  const found = await orNull(getNewest(azure, name, call))
  return found === null ? null : { held: heldOf(found), policy: found.policy ?? {} }
}

/** The last request for a certificate of this name, whoever made it; null where there is none. */
export const readPending = async (
  azure: Azure,
  name: string,
  call: Call,
): Promise<Pending | null> =>
  orNull(
    azure.read(
      {
        client: 'certificates',
        action: 'certificates/read',
        scope: `/certificates/${name}`,
        send: (certificates, options) =>
          pendingOf(certificates.getCertificateOperation(name, options)),
      },
      call,
    ),
  )

/** What Key Vault told of the request that the SDK made or looked for. */
export const pendingOf = async (asked: Promise<unknown>): Promise<Pending | null> => {
  try {
    await asked
  } catch (error) {
    const isAnswer = error instanceof ProviderError || (error as Error).name === 'RestError'
    const status = rides.getStore()?.pending?.status ?? 'inProgress'
    if (isAnswer || status === 'inProgress') throw error
  }
  return rides.getStore()?.pending ?? null
}

const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProviderError && ['disabled', 'notFound'].includes(error.kind)) return null
    throw error
  }
}

interface Found {
  readonly cer?: Uint8Array
  readonly properties: {
    readonly version?: string
    readonly enabled?: boolean
    readonly notBefore?: Date
    readonly expiresOn?: Date
  }
}

const heldOf = ({ cer = new Uint8Array(), properties }: Found): HeldCertificate => ({
  id: properties.version ?? '',
  enabled: properties.enabled !== false,
  cer,
  notBefore: properties.notBefore ?? null,
  expiresAt: properties.expiresOn ?? null,
})
