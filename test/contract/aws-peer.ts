// AWS as a peer of the contract suite, one for each type: moto behind the strict layer of test/peers/aws.

import { randomUUID } from 'node:crypto'
import { IAM } from '@aws-sdk/client-iam'
import { KMS } from '@aws-sdk/client-kms'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { STS } from '@aws-sdk/client-sts'
import type { JsonObject } from '#domain/json.ts'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { account, region, startStrictAws, type StrictAws } from '#test/peers/aws/strict.ts'
import { startFaultProxy, type FaultProxy, type Match } from '#test/support/fault-proxy.ts'
import { awsFixtures, asXml } from './aws-fixtures.ts'
import { plainPorts, type ContractPeer, type Rights } from './peer.ts'
import { refText } from './vault-peer.ts'

export const awsAddress = (type: string, ref: JsonObject): ObjectAddress => ({
  type,
  ref,
  keyId: randomUUID(),
  keyName: 'contract',
})

export const awsCredential = (key: {
  readonly id: string
  readonly secret: string
}): Secret<string> =>
  new Secret(JSON.stringify({ accessKeyId: key.id, secretAccessKey: key.secret }))

export interface AwsBench {
  readonly strict: StrictAws
  readonly faulty: FaultProxy
  readonly settings: JsonObject
  readonly faultySettings: JsonObject
  readonly credential: Secret<string>
  /** For an SDK client that arranges. */
  readonly client: {
    readonly region: string
    readonly endpoint: string
    readonly credentials: StrictAws['admin']
  }
  readonly grant: Rights['grant']
  readonly stop: () => Promise<void>
}

// moto takes seconds to start: the types of one file share it.
let strictly: Promise<StrictAws> | null = null
let users = 0

export const openAws = async (): Promise<AwsBench> => {
  users += 1
  strictly ??= startStrictAws()
  const strict = await strictly
  const faulty = await startFaultProxy(strict.address)
  const settings = { region, account, endpoint: strict.address }
  const { accessKeyId: id, secretAccessKey: secret } = strict.admin
  return {
    strict,
    faulty,
    settings,
    faultySettings: { ...settings, endpoint: faulty.address },
    credential: awsCredential({ id, secret }),
    client: { region, endpoint: strict.address, credentials: strict.admin },
    grant: async (documents) => awsCredential(strict.user(documents)),
    stop: async () => {
      await faulty.stop()
      users -= 1
      if (users > 0) return
      strictly = null
      await strict.stop()
    },
  }
}

/** Effects on one object, from the stand-in's own log. */
export const effectsOn = (strict: StrictAws, subject: string): number =>
  strict.log().filter((one) => one.changes && one.subject === subject && one.status === 200).length

export const operationOn = (target: string, body: RegExp): Match => ({
  method: 'POST',
  path: /^\/$/,
  header: ['x-amz-target', new RegExp(`\\.${target}$`)],
  body,
})

const quoted = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')

export const startSecrets = async (): Promise<ContractPeer> => {
  const bench = await openAws()
  const { strict, faulty } = bench
  const admin = new SecretsManager(bench.client)
  const address = (secretId: string): ObjectAddress =>
    awsAddress('aws.secretsmanager.secret', { secretId })
  const idOf = (object: ObjectAddress): string => refText(object, 'secretId')
  return {
    settings: bench.settings,
    credential: bench.credential,
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const name = `contract/${randomUUID()}`
      await admin.createSecret({ Name: name, SecretString: randomUUID() })
      return address(name)
    },
    unborn: () => address(`unborn/${randomUUID()}`),
    versions: async (object) => {
      const told = await admin.listSecretVersionIds({
        SecretId: idOf(object),
        IncludeDeprecated: true,
      })
      return told.Versions?.length ?? 0
    },
    writes: async (object) => effectsOn(strict, idOf(object)),
    foreign: async (object) => {
      const { VersionId: made } = await admin.putSecretValue({
        SecretId: idOf(object),
        SecretString: 'by somebody else',
        VersionStages: ['AWSPENDING'],
      })
      const { VersionId: current } = await admin.getSecretValue({ SecretId: idOf(object) })
      await admin.updateSecretVersionStage({
        SecretId: idOf(object),
        VersionStage: 'AWSCURRENT',
        MoveToVersionId: made,
        RemoveFromVersionId: current,
      })
    },
    faults: {
      proxy: faulty,
      settings: bench.faultySettings,
      mint: (object) => operationOn('PutSecretValue', new RegExp(quoted(idOf(object)))),
      fixtures: awsFixtures,
    },
    rights: {
      grant: bench.grant,
      always: ['check'],
      rotates: ['describe', 'rotate', 'promote'],
      needed: {
        inventory: /secretsmanager:ListSecrets on \*/,
        describe: /secretsmanager:DescribeSecret.* on .*secret:contract\//,
        rotate: /secretsmanager:PutSecretValue on .*secret:contract\//,
        promote: /secretsmanager:UpdateSecretVersionStage on .*secret:contract\//,
      },
    },
    names: {
      good: ['a/b_c+d=e.f@g-h', 'ends-AbCdEf', 'UPPER', '../x', '1', 'x'.repeat(400)].map(address),
      bad: [
        'ключ',
        'a b',
        'a#b',
        'a\u0000b',
        'line\nbreak',
        'x'.repeat(513),
        `arn:aws:secretsmanager:us-east-1:${account}:secret:a-AbCdEf`,
        `arn:aws-cn:secretsmanager:${region}:${account}:secret:a-AbCdEf`,
        `arn:aws:secretsmanager:${region}:${account}:secret:a`,
      ].map(address),
    },
    stop: async () => {
      admin.destroy()
      await bench.stop()
    },
  }
}

