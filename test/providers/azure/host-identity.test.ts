// The identity of this host, where the connection says `default`: what platforms put into its environment, by the real
// @azure/identity. Nothing of it is used where the connection does not say so.

import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { azure } from '#providers/azure/provider.ts'
import { azureAddress, azureSettings } from '#test/contract/azure-peer.ts'
import { call, failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'
import { newAttributes } from '#test/peers/azure/wire.ts'

let strict: StrictAzure
let platform: Server
let folder: string
let asked: string[] = []
/** What the platform answers; its own address and header are read once a process, by MSAL. */
let platformSays = 200
beforeAll(async () => {
  strict = await startStrictAzure()
  strict.secrets.add('known', {
    value: 'x',
    contentType: null,
    attributes: newAttributes(undefined),
    tags: {},
    kid: null,
  })
  folder = mkdtempSync(join(tmpdir(), 'rekey-azure-identity-'))
  // As App Service, Functions and Container Apps have it.
  platform = createServer((request, response) => {
    asked.push(request.url ?? '')
    const ok = request.headers['x-identity-header'] === 'header'
    response.writeHead(ok ? platformSays : 400, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({
        access_token: strict.adminToken(),
        expires_on: String(Math.floor(Date.now() / 1000) + 3_600),
        resource: 'https://vault.azure.net',
        token_type: 'Bearer',
        client_id: strict.admin.clientId,
      }),
    )
  })
  await new Promise<void>((resolve) => platform.listen(0, '127.0.0.1', resolve))
})
beforeEach(() => managed())
afterEach(() => {
  vi.unstubAllEnvs()
  asked = []
  platformSays = 200
})
afterAll(async () => {
  platform.close()
  rmSync(folder, { recursive: true })
  await strict.stop()
})

const known = azureAddress('azure.keyvault.secret', 'known')
const connect = (fromHost: boolean, withId = true) => {
  const { clientId, ...settings } = azureSettings(strict, strict.address, strict.admin)
  return azure.connect({
    connection: 'azure',
    externalId: 'x',
    settings: withId && clientId !== undefined ? { ...settings, clientId } : settings,
    credential: null,
    fromHost,
    ports: plainPorts(),
  })
}

const workload = (token: string): void => {
  const file = join(folder, 'token')
  writeFileSync(file, token)
  vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', file)
  vi.stubEnv('AZURE_TENANT_ID', strict.entra.tenantId)
  vi.stubEnv('AZURE_CLIENT_ID', strict.admin.clientId)
}

const managed = (): void => {
  const bound = platform.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  vi.stubEnv('IDENTITY_ENDPOINT', `http://127.0.0.1:${port}/msi/token`)
  vi.stubEnv('IDENTITY_HEADER', 'header')
}

test('a workload identity logs in by its federated token', async () => {
  strict.admin.federated.push('federated.token.of-the-cluster')
  workload('federated.token.of-the-cluster')
  expect((await connect(true).describe(known, call())).versions).toHaveLength(1)
})

test('a federated token that nobody trusts is told as that', async () => {
  workload('federated.token.')
  platformSays = 400
  const error = await failure(connect(true).describe(known, call()))
  expect(error).toMatchObject({ kind: 'auth', effect: 'none' })
  expect(error.hint).toContain('federated credential')
})

test('a managed identity gets its token from the platform, for vaults, by the client id of the settings', async () => {
  expect((await connect(true).describe(known, call())).versions).toHaveLength(1)
  expect(asked).toHaveLength(1)
  expect(asked[0]).toContain(`client_id=${strict.admin.clientId}`)
  expect(decodeURIComponent(asked[0] ?? '')).toContain('resource=https://vault.azure.net')
})

test('a principal of the environment logs in', async () => {
  vi.stubEnv('AZURE_TENANT_ID', strict.entra.tenantId)
  vi.stubEnv('AZURE_CLIENT_ID', strict.admin.clientId)
  vi.stubEnv('AZURE_CLIENT_SECRET', strict.admin.clientSecret)
  expect((await connect(true, false).describe(known, call())).versions).toHaveLength(1)
})

test('without `default` nothing of the host is used', async () => {
  const error = await failure(connect(false).describe(known, call()))
  expect(error).toMatchObject({ kind: 'auth', message: 'the connection has no credential' })
  expect(asked).toEqual([])
})

test('on a virtual machine the metadata service is asked by the identity of the host alone, and never by the connection', async () => {
  // 169.254.169.254, as the SDK lets it be somewhere else.
  const asks: { readonly url: string; readonly metadata: string | undefined }[] = []
  const metadata = createServer((request, response) => {
    asks.push({ url: request.url ?? '', metadata: request.headers['metadata'] as string })
    // The SDK's first look comes without the header, and is to be refused.
    const ok = request.headers['metadata'] === 'true'
    response.writeHead(ok ? 200 : 400, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify(
        ok
          ? {
              access_token: strict.adminToken(),
              expires_on: String(Math.floor(Date.now() / 1000) + 3_600),
              resource: 'https://vault.azure.net',
              token_type: 'Bearer',
            }
          : { error: 'invalid_request' },
      ),
    )
  })
  await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve))
  const { port } = metadata.address() as AddressInfo
  const { clientId: _unsaid, ...settings } = azureSettings(strict, strict.address, strict.admin)
  try {
    const script = join(import.meta.dirname, '../../support/azure-on-a-vm.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [script], {
      env: {
        PATH: process.env['PATH'],
        VAULT_SETTINGS: JSON.stringify(settings),
        AZURE_POD_IDENTITY_AUTHORITY_HOST: `http://127.0.0.1:${port}`,
      },
    })
    const told = JSON.parse(stdout) as { readonly versions?: number; readonly asked: string[] }
    expect(told).toMatchObject({ versions: 1 })
    expect(
      asks.some(
        ({ url, metadata: header }) =>
          header === 'true' && url.includes('resource=https%3A%2F%2Fvault.azure.net'),
      ),
    ).toBe(true)
    // By what a connection can name, nobody gets there.
    expect(told.asked.filter((url) => !url.startsWith(strict.address))).toEqual([])
  } finally {
    metadata.close()
  }
})
