// Where the requests of a connection go: by the SDK's own rules, one partition after the other. Nothing is dialled.

import { describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import type { JsonObject } from '#domain/json.ts'
import { Secret } from '#domain/secret.ts'
import { aws } from '#providers/aws/provider.ts'
import { awsAddress } from '#test/contract/aws-peer.ts'
import { requestUrl } from '#test/contract/azure-peer.ts'
import { call } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'

const account = '123456789012'
const credential = new Secret(
  JSON.stringify({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x' }),
)

/** Answers as who it is, and refuses all else: what was asked is what is looked at. */
const dialled = async (settings: JsonObject) => {
  const hosts = new Map<string, string>()
  const session = aws.connect({
    connection: 'x',
    externalId: 'x',
    settings,
    credential,
    ports: {
      ...plainPorts(),
      fetch: async (url, init) => {
        const { origin } = new URL(requestUrl(url))
        const scope = /Credential=[A-Z0-9]+\/\d{8}\/([a-z0-9-]+)\/([a-z]+)\//.exec(
          new Headers(init?.headers).get('authorization') ?? '',
        )
        const [, region = '', service = ''] = scope ?? []
        hosts.set(service, `${origin} signed for ${region}`)
        const body =
          service === 'sts'
            ? `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::${account}:user/x</Arn><Account>${account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
            : JSON.stringify({ __type: 'AccessDeniedException' })
        return new Response(body, {
          status: service === 'sts' ? 200 : 400,
          headers: { 'x-amzn-requestid': '1' },
        })
      },
    },
  })
  const objects = [
    awsAddress('aws.secretsmanager.secret', { secretId: 'a' }),
    awsAddress('aws.kms.symmetric', { keyId: '1234abcd-12ab-34cd-56ef-1234567890ab' }),
    awsAddress('aws.iam.accessKey', { userName: 'a' }),
  ]
  for (const object of objects) await session.describe(object, call()).catch(() => undefined)
  return Object.fromEntries(hosts)
}

describe('the requests of a connection go to', () => {
  test.each([
    ['eu-west-1', false, 'sts', 'amazonaws.com', 'iam.amazonaws.com', 'us-east-1'],
    ['us-east-1', true, 'sts-fips', 'amazonaws.com', 'iam-fips.amazonaws.com', 'us-east-1'],
    ['us-west-2', true, 'sts-fips', 'amazonaws.com', 'iam-fips.amazonaws.com', 'us-east-1'],
    [
      'cn-north-1',
      false,
      'sts',
      'amazonaws.com.cn',
      'iam.cn-north-1.amazonaws.com.cn',
      'cn-north-1',
    ],
    ['us-gov-west-1', false, 'sts', 'amazonaws.com', 'iam.us-gov.amazonaws.com', 'us-gov-west-1'],
    ['us-gov-east-1', true, 'sts', 'amazonaws.com', 'iam.us-gov.amazonaws.com', 'us-gov-west-1'],
    ['us-iso-east-1', false, 'sts', 'c2s.ic.gov', 'iam.us-iso-east-1.c2s.ic.gov', 'us-iso-east-1'],
    [
      'us-isob-east-1',
      false,
      'sts',
      'sc2s.sgov.gov',
      'iam.us-isob-east-1.sc2s.sgov.gov',
      'us-isob-east-1',
    ],
    [
      'eu-isoe-west-1',
      false,
      'sts',
      'cloud.adc-e.uk',
      'iam.eu-isoe-west-1.cloud.adc-e.uk',
      'eu-isoe-west-1',
    ],
    [
      'us-isof-south-1',
      false,
      'sts',
      'csp.hci.ic.gov',
      'iam.us-isof-south-1.csp.hci.ic.gov',
      'us-isof-south-1',
    ],
    [
      'eusc-de-east-1',
      false,
      'sts',
      'amazonaws.eu',
      'iam.eusc-de-east-1.amazonaws.eu',
      'eusc-de-east-1',
    ],
  ] as const)('%s, fips %s', async (region, fips, sts, suffix, iam, signed) => {
    const settings = { region, account, fips }
    const rest = fips ? '-fips' : ''
    expect(await dialled(settings)).toEqual({
      sts: `https://${sts}.${region}.${suffix} signed for ${region}`,
      secretsmanager: `https://secretsmanager${rest}.${region}.${suffix} signed for ${region}`,
      kms: `https://kms${rest}.${region}.${suffix} signed for ${region}`,
      iam: `https://${iam} signed for ${signed}`,
    })
    // What egress is asked about before anything is dialled.
    expect(aws.endpoints(settings)).toEqual([`https://${sts}.${region}.${suffix}`])
  })

  test('one address for all services, where the settings say so', async () => {
    const endpoint = 'https://emulator.example:4566'
    const settings = { region: 'eu-west-1', account, endpoint: `${endpoint}/` }
    const hosts = await dialled(settings)
    for (const at of Object.values(hosts)) expect(at).toMatch(/^https:\/\/emulator\.example:4566 /)
    expect(Object.keys(hosts).toSorted()).toEqual(['iam', 'kms', 'secretsmanager', 'sts'])
    expect(aws.endpoints(settings)).toEqual([endpoint])
  })
})

describe('settings', () => {
  const ok = (more: JsonObject): boolean =>
    Check(aws.settingsSchema, { region: 'eu-west-1', account, ...more })

  test.each([
    { endpoint: 'https://x.example/path' },
    { endpoint: 'https://user@x.example' },
    { endpoint: 'ftp://x.example' },
    { endpoint: 'https://x.example?a=b' },
    { region: 'EU-WEST-1' },
    { region: 'eu-west-1.evil.example' },
    { region: 'eu-west-1/' },
    { account: '12345678901' },
    { assumeRole: { roleArn: 'arn:aws:iam::123456789012:user/rekey' } },
    { assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/rekey', externalId: 'mine' } },
    { assumeRole: { roleArn: 'arn:aws:iam::123456789012:role/rekey', sessionName: 'a b' } },
  ])('%j are refused', (more) => {
    expect(ok(more)).toBe(false)
  })

  test('a role says the account, and must be of it and of the region’s partition', () => {
    const assumeRole = { roleArn: 'arn:aws-us-gov:iam::123456789012:role/team/rekey' }
    const region = 'us-gov-west-1'
    expect(Check(aws.settingsSchema, { region, assumeRole })).toBe(true)
    expect(Check(aws.settingsSchema, { region, assumeRole, account })).toBe(true)
    expect(Check(aws.settingsSchema, { region, assumeRole, account: '210987654321' })).toBe(false)
    expect(ok({ assumeRole })).toBe(false)
    expect(Check(aws.settingsSchema, { region: 'us-gov-west-1' })).toBe(false)
  })
})
