// The whole API, AWS's strict stand-in behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Phase } from '#domain/rotation-machine.ts'
import { account, region, startStrictAws } from '#test/peers/aws/strict.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { makeFaultPlan } from './faults.ts'
import { openRunningApi } from './running-api.ts'

export type AwsStage = Awaited<ReturnType<typeof openAwsStage>>

/** Connections: `aws`, and `vault` (the built-in one). */
export const openAwsStage = async () => {
  const strict = await startStrictAws()
  const proxy = await startFaultProxy(strict.address)
  const plans = makeFaultPlan()
  const api = await openRunningApi({ wrap: plans.wrap })
  const { house } = api
  const { ledger } = house
  const grants = [{ matchLabels: {}, refs: ['*'] }]
  await house.connection('vault')
  await house.connection('aws', {
    provider: 'aws',
    settings: { region, account, endpoint: proxy.address },
    credential: { from: 'value', value: strict.admin },
    grants,
  })

  const stage = {
    ...api,
    strict,
    proxy,
    plans,
    api,
    /** For an SDK client that arranges. */
    client: { region, endpoint: strict.address, credentials: strict.admin },
    until: (id: string, wanted: readonly Phase[] | 'end') => api.reach(id, wanted, { looks: 300 }),
    register: async (
      name: string,
      type: string,
      ref: Readonly<Record<string, string>>,
      more: Readonly<Record<string, unknown>> = {},
    ) =>
      (
        await house.register(name, {
          connection: 'aws',
          type,
          ref,
          labels: { key: name },
          create: false,
          ...more,
        })
      ).value,
    /** The newest rotation of a key, whoever started it. */
    async rotationOf(key: string): Promise<string> {
      const reply = await api.call('GET', `/v1/rotations?key=${key}`)
      expect(reply.status, reply.text).toBe(200)
      return reply.json.items[0].id
    },
    events: async (id: string) =>
      (await ledger.read((db) => db.audit.after(id, null, 1_000))).map(({ body }) => body),
    intents: (id: string) => ledger.read((db) => db.intents.of(id)),
    close: async () => {
      await api.close()
      await proxy.stop()
      await strict.stop()
    },
  }
  return stage
}
