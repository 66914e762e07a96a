import { Type, type Static } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'

interface Cloud {
  readonly authorityHost: string
  /** What the names of vaults and of managed HSMs end in. Tokens are for these, and for nothing else. */
  readonly vault: string
  readonly hsm: string
}

/** As in Microsoft's lists of endpoints of its clouds. */
export const clouds = {
  public: {
    authorityHost: 'https://login.microsoftonline.com',
    vault: 'vault.azure.net',
    hsm: 'managedhsm.azure.net',
  },
  usGovernment: {
    authorityHost: 'https://login.microsoftonline.us',
    vault: 'vault.usgovcloudapi.net',
    hsm: 'managedhsm.usgovcloudapi.net',
  },
  china: {
    authorityHost: 'https://login.chinacloudapi.cn',
    vault: 'vault.azure.cn',
    hsm: 'managedhsm.azure.cn',
  },
} as const satisfies Record<string, Cloud>
type CloudName = keyof typeof clouds

const schema = Type.Object(
  {
    vaultUrl: Type.String({
      description: 'Of a vault or a managed HSM, for instance https://payments.vault.azure.net.',
      pattern: '^https?://[^\\s/?#@]+/?$',
      maxLength: 2048,
    }),
    cloud: Type.Optional(
      Type.Enum(Object.keys(clouds), {
        description: 'Follows from vaultUrl; where it is said, vaultUrl must be of that cloud.',
      }),
    ),
    tenantId: Type.Optional(
      Type.String({
        description: 'The directory of the principal; the one that the vault names, unless told.',
        pattern: '^[0-9A-Za-z][0-9A-Za-z.-]{0,252}$',
      }),
    ),
    clientId: Type.Optional(
      Type.String({
        description:
          'The application’s id; with credential.from default, the managed or workload identity’s.',
        pattern: '^[0-9A-Za-z][0-9A-Za-z-]{0,63}$',
      }),
    ),
    authorityHost: Type.Optional(
      Type.String({
        description: 'Who gives out tokens, where it is not a cloud of Microsoft’s: Azure Stack.',
        pattern: '^https://[^\\s?#@]+$',
        maxLength: 2048,
      }),
    ),
  },
  { additionalProperties: false },
)

export const settingsSchema = Type.Refine(
  schema,
  (settings) => isKnown(settings),
  () =>
    'vaultUrl is of no cloud that Rekey knows, or not of the one that `cloud` says: say authorityHost where it is Azure Stack',
)

/** The credential's value. Without one, this host's own identity, where the connection says `default`. */
export const credentialSchema = Type.Union([
  Type.Object(
    { clientSecret: Type.String({ minLength: 1, maxLength: 1024 }) },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      certificate: Type.String({
        description: 'PEM: the certificate and its private key.',
        minLength: 1,
        maxLength: 65_536,
      }),
    },
    { additionalProperties: false },
  ),
])

export interface AzureSettings {
  /** Lower case, without a slash at the end. */
  readonly vaultUrl: string
  readonly authorityHost: string
  readonly tenantId: string | null
  readonly clientId: string | null
  /** Hosts for which tokens may be asked. Null: whatever the vault's own name ends in. */
  readonly resources: readonly string[]
  readonly isHsm: boolean
}

const hostOf = (vaultUrl: string): string => new URL(vaultUrl).hostname

const cloudOf = (host: string): CloudName | null => {
  const names = Object.keys(clouds) as CloudName[]
  const ends = (suffix: string): boolean => host.endsWith(`.${suffix}`)
  return names.find((name) => ends(clouds[name].vault) || ends(clouds[name].hsm)) ?? null
}

const isKnown = ({ vaultUrl, cloud, authorityHost }: Static<typeof schema>): boolean => {
  const host = URL.parse(vaultUrl)?.hostname
  if (host === undefined) return false
  const found = cloudOf(host)
  if (found === null) return authorityHost !== undefined && cloud === undefined
  return cloud === undefined || cloud === found
}

/** Settings that the schema has accepted. */
export const readSettings = (given: JsonObject): AzureSettings => {
  const settings = given as unknown as Static<typeof schema>
  if (typeof settings.vaultUrl !== 'string' || !isKnown(settings))
    throw new ProviderError('unsupported', 'none', 'these settings cannot be used', {
      hint: 'vaultUrl is needed, and authorityHost where it is of no cloud of Microsoft’s',
    })
  const host = hostOf(settings.vaultUrl)
  const name = cloudOf(host)
  const cloud = name === null ? null : clouds[name]
  return {
    vaultUrl: new URL(settings.vaultUrl).origin,
    authorityHost: (settings.authorityHost ?? cloud?.authorityHost ?? '').replace(/\/$/, ''),
    tenantId: settings.tenantId ?? null,
    clientId: settings.clientId ?? null,
    resources: cloud === null ? [parentOf(host)] : [cloud.vault, cloud.hsm],
    isHsm: cloud === null ? /(^|\.)managedhsm\./.test(host) : host.endsWith(`.${cloud.hsm}`),
  }
}

/** A token for `vault.local.azurestack.external` opens the vaults below it, and nothing beside. On loopback there is nothing
 *  below: an emulator asks for what Azure itself would. */
const parentOf = (host: string): string =>
  /^(?:127\.|\[|localhost$)/.test(host)
    ? clouds.public.vault
    : host.slice(host.indexOf('.') + 1 || host.length)

export const endpointsOf = (given: JsonObject): readonly string[] => {
  const { vaultUrl, authorityHost } = readSettings(given)
  return [vaultUrl, authorityHost]
}
