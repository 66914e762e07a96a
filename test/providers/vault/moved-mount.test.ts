// A mount that was moved away, or is another engine now, says nothing of what was in it: neither that a version is gone nor that
// it is refused.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { vaultAddress } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, open } from './bench.ts'

need('vault').describe('where nothing of the kind is mounted', () => {
  let peer: VaultPeer
  let session: Session
  beforeAll(async () => {
    peer = await startVault()
    session = open(peer.address, peer.token)
    await peer.api('POST', 'sys/auth/another', { type: 'userpass' })
  })
  afterAll(async () => {
    await session?.close()
    await peer?.stop()
  })

  const places: readonly (readonly [type: string, ref: JsonObject, version: string])[] = [
    ['vault.kv2.secret', { mount: 'moved', path: 'app', field: 'password' }, '1'],
    ['vault.transit.key', { mount: 'moved', name: 'orders' }, '1'],
    ['vault.approle.secretId', { mount: 'moved', role: 'orders' }, 'c3ff2e1d'],
    ['vault.approle.secretId', { mount: 'another', role: 'orders' }, 'c3ff2e1d'],
    ['vault.pki.issuer', { mount: 'moved' }, '5b0f7d1c-4d8f-4b59-8f0a-5f6f3d4d9a11'],
    ['vault.database.staticRole', { mount: 'moved', role: 'orders' }, '2026-01-01T00:00:00Z'],
  ]
  test.each(places)('%s at %j: nothing is said to be gone, refused or done', async (...at) => {
    const [type, ref, version] = at
    const object = vaultAddress(type, ref)
    const asked: Readonly<Record<string, () => Promise<unknown>>> = {
      describe: () => session.describe(object, call()),
      stateOf: () => session.stateOf(object, version, call()),
      refused: () =>
        session.verify(
          { object, providerVersion: version, material: null, how: 'refused', preImage: {} },
          call(),
        ),
      destroy: () => session.retire(object, version, 'destroy', call()),
    }
    for (const [name, ask] of Object.entries(asked)) {
      // oxlint-disable-next-line no-await-in-loop -- told one by one
      const answer = await ask().catch((error: unknown) => error)
      expect([name, answer]).toEqual([name, expect.any(ProviderError)])
      expect(answer).toMatchObject({ effect: 'none' })
    }
  })
})
