// The stand-in answers as the specification's examples do, and a client that is wrong fails against it.

import { SecretClient } from '@azure/keyvault-secrets'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import type { ProviderPorts } from '#domain/provider.ts'
import { azure } from '#providers/azure/provider.ts'
import {
  azureAddress,
  azureCredential,
  azureSettings,
  putCertificate,
  requestUrl,
} from '#test/contract/azure-peer.ts'
import { call, currentOf, failure, makeOrder } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startFaultProxy } from '#test/support/fault-proxy.ts'
import {
  certificateExamples,
  keyExamples,
  secretExamples,
  expected,
  type Example,
} from './examples.ts'
import { startStrictAzure, type StrictAzure } from './strict.ts'
import { apiVersion } from './wire.ts'

let strict: StrictAzure
let token: string
beforeAll(async () => {
  strict = await startStrictAzure()
  token = strict.adminToken()
})
afterAll(() => strict.stop())

interface Sent {
  readonly status: number
  readonly headers: Headers
  readonly body: JsonObject
}

/** By hand: the stand-in and the SDK agree on more than each other. */
const send = async (
  method: string,
  path: string,
  {
    body,
    query = '',
    version = apiVersion,
    by = token,
    type = 'application/json',
  }: {
    readonly body?: JsonObject
    readonly query?: string
    readonly version?: string | null
    readonly by?: string | null
    readonly type?: string
  } = {},
): Promise<Sent> => {
  const asked = [...(version === null ? [] : [`api-version=${version}`]), query].filter(Boolean)
  const response = await fetch(`${strict.address}/${path}?${asked.join('&')}`, {
    method,
    headers: {
      ...(by === null ? {} : { authorization: `Bearer ${by}` }),
      ...(body === undefined ? {} : { 'content-type': type }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as JsonObject),
  }
}

const versionIn = ({ body }: Sent): string => {
  const { kid } = Object(body['key']) as { readonly kid?: unknown }
  const id = kid ?? body['id']
  return typeof id === 'string' ? (/[0-9a-f]{32}$/.exec(id)?.[0] ?? '') : ''
}
const filled = (body: JsonObject, answer: string): JsonObject =>
  Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, value === '{answer}' ? answer : value]),
  )

describe('the stand-in of Key Vault', () => {
  const replay = async (examples: readonly Example[]): Promise<void> => {
    let made = ''
    let answered = ''
    for (const { file, method, path, query, body, status = 200, answers } of examples) {
      const at = path.replace('{version}', made)
      // oxlint-disable-next-line no-await-in-loop -- one follows from the other
      const sent = await send(method, at, {
        ...(body === undefined ? {} : { body: filled(body, answered) }),
        ...(query === undefined ? {} : { query }),
      })
      expect(sent.status, `${file} ${JSON.stringify(sent.body)}`).toBe(status)
      const matching = (pattern: RegExp): unknown => ({
        asymmetricMatch: (value: unknown) => pattern.test(String(value)),
        toString: () => String(pattern),
      })
      if (answers !== null)
        expect(sent.body, file).toMatchObject(Object(expected(answers, matching)))
      made = versionIn(sent) || made
      answered = typeof sent.body['value'] === 'string' ? sent.body['value'] : ''
      // oxlint-disable-next-line no-await-in-loop -- what is being deleted or recovered is in the way for a moment
      if (path.endsWith('/recover') || method === 'DELETE') await pause()
    }
  }
  const pause = () => new Promise((resolve) => setTimeout(resolve, strict.windows.ms + 10))

  test('answers the examples of the specification as the specification does: secrets', () =>
    replay(secretExamples))

  test('answers the examples of the specification as the specification does: keys', () =>
    replay(keyExamples))

  test('answers the examples of the specification as the specification does: certificates', () =>
    replay(certificateExamples))

  test('switches the key and the secret of a certificate off with it', async () => {
    putCertificate(strict, 'whole')
    const { body } = await send('GET', 'certificates/whole')
    const id = versionIn({ status: 200, headers: new Headers(), body: { id: body['id'] ?? '' } })
    expect((await send('GET', `secrets/whole/${id}`)).status).toBe(200)
    await send('PATCH', `certificates/whole/${id}`, { body: { attributes: { enabled: false } } })
    expect(await send('GET', `secrets/whole/${id}`)).toMatchObject({ status: 403 })
    expect(await send('GET', `keys/whole/${id}`)).toMatchObject({ status: 403 })
    expect(await send('PUT', 'secrets/whole', { body: { value: 'x' } })).toMatchObject({
      status: 409,
    })
  })

  test('challenges who has no token, or one that it does not know', async () => {
    for (const by of [null, 'another']) {
      // oxlint-disable-next-line no-await-in-loop -- two
      const { status, headers, body } = await send('GET', 'secrets', { by })
      expect(status).toBe(401)
      expect(body).toMatchObject({ error: { code: 'Unauthorized' } })
      expect(headers.get('www-authenticate')).toBe(
        `Bearer authorization="${strict.entra.address}/${strict.entra.tenantId}", resource="https://vault.azure.net"`,
      )
    }
  })

  test('refuses another api-version, a body that is not JSON, and fields that it does not know', async () => {
    for (const version of [null, '7.4', '2026-04-01', '2025-07-01-preview'])
      // oxlint-disable-next-line no-await-in-loop -- four
      expect(await send('GET', 'secrets', { version })).toMatchObject({
        status: 400,
        body: { error: { code: 'BadParameter' } },
      })
    const body = { value: 'x' }
    expect(await send('PUT', 'secrets/typed', { body, type: 'text/plain' })).toMatchObject({
      status: 415,
    })
    expect(await send('PUT', 'secrets/typed', { body: { ...body, colour: 'red' } })).toMatchObject({
      status: 400,
    })
    expect(strict.secrets.find('typed')).toBeUndefined()
  })

  test('gives readers who name no version an error where the newest is disabled, and not the version before', async () => {
    await send('PUT', 'secrets/newest', { body: { value: 'one' } })
    const id = versionIn(await send('PUT', 'secrets/newest', { body: { value: 'two' } }))
    await send('PATCH', `secrets/newest/${id}`, { body: { attributes: { enabled: false } } })
    expect(await send('GET', 'secrets/newest')).toMatchObject({
      status: 403,
      body: { error: { code: 'Forbidden', innererror: { code: 'SecretDisabled' } } },
    })
  })

  test('keeps a deleted name: 409 while it goes, and until it is recovered or purged', async () => {
    strict.windows.ms = 200
    const body = { value: 'x' }
    const inner = (code: string) => ({ status: 409, body: { error: { innererror: { code } } } })
    await send('PUT', 'secrets/gone', { body })
    await send('DELETE', 'secrets/gone')
    expect(await send('PUT', 'secrets/gone', { body })).toMatchObject(inner('ObjectIsBeingDeleted'))
    expect(await send('GET', 'deletedsecrets/gone')).toMatchObject({ status: 404 })
    await pause()
    expect(await send('PUT', 'secrets/gone', { body })).toMatchObject(
      inner('ObjectIsDeletedButRecoverable'),
    )
    await send('POST', 'deletedsecrets/gone/recover')
    expect(await send('PUT', 'secrets/gone', { body })).toMatchObject(
      inner('ObjectIsBeingRecovered'),
    )
    await pause()
    expect(await send('PUT', 'secrets/gone', { body })).toMatchObject({ status: 200 })
    strict.windows.ms = 50
  })

  test('throttles, with and without Retry-After', async () => {
    strict.throttle(1, '7')
    const told = await send('GET', 'secrets')
    expect([told.status, told.headers.get('retry-after')]).toEqual([429, '7'])
    strict.throttle(1, null)
    const untold = await send('GET', 'secrets')
    expect([untold.status, untold.headers.get('retry-after')]).toEqual([429, null])
    expect((await send('GET', 'secrets')).status).toBe(200)
  })
})