/** Of the query protocol: a form in the body. */
export const formOn = (action: string, body: RegExp): Match => ({
  method: 'POST',
  path: /^\/$/,
  body: new RegExp(`(?=.*Action=${action}(?:&|$))(?=.*${body.source})`),
})

export const startAccessKeys = async (): Promise<ContractPeer> => {
  const bench = await openAws()
  const { strict, faulty } = bench
  const admin = new IAM(bench.client)
  const address = (userName: string): ObjectAddress => awsAddress('aws.iam.accessKey', { userName })
  const nameOf = (object: ObjectAddress): string => refText(object, 'userName')
  const put = async (object: ObjectAddress): Promise<void> => {
    const UserName = nameOf(object)
    await admin.createUser({ UserName })
    await admin.createAccessKey({ UserName })
  }
  return {
    settings: bench.settings,
    credential: bench.credential,
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const object = address(`contract-${randomUUID()}`)
      await put(object)
      return object
    },
    names: {
      good: ['UPPER', 'a+b=c,d.e@f_g-h', '1', 'x'.repeat(64)].map(address),
      bad: ['ключ', 'a b', 'a/b', '../a', 'a*', 'a\u0000b', 'x'.repeat(65)].map(address),
      put,
    },
    unborn: () => address(`unborn-${randomUUID()}`),
    versions: async (object) => {
      const { AccessKeyMetadata: keys } = await admin.listAccessKeys({ UserName: nameOf(object) })
      return keys?.length ?? 0
    },
    writes: async (object) => effectsOn(strict, nameOf(object)),
    // Who makes a key uses it: by that, and by nothing else, it is known for another's.
    foreign: async (object) => {
      const { AccessKey: made } = await admin.createAccessKey({ UserName: nameOf(object) })
      const sts = new STS({
        ...bench.client,
        credentials: {
          accessKeyId: made?.AccessKeyId ?? '',
          secretAccessKey: made?.SecretAccessKey ?? '',
        },
      })
      await sts.getCallerIdentity({})
    },
    faults: {
      proxy: faulty,
      settings: bench.faultySettings,
      mint: (object) => formOn('CreateAccessKey', new RegExp(`UserName=${quoted(nameOf(object))}`)),
      fixtures: awsFixtures.map(asXml),
    },
    rights: {
      grant: bench.grant,
      always: ['check', 'usage'],
      rotates: ['describe', 'rotate', 'switch', 'destroy'],
      needed: {
        inventory: /iam:ListUsers on \*/,
        describe: /iam:(GetUser|ListAccessKeys).* on .*user\/contract-/,
        rotate: /iam:CreateAccessKey on .*user\/contract-/,
        switch: /iam:UpdateAccessKey on .*user\/contract-/,
        destroy: /iam:DeleteAccessKey on .*user\/contract-/,
      },
    },
    stop: async () => {
      admin.destroy()
      await bench.stop()
    },
  }
}

