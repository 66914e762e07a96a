// Certificates: what is refused before anything is requested, what is told of Key Vault's own renewal, and what a request that
// was lost, or takes long, looks like to the probe.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { azure } from '#providers/azure/provider.ts'
import {
  azureAddress,
  azureCredential,
  azureSettings,
  putCertificate,
} from '#test/contract/azure-peer.ts'
import { call, currentOf, failure, makeOrder } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'

let strict: StrictAzure
let session: Session
beforeAll(async () => {
  strict = await startStrictAzure()
  session = azure.connect({
    connection: 'azure',
    externalId: 'x',
    settings: azureSettings(strict, strict.address, strict.admin),
    credential: azureCredential(strict.admin),
    ports: plainPorts(),
  })
})
afterAll(() => strict.stop())

const type = azure.types.find((one) => one.type === 'azure.keyvault.certificate')
if (type === undefined) throw new Error('no type')
const address = (name: string): ObjectAddress => azureAddress('azure.keyvault.certificate', name)
const order = (object: ObjectAddress) =>
  makeOrder({ session, type, peer: { ports: plainPorts() } as never }, object)

test('a new version is of the same policy, and of another key', async () => {
  putCertificate(strict, 'rsa', { key_props: { kty: 'RSA', key_size: 2048, exportable: false } })
  const object = address('rsa')
  const { providerVersion } = await session.mint(await order(object), call())
  const [before, after] = strict.keys.get('rsa').versions
  expect(after?.id).toBe(providerVersion)
  expect(after?.value.pair.kty).toBe('RSA')
  expect(after?.value.pair.privateKey.equals(before?.value.pair.privateKey as never)).toBe(false)
  const { facts } = await session.describe(object, call())
  expect(facts).toMatchObject({ issuer: 'Self', autoRotateSeconds: 0, versions: 2 })
})

test.each([
  {
    name: 'by-hand',
    policy: { issuer: { name: 'Unknown' } },
    kind: 'unsupported',
    hint: /names no issuer/,
  },
  {
    name: 'same-key',
    policy: { key_props: { kty: 'EC', crv: 'P-256', reuse_key: true } },
    kind: 'precondition',
    hint: /set reuse_key to false/,
  },
] as const)(
  'a policy that $name is refused before anything is requested',
  async ({ name, policy, kind, hint }) => {
    putCertificate(strict, name)
    const current = await currentOf(session, address(name))
    const set = await fetch(
      `${strict.address}/certificates/${name}/policy?api-version=2025-07-01`,
      {
        method: 'PATCH',
        headers: {
          authorization: `Bearer ${strict.adminToken()}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify(policy),
      },
    )
    expect(set.status).toBe(200)
    const error = await failure(session.prepare(address(name), current, call()))
    expect(error).toMatchObject({ kind, effect: 'none' })
    expect(error.hint).toMatch(hint)
  },
)

test('Key Vault’s own renewal is told', async () => {
  putCertificate(strict, 'renews', {
    lifetime_actions: [
      { trigger: { lifetime_percentage: 80 }, action: { action_type: 'AutoRenew' } },
    ],
  })
  const object = address('renews')
  const { facts } = await session.describe(object, call())
  expect(facts).toMatchObject({ autoRotateSeconds: 288 * 86_400 })
  const { risks } = await session.prepare(object, await currentOf(session, object), call())
  expect(risks.join()).toContain('renews this certificate by itself')
})

test('somebody else’s request that is under way is waited for by nobody, and not doubled', async () => {
  putCertificate(strict, 'pending')
  const current = await currentOf(session, address('pending'))
  strict.certificates.issuing.ms = 60_000
  putCertificate(strict, 'pending')
  strict.certificates.issuing.ms = 0
  expect(await failure(session.prepare(address('pending'), current, call()))).toMatchObject({
    kind: 'conflict',
    effect: 'none',
  })
})

test('what an issuer is still at is in progress to the probe, and ours once it is there', async () => {
  putCertificate(strict, 'slow')
  const object = address('slow')
  const made = await order(object)
  strict.certificates.issuing.ms = 3_600_000
  expect(await failure(session.mint(made, call()))).toMatchObject({
    kind: 'outcomeUnknown',
    effect: 'unknown',
  })
  expect(await session.probeMint(made, call())).toMatchObject({ answer: 'inProgress' })
  const before = strict.certificates.shelf.get('slow').versions.length
  strict.certificates.issueNow('slow')
  strict.certificates.issuing.ms = 0
  expect(await session.probeMint(made, call())).toMatchObject({ answer: 'ours' })
  expect(strict.certificates.shelf.get('slow').versions).toHaveLength(before + 1)
})

test('a request that the issuer refuses later is nobody’s version: a person is asked', async () => {
  putCertificate(strict, 'fails')
  const made = await order(address('fails'))
  Object.assign(strict.certificates.issuing, { ms: 3_600_000, fails: true })
  await failure(session.mint(made, call()))
  strict.certificates.issueNow('fails')
  Object.assign(strict.certificates.issuing, { ms: 0, fails: false })
  expect(await session.probeMint(made, call())).toMatchObject({
    answer: 'foreign',
    detail: expect.stringContaining('failed'),
  })
})
