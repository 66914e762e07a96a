// The whole API, Azure's strict stand-in behind a proxy that fails on purpose, and an engine that tests ring by hand.

import type { Phase } from '#domain/rotation-machine.ts'
import { startStrictAzure } from '#test/peers/azure/strict.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { makeFaultPlan } from './faults.ts'
import { openRunningApi } from './running-api.ts'

export type AzureStage = Awaited<ReturnType<typeof openAzureStage>>

/** Connections: `azure`, and `vault` (the built-in one). */
export const openAzureStage = async () => {
  const strict = await startStrictAzure()
  const proxy = await startFaultProxy(strict.address)
  const plans = makeFaultPlan()
  const api = await openRunningApi({ wrap: plans.wrap })
  const { house } = api
  await house.connection('vault')
  await house.connection('azure', {
    provider: 'azure',
    settings: {
      vaultUrl: proxy.address,
      clientId: strict.admin.clientId,
      authorityHost: strict.entra.address,
    },
    credential: { from: 'value', value: { clientSecret: strict.admin.clientSecret } },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })
  return {
    ...api,
    strict,
    proxy,
    plans,
    until: (id: string, wanted: readonly Phase[] | 'end') => api.reach(id, wanted, { looks: 300 }),
    register: async (name: string, type: string, more: Readonly<Record<string, unknown>> = {}) =>
      (
        await house.register(name, {
          connection: 'azure',
          type,
          ref: { name },
          labels: { key: name },
          create: false,
          ...more,
        })
      ).value,
    /** The newest rotation of a key, whoever started it. */
    async rotationOf(key: string): Promise<string> {
      const { status, text, json } = await api.call('GET', `/v1/rotations?key=${key}`)
      if (status !== 200) throw new Error(text)
      return json.items[0].id
    },
    /** Effects at the vault, in order: what its own log has. */
    effects: (path: string): readonly string[] =>
      strict
        .log()
        .filter((one) => one.changes && one.status < 300 && one.path.startsWith(path))
        .map(({ method }) => method),
    close: async () => {
      await api.close()
      await proxy.stop()
      await strict.stop()
    },
  }
}