export const startSymmetric = async (): Promise<ContractPeer> => {
  const bench = await openAws()
  const { strict, faulty } = bench
  const admin = new KMS(bench.client)
  const address = (keyId: string): ObjectAddress => awsAddress('aws.kms.symmetric', { keyId })
  const idOf = (object: ObjectAddress): string => refText(object, 'keyId')
  return {
    settings: bench.settings,
    credential: bench.credential,
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const { KeyMetadata: made } = await admin.createKey({})
      return address(made?.KeyId ?? '')
    },
    unborn: () => address(randomUUID()),
    versions: async (object) => {
      const { Rotations: rows } = await admin.listKeyRotations({
        KeyId: idOf(object),
        IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
      })
      return rows?.length ?? 0
    },
    writes: async (object) => effectsOn(strict, idOf(object)),
    foreign: async (object) => {
      await admin.rotateKeyOnDemand({ KeyId: idOf(object) })
    },
    faults: {
      proxy: faulty,
      settings: bench.faultySettings,
      mint: (object) => operationOn('RotateKeyOnDemand', new RegExp(quoted(idOf(object)))),
      fixtures: awsFixtures,
    },
    rights: {
      grant: bench.grant,
      always: ['check'],
      rotates: ['describe', 'rotate', 'verify'],
      needed: {
        inventory: /kms:ListKeys on \*/,
        describe: /kms:(DescribeKey|GetKeyRotationStatus|ListKeyRotations).* on .*:key\//,
        rotate: /kms:RotateKeyOnDemand on .*:key\//,
        verify: /kms:GenerateDataKey.* on .*:key\//,
      },
    },
    stop: async () => {
      admin.destroy()
      await bench.stop()
    },
  }
}

export const startAliases = async (): Promise<ContractPeer> => {
  const bench = await openAws()
  const { strict, faulty } = bench
  const admin = new KMS(bench.client)
  const address = (alias: string): ObjectAddress => awsAddress('aws.kms.alias', { alias })
  const nameOf = (object: ObjectAddress): string => refText(object, 'alias')
  const put = async (object: ObjectAddress): Promise<void> => {
    await admin.createAlias({ AliasName: nameOf(object), TargetKeyId: await newKey() })
  }
  const newKey = async (): Promise<string> => {
    const spec = { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' } as const
    return (await admin.createKey(spec)).KeyMetadata?.KeyId ?? ''
  }
  /** Keys that were made for the alias: what an orphan would be one of. */
  const made = (object: ObjectAddress): number =>
    strict
      .log()
      .filter(
        ({ operation, subject, status }) =>
          operation === 'CreateKey' && subject === nameOf(object) && status === 200,
      ).length
  return {
    settings: bench.settings,
    credential: bench.credential,
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const object = address(`alias/contract/${randomUUID()}`)
      await put(object)
      return object
    },
    names: {
      good: ['alias/a/b_c-d', 'alias/UPPER', 'alias/1', `alias/${'x'.repeat(235)}`].map(address),
      bad: [
        'orders',
        'alias/',
        'alias/ключ',
        'alias/a b',
        'alias/a*',
        'alias/aws/s3',
        'alias/a-next',
        'alias/a-previous',
      ].map(address),
      put,
    },
    unborn: () => address(`alias/unborn-${randomUUID()}`),
    versions: async (object) => 1 + made(object),
    writes: async (object) => made(object),
    foreign: async (object) => {
      await admin.updateAlias({ AliasName: nameOf(object), TargetKeyId: await newKey() })
    },
    faults: {
      proxy: faulty,
      settings: bench.faultySettings,
      mint: (object) => operationOn('CreateKey', new RegExp(quoted(nameOf(object)))),
      fixtures: awsFixtures,
    },
    rights: {
      grant: bench.grant,
      always: ['check', 'find'],
      rotates: ['describe', 'rotate', 'promote', 'verify', 'switch', 'destroy'],
      needed: {
        inventory: /kms:ListAliases on \*/,
        describe: /kms:(DescribeKey|GetKeyPolicy|ListResourceTags).* on .*(key|alias)\//,
        rotate: /kms:CreateKey.* on \*/,
        promote: /kms:(Create|Update)Alias.* on .*(key|alias)\//,
        verify: /kms:(Sign|GenerateMac).* on .*key\//,
        switch: /kms:DisableKey.* on .*key\//,
        destroy: /kms:ScheduleKeyDeletion on .*key\//,
      },
    },
    stop: async () => {
      admin.destroy()
      await bench.stop()
    },
  }
}
