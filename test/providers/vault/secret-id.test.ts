import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { vault } from '#providers/vault/provider.ts'
import { textOf } from '#providers/untyped-json.ts'
import { refText, vaultAddress } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, open, order, tokenWith } from './bench.ts'

need('vault').describe('vault.approle.secretId', () => {
  let peer: VaultPeer
  let session: Session

  beforeAll(async () => {
    peer = await startVault()
    session = open(peer.address, peer.token)
  })
  afterAll(async () => {
    await session?.close()
    await peer?.stop()
  })

  const newRole = async (more: object = {}): Promise<ObjectAddress> => {
    const role = `Role-${randomUUID()}`
    await peer.api('POST', `auth/approle/role/${role}`, { token_policies: ['default'], ...more })
    return vaultAddress('vault.approle.secretId', { mount: 'approle', role })
  }
  /** A secret_id of Rekey's, and a token that it was exchanged for. */
  const used = async (
    object: ObjectAddress,
  ): Promise<{ readonly version: string; readonly token: string }> => {
    const made = await order(session, object, null)
    const { providerVersion: version } = await session.mint(made, call())
    const role = refText(object, 'role')
    const { data } = await peer.api('GET', `auth/approle/role/${role}/role-id`)
    const reply = await peer.api('POST', 'auth/approle/login', {
      role_id: data['role_id'],
      secret_id: made.material?.reveal(),
    })
    return { version, token: String(reply.auth['client_token']) }
  }
  const isAlive = async (token: string): Promise<boolean> => {
    const headers = { 'X-Vault-Token': token }
    return (await fetch(`${peer.address}/v1/auth/token/lookup-self`, { headers })).status === 200
  }
  const type = vault.types.find((one) => one.type === 'vault.approle.secretId')
  const policyOf = (object: ObjectAddress, names: readonly string[]): string => {
    const documents = type?.leastPrivilege(object.ref) ?? {}
    return names.map((name) => textOf(documents[name])).join('\n')
  }

  test.each([
    {
      how: 'destroy',
      names: ['destroy', 'describe', 'revokeTokens'],
      tokens: '1 revoked',
      ends: true,
    },
    {
      how: 'destroy',
      names: ['destroy', 'describe'],
      tokens: 'left to their ends: needs list on auth/token/accessors',
      ends: false,
    },
    {
      how: 'disable',
      names: ['destroy', 'describe', 'revokeTokens'],
      tokens: 'left to their ends',
      ends: false,
    },
  ] as const)(
    '$how with the rights $names: tokens are $tokens',
    async ({ how, names, tokens, ends }) => {
      const object = await newRole()
      const one = await used(object)
      const other = await used(object)
      const limited = open(peer.address, await tokenWith(peer, policyOf(object, names)))
      expect(await limited.retire(object, one.version, how, call())).toMatchObject({ tokens })
      expect([await isAlive(one.token), await isAlive(other.token)]).toEqual([!ends, true])
      expect(await session.stateOf(object, one.version, call())).toBe('absent')
      await limited.close()
    },
  )

  test('without the right to look at tokens none is said to have been looked at', async () => {
    const object = await newRole()
    const { version, token } = await used(object)
    const list = 'path "auth/token/accessors" { capabilities = ["list", "sudo"] }'
    const rights = `${policyOf(object, ['destroy', 'describe'])}\n${list}`
    const limited = open(peer.address, await tokenWith(peer, rights))
    expect(await limited.retire(object, version, 'destroy', call())).toMatchObject({
      tokens: 'left to their ends: needs update on auth/token/lookup-accessor',
    })
    expect(await isAlive(token)).toBe(true)
    await limited.close()
  })

  test('in an incident the tokens end with it, however it is retired', async () => {
    const object = await newRole()
    const { version, token } = await used(object)
    await session.retire(object, version, 'disable', call({ incident: true }))
    expect(await isAlive(token)).toBe(false)
  })

  test('one that has ended by itself is no version any more, and its end is told before', async () => {
    const object = await newRole({ secret_id_ttl: '1h' })
    const { version } = await used(object)
    const { versions } = await session.describe(object, call())
    const [told] = versions
    expect((told?.expiresAt?.getTime() ?? 0) - (told?.createdAt?.getTime() ?? 0)).toBe(3_600_000)
    const later = open(peer.address, peer.token, {
      ports: { now: () => new Date(Date.now() + 3_700_000) },
    })
    expect(await later.stateOf(object, version, call())).toBe('absent')
    await later.close()
  })

  test('of more than twenty only the accessors are told, by one request', async () => {
    const object = await newRole()
    for (let n = 0; n < 22; n++)
      await peer.api('POST', `auth/approle/role/${refText(object, 'role')}/secret-id`, {})
    const before = peer.auditLog().length
    const { versions, facts } = await session.describe(object, call())
    expect([versions.length, facts['secretIds']]).toEqual([22, 22])
    const asked = peer.auditLog().slice(before)
    expect(asked.filter(({ request }) => request.path.includes('accessor'))).toEqual([])
  })

  test('a secret_id that is wrong for the version is never tried: a failed login would count against the role', async () => {
    const object = await newRole()
    const { version } = await used(object)
    const before = peer.auditLog().length
    const verdict = await session.verify(
      {
        object,
        providerVersion: version,
        material: new Secret('another'),
        how: 'roundTrip',
        preImage: {},
      },
      call(),
    )
    expect(verdict.ok).toBe(false)
    const asked = peer.auditLog().slice(before)
    expect(asked.filter(({ request }) => request.path.endsWith('/login'))).toEqual([])
  })
})
