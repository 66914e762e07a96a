// The whole API, a real Vault behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { maxRequestDuration, startVault } from '#test/peers/vault.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { openRunningApi } from './running-api.ts'

export type VaultStage = Awaited<ReturnType<typeof openVaultStage>>

/** Connections: `kv` at the Vault, `vault` (the built-in one). */
export const openVaultStage = async () => {
  const peer = await startVault()
  const proxy = await startFaultProxy(peer.address)
  const api = await openRunningApi()
  const { house } = api
  const { ledger } = house
  await house.connection('vault')
  await house.connection('kv', {
    provider: 'vault',
    settings: { address: proxy.address, maxRequestDuration, auth: { method: 'token' } },
    credential: { from: 'value', value: peer.token },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })

  const stage = {
    ...api,
    peer,
    proxy,
    api,
    until: api.reach,
    /** Registers what is at `secret/<path>`; its label `key` is its name. */
    kv: async (name: string, path: string, field = 'password', connection = 'kv') =>
      (
        await house.register(name, {
          connection,
          type: 'vault.kv2.secret',
          ref: { mount: 'secret', path, field },
          labels: { key: name },
          create: false,
        })
      ).value,
    transit: async (name: string) => {
      await peer.api('POST', `transit/keys/${name}`, {})
      return (
        await house.register(name, {
          connection: 'kv',
          type: 'vault.transit.key',
          ref: { mount: 'transit', name },
          labels: { key: name },
          create: false,
        })
      ).value
    },
    /** Somebody who is not Rekey writes the whole secret. */
    put: (path: string, data: object) => peer.api('POST', `secret/data/${path}`, { data }),
    /** What a reader gets: the data of a version (the current one), or null. */
    async get(path: string, version = 0): Promise<unknown> {
      const { data, status } = await peer.api('GET', `secret/data/${path}?version=${version}`)
      return status === 200 ? data['data'] : null
    },
    /** Every version at the path: `enabled`, `disabled` (soft deleted) or `destroyed`. */
    async states(path: string): Promise<readonly string[]> {
      const { data } = await peer.api('GET', `secret/metadata/${path}`)
      const rows: Readonly<
        Record<string, { readonly destroyed: boolean; readonly deletion_time: string }>
      > = Object(data['versions'])
      return Object.entries(rows)
        .toSorted(([a], [b]) => Number(a) - Number(b))
        .map(([, { destroyed, deletion_time: deleted }]) =>
          destroyed ? 'destroyed' : deleted === '' ? 'enabled' : 'disabled',
        )
    },
    transitLatest: async (name: string): Promise<unknown> =>
      (await peer.api('GET', `transit/keys/${name}`)).data['latest_version'],
    intents: (id: string) => ledger.read((db) => db.intents.of(id)),
    events: async (id: string) =>
      (await ledger.read((db) => db.audit.after(id, null, 1_000))).map(({ body }) => body),
    close: async () => {
      await api.close()
      await proxy.stop()
      await peer.stop()
    },
  }
  return stage
}
