// The whole API, a real Vault behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import { keyTypes } from '#providers/registry.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { maxRequestDuration, startVault } from '#test/peers/vault.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { openApi } from './http.ts'

export type VaultStage = Awaited<ReturnType<typeof openVaultStage>>

/** Connections: `kv` at the Vault, `vault` (the built-in one). */
export const openVaultStage = async () => {
  const peer = await startVault()
  const proxy = await startFaultProxy(peer.address)
  const api = await openApi()
  const { house } = api
  const { ledger, timers, ids } = house
  let mostMs = Infinity
  const { clock } = house
  const deadline = (ms: number) => clock.deadline(Math.min(ms, mostMs))
  const faults: unknown[] = []
  const advance = makeAdvanceRotation(
    {
      ledger,
      timers,
      world: {
        sessions: house.sessions,
        types: keyTypes,
        fetch: globalThis.fetch,
        send: makeSendToWebhook({ fetch: globalThis.fetch, clock }),
      },
      clock: { ...clock, deadline },
      ids,
    },
    {
      instance: 'w1',
      bell: { ring: async () => undefined },
      report: (_id, error) => faults.push(error),
    },
  )
  await house.connection('vault')
  await house.connection('kv', {
    provider: 'vault',
    settings: { address: proxy.address, maxRequestDuration, auth: { method: 'token' } },
    credential: { from: 'value', value: peer.token },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })

  const rotation = async (id: string): Promise<Rotation> => {
    const found = await ledger.read((db) => db.rotations.get(id))
    if (!found) throw new Error(`no rotation ${id}`)
    return found
  }
  /** A second at least, and a minute at most: gates count no more at once. */
  const untilLook = async (id: string): Promise<number> => {
    const timer = await ledger.read((db) => db.timers.get(id))
    const leftMs = (timer?.dueAt?.getTime() ?? 0) - (await timers.now()).getTime()
    return Math.min(60_000, Math.max(1_000, leftMs))
  }
  const stage = {
    peer,
    proxy,
    api,
    house,
    faults,
    rotation,
    /** No call may take longer than this from now on: what is held is given up soon. */
    hurry: (ms: number): void => {
      mostMs = ms
    },
    /** Rings for everything that is due until nothing is. */
    async drain(): Promise<void> {
      for (let n = 0; n < 200; n++) {
        const due = await timers.due(100)
        if (due.length === 0) return
        for (const id of due) await advance(id)
      }
      throw new Error('it goes round in circles')
    },
    /** Turns the clock, from one look at the rotation to the next, until it is in one of the phases. */
    async until(id: string, wanted: readonly Phase[] | 'end'): Promise<Rotation> {
      for (let n = 0; n < 600; n++) {
        await stage.drain()
        const now = await rotation(id)
        if (wanted === 'end' ? !isOpen(now.phase) : wanted.includes(now.phase)) return now
        if (now.phase === 'stalled') throw new Error(`stalled: ${now.stalledReason}`)
        await clock.advance(await untilLook(id))
      }
      const { phase, stalledReason } = await rotation(id)
      throw new Error(`still ${phase} (${stalledReason}) ${faults.map(String).join()}`)
    },
    /** A policy of the key's own, without waiting; `spec` wins. */
    policy: (key: string, spec: Readonly<Record<string, unknown>> = {}) =>
      house.policy(key, {
        selector: { matchLabels: { key } },
        manual: true,
        overlap: { min: '0s' },
        soak: '0s',
        ...spec,
      }),
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
    async rotate(key: string): Promise<string> {
      const reply = await api.call('POST', '/v1/rotations', {
        body: { key, reason: 'a test' },
        headers: { 'idempotency-key': ids.next() },
      })
      expect(reply.status, reply.text).toBe(202)
      return reply.json.id
    },
    rollback: (id: string) =>
      api.call('POST', `/v1/rotations/${id}/rollback`, {
        body: { reason: 'a test' },
        headers: { 'idempotency-key': ids.next() },
      }),
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