describe('an adapter that is wrong fails against it:', () => {
  let name: string
  let count = 0
  beforeEach(() => {
    name = `mutant-${(count += 1)}`
  })
  const session = (fetch: ProviderPorts['fetch'] = globalThis.fetch, vaultUrl = strict.address) =>
    azure.connect({
      connection: 'mutant',
      externalId: 'x',
      settings: azureSettings(strict, vaultUrl, strict.admin),
      credential: azureCredential(strict.admin),
      ports: { ...plainPorts(), fetch },
    })
  const secret = async () => {
    await send('PUT', `secrets/${name}`, { body: { value: 'one' } })
    return azureAddress('azure.keyvault.secret', name)
  }

  test('with another api-version nothing is answered', async () => {
    const object = await secret()
    const other = session((url, init) =>
      fetch(requestUrl(url).replace(/api(?:-|%2D)version=[^&]+/, 'api-version=7.4'), init),
    )
    expect(await failure(other.describe(object, call()))).toMatchObject({ kind: 'permanent' })
  })

  test('that does not answer the challenge is refused', async () => {
    const object = await secret()
    const other = session((url, init) => {
      const headers = new Headers(init?.headers)
      headers.delete('authorization')
      return fetch(url, { ...init, headers })
    })
    expect(await failure(other.describe(object, call()))).toMatchObject({ kind: 'auth' })
  })

  test('that disables the newest version cuts off who reads without one; ours refuses to', async () => {
    const object = await secret()
    const current = await currentOf(session(), object)
    expect(await failure(session().suspend(object, current, call()))).toMatchObject({
      kind: 'precondition',
      effect: 'none',
    })
    expect((await send('GET', `secrets/${name}`)).status).toBe(200)
    await session().suspend(object, current, call({ incident: true }))
    expect((await send('GET', `secrets/${name}`)).status).toBe(403)
  })

  test('whose SDK tries writes again makes two versions of one; ours makes one', async () => {
    const object = await secret()
    const proxy = await startFaultProxy(strict.address)
    const lose = () =>
      proxy.inject({ method: 'PUT', path: /./, body: /"value"/ }, { kind: 'cutAfter' })
    const versions = () => strict.secrets.get(name).versions.length
    lose()
    const ours = session(globalThis.fetch, proxy.address)
    await failure(ours.mint(await makeOrder({ session: ours, ...ourBench }, object), call()))
    expect(versions()).toBe(2)
    const retrying = new SecretClient(
      proxy.address,
      { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
      {
        serviceVersion: apiVersion,
        disableChallengeResourceVerification: true,
        allowInsecureConnection: true,
        retryOptions: { retryDelayInMs: 1 },
      },
    )
    lose()
    await retrying.setSecret(name, 'twice')
    expect(versions()).toBe(4)
    await proxy.stop()
  })

  const [type] = azure.types
  if (type === undefined) throw new Error('no type')
  const ourBench = { type, peer: { ports: plainPorts() } as never }
})
