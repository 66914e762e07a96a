import { describe, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { aws } from '#providers/aws/provider.ts'

const settings = { region: 'eu-west-1', account: '123456789012' }
const idOf = (type: string, ref: JsonObject): string | undefined =>
  aws.types.find((one) => one.type === type)?.objectId({ settings, ref, keyName: 'x' })
const refused = expect.objectContaining({ kind: 'permanent', effect: 'none' })

describe('a KMS key', () => {
  const key = '1234abcd-12ab-34cd-56ef-1234567890ab'
  const arn = `arn:aws:kms:eu-west-1:123456789012:key/${key}`

  test('is one object by its id and by its ARN', () => {
    expect(idOf('aws.kms.symmetric', { keyId: key })).toBe(arn)
    expect(idOf('aws.kms.symmetric', { keyId: arn })).toBe(arn)
  })

  test.each([
    'alias/orders',
    '../x',
    key.toUpperCase(),
    arn.replace('eu-west-1', 'us-east-1'),
    arn.replace('123456789012', '210987654321'),
    arn.replace('arn:aws:', 'arn:aws-cn:'),
    `${arn}/x`,
  ])('%s is none of the connection', (keyId) => {
    expect(() => idOf('aws.kms.symmetric', { keyId })).toThrow(refused)
  })
})

describe('an alias', () => {
  test('is one object', () => {
    expect(idOf('aws.kms.alias', { alias: 'alias/a/b_c-d' })).toBe(
      'arn:aws:kms:eu-west-1:123456789012:alias/a/b_c-d',
    )
  })

  test.each([
    'orders',
    'alias/',
    'alias/aws/s3',
    'alias/a b',
    'alias/a*',
    'alias/orders-previous',
    'alias/orders-next',
    `alias/${'x'.repeat(241)}`,
  ])('%s is none that is managed', (alias) => {
    expect(() => idOf('aws.kms.alias', { alias })).toThrow(refused)
  })
})

describe('where a connection asks who it is', () => {
  test.each([
    ['eu-west-1', false, 'https://sts.eu-west-1.amazonaws.com'],
    ['us-east-1', true, 'https://sts-fips.us-east-1.amazonaws.com'],
    ['cn-north-1', false, 'https://sts.cn-north-1.amazonaws.com.cn'],
    ['us-gov-west-1', false, 'https://sts.us-gov-west-1.amazonaws.com'],
    ['eusc-de-east-1', false, 'https://sts.eusc-de-east-1.amazonaws.eu'],
  ])('%s, fips %s: %s', (region, fips, url) => {
    expect(aws.endpoints({ ...settings, region, fips })).toEqual([url])
  })
})
