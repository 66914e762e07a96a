import { Type, type Static } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'

const arnOfRole = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/[\w+=,.@/-]{1,512}$/

const assumeRoleSchema = Type.Object(
  {
    roleArn: Type.String({
      description:
        'The role that Rekey assumes. Its trust policy asks for the external id of the connection.',
      pattern: arnOfRole.source,
      examples: ['arn:aws:iam::123456789012:role/rekey'],
    }),
    sessionName: Type.Optional(
      Type.String({
        description: 'As CloudTrail shows it; rekey-<connection> unless told.',
        pattern: '^[\\w+=,.@-]{2,64}$',
      }),
    ),
  },
  { additionalProperties: false },
)

interface Given {
  readonly region: string
  readonly account?: string
  readonly assumeRole?: Static<typeof assumeRoleSchema>
}

/** An account's objects are named by region and account: without it, one name could be two secrets. */
export const settingsSchema = Type.Refine(
  Type.Object(
    {
      region: Type.String({
        description: 'For instance eu-west-1; the partition follows from it.',
        pattern: '^[a-z]{2,4}(-[a-z]{2,12}){1,2}-\\d{1,2}$',
      }),
      account: Type.Optional(
        Type.String({
          description:
            'The account that Rekey must find itself in; the one of assumeRole.roleArn unless told. In another one it does nothing.',
          pattern: '^\\d{12}$',
        }),
      ),
      endpoint: Type.Optional(
        Type.String({
          description:
            'One address for all services, for instance of an emulator. Not needed for VPC endpoints with private DNS.',
          pattern: '^https?://[^\\s/?#@]+/?$',
          maxLength: 2048,
        }),
      ),
      insecure: Type.Optional(
        Type.Boolean({
          description: 'Plain http beyond loopback: everybody on the way reads along.',
        }),
      ),
      fips: Type.Optional(
        Type.Boolean({ description: 'Uses the FIPS 140 endpoints of the region.' }),
      ),
      assumeRole: Type.Optional(assumeRoleSchema),
    },
    { additionalProperties: false },
  ),
  (settings) => faultOf(settings) === null,
  (settings) => faultOf(settings) ?? '',
)

/** What the fields say together. */
const faultOf = ({ region, account, assumeRole }: Given): string | null => {
  if (assumeRole === undefined)
    return account === undefined
      ? 'needs account (12 digits), or assumeRole with its roleArn'
      : null
  const [, partition, roleAccount] = arnOfRole.exec(assumeRole.roleArn) ?? []
  if (partition !== partitionOf(region).id)
    return `has a role of the partition ${partition}, which the region ${region} is not in`
  return account === undefined || account === roleAccount
    ? null
    : `is for account ${account}, and the role is of ${roleAccount}`
}

export interface AwsSettings {
  readonly region: string
  readonly partition: string
  readonly account: string
  readonly endpoint: string | null
  readonly fips: boolean
  readonly assumeRole: Static<typeof assumeRoleSchema> | null
}

/** The credential's value: an access key. Without one, the host's own chain, where the connection says `default`. */
export const credentialSchema = Type.Object(
  {
    accessKeyId: Type.String({ pattern: '^[A-Z0-9]{16,128}$' }),
    secretAccessKey: Type.String({ minLength: 1, maxLength: 1024 }),
    sessionToken: Type.Optional(Type.String({ minLength: 1, maxLength: 16_384 })),
  },
  { additionalProperties: false },
)

interface Partition {
  readonly regions: RegExp
  readonly id: string
  readonly suffix: string
}

/** As in the SDKs' partitions.json. */
const partitions: readonly Partition[] = [
  { regions: /^cn-/, id: 'aws-cn', suffix: 'amazonaws.com.cn' },
  { regions: /^us-gov-/, id: 'aws-us-gov', suffix: 'amazonaws.com' },
  { regions: /^us-iso-/, id: 'aws-iso', suffix: 'c2s.ic.gov' },
  { regions: /^us-isob-/, id: 'aws-iso-b', suffix: 'sc2s.sgov.gov' },
  { regions: /^eu-isoe-/, id: 'aws-iso-e', suffix: 'cloud.adc-e.uk' },
  { regions: /^us-isof-/, id: 'aws-iso-f', suffix: 'csp.hci.ic.gov' },
  { regions: /^eusc-/, id: 'aws-eusc', suffix: 'amazonaws.eu' },
]
const commercial: Omit<Partition, 'regions'> = { id: 'aws', suffix: 'amazonaws.com' }

const partitionOf = (region: string): Omit<Partition, 'regions'> =>
  partitions.find(({ regions }) => regions.test(region)) ?? commercial

/** Settings that the schema has accepted. */
export const readSettings = (given: JsonObject): AwsSettings => {
  const settings = given as unknown as Static<typeof settingsSchema>
  const account = settings.account ?? arnOfRole.exec(settings.assumeRole?.roleArn ?? '')?.[2]
  if (typeof settings.region !== 'string' || account === undefined)
    throw new ProviderError('unsupported', 'none', 'these settings cannot be used', {
      hint: 'region, and account or assumeRole.roleArn, are needed',
    })
  return {
    region: settings.region,
    partition: partitionOf(settings.region).id,
    account,
    endpoint: settings.endpoint?.replace(/\/$/, '') ?? null,
    fips: settings.fips === true,
    assumeRole: settings.assumeRole ?? null,
  }
}

/** What every session asks first: STS of the region. The other services are of the same suffix; all are checked as they are
 *  dialled, and none of them is ever sent the credential itself. */
export const endpointsOf = (given: JsonObject): readonly string[] => {
  const { region, endpoint, fips } = readSettings(given)
  // In GovCloud there is but one, and it is FIPS 140's.
  const service = fips && partitionOf(region).id !== 'aws-us-gov' ? 'sts-fips' : 'sts'
  return [endpoint ?? `https://${service}.${region}.${partitionOf(region).suffix}`]
}
