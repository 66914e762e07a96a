// Adapters of AWS that lack what ours is careful about. The stand-in must tell each of them from ours: what it counts, or what
// it lets live, is another.

import { randomUUID } from 'node:crypto'
import { IAM } from '@aws-sdk/client-iam'
import { STS } from '@aws-sdk/client-sts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ProviderError, type Provider } from '#domain/provider.ts'
import { aws } from '#providers/aws/provider.ts'
import { type Edit, mutantOf } from '#test/support/mutant.ts'
import { peer } from '#test/support/peers.ts'
import {
  awsAddress,
  openAws,
  type AwsBench,
  startAccessKeys,
  startAliases,
  startSecrets,
  startSymmetric,
} from './aws-peer.ts'
import { call, connectTo, makeOrder, recover } from './bench.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

const retries: Edit = {
  file: 'clients.ts',
  from: 'maxAttempts: writes ? 1 : 3',
  to: 'maxAttempts: 3',
}
const oneClient: Edit = {
  file: 'session.ts',
  from: 'const [ask, write] = [sender(false), sender(true)]',
  to: 'const [ask, write] = [sender(false), sender(false)]',
}
const noToken: Edit = {
  file: 'secret-write.ts',
  from: 'ClientRequestToken: token,\n          ...value,\n          VersionStages',
  to: '...value,\n          VersionStages',
}
const noTag: Edit = {
  file: 'kms-alias-make.ts',
  from: '[operationTag, token],',
  to: '',
}

/** The mint loses its answer, once, and is recovered from as the engine does. */
const afterLoss = async (provider: Provider, name: string, at: ContractPeer) => {
  const type = provider.types.find((one) => one.type === name)
  if (at.faults === undefined || type === undefined) throw new Error('no faults')
  const { proxy, settings, mint } = at.faults
  const session = connectTo(provider, at, { settings })
  const object = await at.newObject()
  const order = await makeOrder({ session, type, peer: at }, object)
  const before = await at.versions(object)
  proxy.inject(mint(object), { kind: 'cutAfter' })
  const lost = await session.mint(order, call()).catch((error: unknown) => error)
  proxy.reset()
  const made = (await at.versions(object)) - before
  const recovered = await recover(session, order).then(
    () => true,
    () => false,
  )
  return {
    /** What the caller is told of the effect. */
    told: lost instanceof ProviderError ? lost.effect : 'done',
    /** By the one call. */
    made,
    recovered,
    /** In the end, where the answer that was lost had the only copy of a secret: in place of the one that was lost. */
    left: (await at.versions(object)) - before,
  }
}

const ours = { told: 'unknown', made: 1, recovered: true, left: 1 }

peer('moto').describe('an adapter of AWS that is wrong fails:', () => {
  let bench: AwsBench
  beforeAll(async () => {
    bench = await openAws()
  }, 180_000)
  afterAll(() => bench?.stop())

  test.each([
    {
      what: 'whose SDK tries writes again',
      edit: retries,
      type: 'aws.kms.symmetric',
      start: startSymmetric,
      mutant: { told: 'done', made: 2 },
    },
    {
      what: 'whose SDK tries writes again',
      edit: retries,
      type: 'aws.kms.alias',
      start: startAliases,
      mutant: { told: 'done', made: 2 },
    },
    {
      what: 'whose SDK tries writes again',
      edit: retries,
      type: 'aws.iam.accessKey',
      start: startAccessKeys,
      // There was room for one: that the second was refused is told, and that the first was made is not.
      mutant: { told: 'none', made: 1 },
    },
    {
      what: 'that writes with the client that reads',
      edit: oneClient,
      type: 'aws.kms.alias',
      start: startAliases,
      mutant: { told: 'done', made: 2 },
    },
    {
      what: 'that leaves the client token to the SDK',
      edit: noToken,
      type: 'aws.secretsmanager.secret',
      start: startSecrets,
      mutant: { told: 'unknown', made: 1, recovered: false },
    },
    {
      what: 'that makes a key without the tag of its operation',
      edit: noTag,
      type: 'aws.kms.alias',
      start: startAliases,
      mutant: { told: 'unknown', made: 1, left: 2 },
    },
  ])('$what ($type)', async ({ edit, type, start, mutant }) => {
    const at = await start()
    const wrong = await mutantOf('aws', edit)
    try {
      expect(await afterLoss(aws, type, at)).toEqual(ours)
      expect(await afterLoss(wrong.provider, type, at)).toMatchObject(mutant)
    } finally {
      await wrong.away()
      await at.stop()
    }
  })

  test('that leaves sessions alone in an incident', async () => {
    const wrong = await mutantOf('aws', {
      file: 'access-key-switch.ts',
      from: "call.incident === true && to !== 'enabled'",
      to: 'false',
    })
    const iam = new IAM(bench.client)
    /** Whether a session that was begun with a key outlives that key's end. */
    const outlives = async (provider: Provider): Promise<boolean> => {
      const UserName = `user-${randomUUID()}`
      await iam.createUser({ UserName })
      await iam.putUserPolicy({
        UserName,
        PolicyName: 'all',
        PolicyDocument: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
        }),
      })
      const { AccessKey: key } = await iam.createAccessKey({ UserName })
      const id = key?.AccessKeyId ?? ''
      const credentials = { accessKeyId: id, secretAccessKey: key?.SecretAccessKey ?? '' }
      const sts = new STS({ ...bench.client, credentials })
      const { Credentials: made } = await sts.getSessionToken({})
      // AWS tells the time in whole seconds: the session is of one before the end.
      const begun = Math.floor(Date.now() / 1000)
      while (Math.floor(Date.now() / 1000) === begun)
        // oxlint-disable-next-line no-await-in-loop -- the clock is what is waited for
        await new Promise((resolve) => setTimeout(resolve, 50))
      const session = provider.connect({
        connection: 'x',
        externalId: 'x',
        settings: bench.settings,
        credential: bench.credential,
        ports: plainPorts(),
      })
      await session.suspend(
        awsAddress('aws.iam.accessKey', { userName: UserName }),
        id,
        call({ incident: true }),
      )
      const late = new IAM({
        ...bench.client,
        credentials: {
          accessKeyId: made?.AccessKeyId ?? '',
          secretAccessKey: made?.SecretAccessKey ?? '',
          sessionToken: made?.SessionToken ?? '',
        },
      })
      return late.getUser({ UserName }).then(
        () => true,
        () => false,
      )
    }
    try {
      expect(await outlives(aws)).toBe(false)
      expect(await outlives(wrong.provider)).toBe(true)
    } finally {
      iam.destroy()
      await wrong.away()
    }
  })
})
