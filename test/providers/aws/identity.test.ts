// Who a connection is at AWS, and what is told where it is nobody: by the real SDK over the house's own HTTP client, against the
// stand-in's STS.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IAM } from '@aws-sdk/client-iam'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Json, JsonObject } from '#domain/json.ts'
import type { Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { aws } from '#providers/aws/provider.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { awsAddress, awsCredential, openAws, type AwsBench } from '#test/contract/aws-peer.ts'
import { call, expectNoLeak, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { peer } from '#test/support/peers.ts'
import { startUntrusted } from '#test/support/untrusted.ts'

const externalId = '5b8f0a6e-2f39-4e6f-9d0e-3f6f3b1c7a11'
const may = (action: string, resource = '*'): Json => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: action, Resource: resource }],
})
const list = may('secretsmanager:ListSecrets')

peer('moto').describe('a connection of AWS', () => {
  let bench: AwsBench
  let folder: string
  const http = makeSafeFetch({
    egress: makeEgress({ allow: [] }),
    kind: 'provider',
    insecure: false,
  })
  beforeAll(async () => {
    bench = await openAws()
    folder = mkdtempSync(join(tmpdir(), 'rekey-aws-identity-'))
  }, 180_000)
  afterAll(async () => {
    await http.close()
    await bench?.stop()
    rmSync(folder, { recursive: true })
  })
  // What the host of the test itself has is nobody's business.
  beforeEach(() => {
    for (const name of Object.keys(process.env).filter((one) => one.startsWith('AWS_')))
      vi.stubEnv(name, undefined)
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'))
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'))
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    bench.strict.skew(0)
    bench.faulty.reset()
  })

  interface As {
    readonly settings?: JsonObject
    readonly credential?: Secret<string> | null
    readonly fromHost?: boolean
    readonly fetch?: typeof fetch
    readonly externalId?: string
  }
  const connect = (as: As = {}): Session =>
    aws.connect({
      connection: 'payments/prod',
      externalId: as.externalId ?? externalId,
      settings: { ...bench.settings, ...as.settings },
      credential: as.credential === undefined ? bench.credential : as.credential,
      fromHost: as.fromHost === true,
      ports: { ...plainPorts(), fetch: as.fetch ?? http.fetch },
    })
  const rows = async (as: As) => {
    const before = changes()
    const checks = await connect(as).check(call())
    expectNoLeak(checks, [new Secret(bench.strict.admin.secretAccessKey)])
    // Whatever is wrong shows before anything is changed.
    expect(changes()).toBe(before)
    return checks
  }
  const changes = (): number => bench.strict.log().filter((one) => one.changes).length
  const asked = (operation: string, of?: string): number =>
    bench.strict
      .log()
      .filter((one) => one.operation === operation && (of === undefined || one.subject === of))
      .length
  const listing = (session: Session) => session.inventory('aws.secretsmanager.secret', null, call())

  /** A role that trusts the connection, and a user that may assume it and do nothing else. */
  const arrange = (name: string) => {
    const roleArn = bench.strict.role(name, externalId, [list])
    const user = bench.strict.user([may('sts:AssumeRole', roleArn)])
    return {
      roleArn,
      as: { settings: { assumeRole: { roleArn } }, credential: awsCredential(user) },
    }
  }

  test('works as the role that it assumes with the external id that Rekey has made for it, once for many calls', async () => {
    const { roleArn, as } = arrange('app')
    const session = connect(as)
    for (let n = 0; n < 3; n++) await listing(session)
    expect(asked('AssumeRole', roleArn)).toBe(1)
    expect(await session.check(call())).toContainEqual({
      name: 'login',
      outcome: 'ok',
      detail: 'arn:aws:sts::123456789012:assumed-role/app/rekey-payments-prod',
    })
    const own = await failure(listing(connect({ credential: as.credential })))
    expect(own).toMatchObject({ kind: 'forbidden', effect: 'none' })
  })

  test('assumes its role anew when AWS no longer takes the session, in the middle of a call', async () => {
    const { roleArn, as } = arrange('expiring')
    const session = connect(as)
    await listing(session)
    bench.strict.endSessions()
    await listing(session)
    expect(asked('AssumeRole', roleArn)).toBe(2)
  })

  test('assumes no role that trusts another connection, and is told what the trust policy must say', async () => {
    const { roleArn, as } = arrange('of-another')
    const [row, ...more] = await rows({ ...as, externalId: 'b5a3cd5c-70a2-4bb5-a0d2-8a7b0d1e4f22' })
    expect(row).toMatchObject({ name: 'login', outcome: 'missing' })
    expect(row?.hint).toContain(`needs sts:AssumeRole on ${roleArn}`)
    expect(row?.hint).toContain('externalId')
    expect(more).toEqual([])
  })

  test('tells a role that its own principal may not assume', async () => {
    const { as } = arrange('out-of-reach')
    const nobody = bench.strict.user([list])
    const [row] = await rows({ ...as, credential: awsCredential(nobody) })
    expect(row?.hint).toContain('sts:AssumeRole on arn:aws:iam::123456789012:role/out-of-reach')
  })

  test('shares one request for a session, which ends with no caller but with itself', async () => {
    const { roleArn, as } = arrange('shared')
    const gate = bench.faulty.inject(
      { method: 'POST', path: /./, body: /Action=AssumeRole/ },
      { kind: 'holdAnswer' },
    )
    const session = connect({
      ...as,
      settings: { ...as.settings, endpoint: bench.faulty.address },
    })
    const gone = new AbortController()
    const first = failure(
      session.inventory('aws.secretsmanager.secret', null, call({ signal: gone.signal })),
    )
    await gate.hit()
    const second = listing(session)
    gone.abort()
    expect(await first).toMatchObject({ kind: 'timeout', effect: 'none' })
    await gate.release()
    expect((await second).items).toEqual(expect.any(Array))
    expect(asked('AssumeRole', roleArn)).toBe(1)
  })

  /** A pod with a web identity, whose STS is the region's own: the stand-in answers for it. */
  const inPod = (name: string) => {
    const roleArn = bench.strict.role(name, 'none of Rekey’s', [list])
    const file = join(folder, `${name}.token`)
    vi.stubEnv('AWS_ROLE_ARN', roleArn)
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', file)
    return { roleArn, projects: (token: string) => writeFileSync(file, token) }
  }

  test('of a pod reads its web identity token again when it has changed', async () => {
    const { roleArn, projects } = inPod('pod')
    projects('first.token')
    bench.strict.federate(roleArn, ['first.token'])
    const session = connect({ credential: null, fromHost: true })
    await listing(session)
    await listing(session)
    expect(asked('AssumeRoleWithWebIdentity', roleArn)).toBe(1)
    // The cluster puts another token there; the first one is good for nothing by then.
    projects('second.token')
    bench.strict.federate(roleArn, ['second.token'])
    bench.strict.endSessions()
    await listing(session)
    expect(asked('AssumeRoleWithWebIdentity', roleArn)).toBe(2)
  })

  test('of a pod assumes a role on top, by the external id', async () => {
    const { roleArn, projects } = inPod('below')
    projects('token')
    bench.strict.federate(roleArn, ['token'])
    bench.strict.allow(roleArn, [may('sts:AssumeRole')])
    const above = bench.strict.role('above', externalId, [list])
    const session = connect({
      credential: null,
      fromHost: true,
      settings: { assumeRole: { roleArn: above } },
    })
    await listing(session)
    bench.strict.endSessions()
    await listing(session)
    expect(asked('AssumeRole', above)).toBe(2)
  })

  test.each([
    ['a token that nobody trusts', ['another.token'], /trust policy/],
    ['a role that trusts no issuer', null, /trust policy/],
  ] as const)('of a pod is told of %s', async (what, trusted, hint) => {
    const { roleArn, projects } = inPod(`untrusted-${what.length}`)
    projects('my.own-token')
    if (trusted !== null) bench.strict.federate(roleArn, trusted)
    const [row] = await rows({ credential: null, fromHost: true })
    expect(row).toMatchObject({
      name: 'login',
      outcome: 'missing',
      detail: 'AWS refused the credentials of this host',
      hint: expect.stringMatching(hint),
    })
    expectNoLeak(row, [new Secret('my.own-token')])
  })

  test('of a host without credentials is told what to give it', async () => {
    const [row] = await rows({ credential: null, fromHost: true })
    expect(row).toMatchObject({ detail: 'this host has no credentials of AWS' })
    expect(row?.hint).toContain('give it a role')
  })

  test('of a host reads a file of credentials again once AWS takes what it said no longer', async () => {
    const file = join(folder, 'credentials')
    const say = (key: { readonly id: string; readonly secret: string }) =>
      writeFileSync(
        file,
        `[default]\naws_access_key_id = ${key.id}\naws_secret_access_key = ${key.secret}\n`,
      )
    const [one, other] = [bench.strict.user([list]), bench.strict.user([list])]
    say(one)
    const session = connect({ credential: null, fromHost: true })
    await listing(session)
    say(other)
    await listing(session)
    bench.strict.deactivate(one.id)
    await listing(session)
    rmSync(file)
  })

  test('without `default` uses nothing of the host', async () => {
    const { accessKeyId, secretAccessKey } = bench.strict.admin
    vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey)
    expect((await rows({ credential: null }))[0]?.detail).toBe('the connection has no credential')
    expect((await rows({ credential: null, fromHost: true }))[0]?.outcome).toBe('ok')
  })

  test('does nothing in another account than it is for', async () => {
    const [row] = await rows({ settings: { account: '210987654321' } })
    expect(row).toMatchObject({
      detail: 'the credential is of another account than the connection',
      hint: 'the connection is for account 210987654321, the credential is of 123456789012',
    })
    const error = await failure(listing(connect({ settings: { account: '210987654321' } })))
    expect(error).toMatchObject({ kind: 'precondition', effect: 'none' })
  })

  test.each([-11, 11])('shows a clock that is %i minutes off', async (minutes) => {
    bench.strict.skew(minutes * 60_000)
    const checks = await rows({})
    expect(checks).toContainEqual({
      name: 'clock',
      outcome: 'missing',
      detail: expect.stringMatching(/clock differs by 6\d\d s/),
      hint: 'synchronise the clock of this host: AWS accepts five minutes',
    })
  })

  test('takes no page of a proxy for the success of a change that answers nothing', async () => {
    const { strict, faulty } = bench
    const iam = new IAM(bench.client)
    await iam.createUser({ UserName: 'paged' })
    const { AccessKey: made } = await iam.createAccessKey({ UserName: 'paged' })
    iam.destroy()
    const session = connect({ settings: { endpoint: faulty.address } })
    const object = awsAddress('aws.iam.accessKey', { userName: 'paged' })
    const page = { method: 'POST', path: /./, body: /Action=UpdateAccessKey/ }
    faulty.inject(page, { kind: 'html', status: 200 })
    const error = await failure(session.suspend(object, made?.AccessKeyId ?? '', call()))
    expect(error).toMatchObject({ kind: 'transient', effect: 'unknown' })
    expect(await session.stateOf(object, made?.AccessKeyId ?? '', call())).toBe('enabled')
    expect(strict.log().filter((one) => one.operation === 'UpdateAccessKey')).toEqual([])
  })

  test('tells a page of a proxy, an address where nobody is, and a credential that is none', async () => {
    bench.faulty.inject({ method: 'POST', path: /./ }, { kind: 'html', status: 200 }, 9)
    const page = await rows({ settings: { endpoint: bench.faulty.address } })
    expect(page).toEqual([
      expect.objectContaining({
        name: 'login',
        outcome: 'missing',
        detail: 'the answer is not AWS’s',
        hint: expect.stringContaining('a proxy or firewall answered'),
      }),
    ])
    const [nobody] = await rows({ settings: { endpoint: 'http://127.0.0.1:2' } })
    expect(nobody?.detail).toContain('ECONNREFUSED')
    expect(nobody?.hint).toContain('endpoint')
    const [wrong] = await rows({ credential: new Secret('AKIAIOSFODNN7EXAMPLE') })
    expect(wrong).toMatchObject({ detail: 'the credential is not an access key' })
    const [unknown] = await rows({
      credential: awsCredential({ id: 'AKIAIOSFODNN7EXAMPLE', secret: 'x' }),
    })
    expect(unknown).toMatchObject({ detail: 'AWS refused the credential' })
  })

  test('sends nothing to whoever shows a certificate that nobody vouches for', async () => {
    const impostor = await startUntrusted()
    const [row] = await rows({ settings: { endpoint: impostor.address } })
    expect(row).toMatchObject({
      name: 'login',
      outcome: 'missing',
      detail: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT'),
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    })
    expect(impostor.requests()).toBe(0)
    await impostor.stop()
  })

  test.each(['http://169.254.169.254', 'https://[fd00:ec2::254]', 'https://[::ffff:a9fe:a9fe]'])(
    'dials no %s, even where its settings came past the border',
    async (endpoint) => {
      const [row] = await rows({ settings: { endpoint } })
      expect(row).toMatchObject({
        outcome: 'missing',
        detail: 'the address may not be dialled',
        hint: expect.stringContaining('never dialled'),
      })
    },
  )
})
