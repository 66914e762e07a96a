// The whole API, Doppler's stand-in behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Session } from '#domain/provider.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { startDoppler } from '#test/peers/doppler/doppler.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { makeFaultPlan } from './faults.ts'
import { openRunningApi } from './running-api.ts'

export type DopplerStage = Awaited<ReturnType<typeof openDopplerStage>>

/** Connections: `doppler`, and `vault` (the built-in one). Project: `backend`. */
export const openDopplerStage = async ({
  wrap = (session) => session,
}: { readonly wrap?: (session: Session) => Session } = {}) => {
  const doppler = await startDoppler()
  const proxy = await startFaultProxy(doppler.address)
  const plans = makeFaultPlan()
  const api = await openRunningApi({ wrap: (session) => wrap(plans.wrap(session)) })
  const { house } = api
  await house.connection('vault')
  await house.connection('doppler', {
    provider: 'doppler',
    settings: { apiUrl: proxy.address },
    credential: { from: 'value', value: doppler.admin },
    grants: [{ matchLabels: {}, refs: ['*'] }],
  })
  return {
    ...api,
    doppler,
    proxy,
    plans,
    until: (id: string, wanted: readonly Phase[] | 'end') => api.reach(id, wanted, { looks: 300 }),
    register: async (
      name: string,
      type: string,
      ref: Readonly<Record<string, string>>,
      more: Readonly<Record<string, unknown>> = {},
    ) =>
      (
        await house.register(name, {
          connection: 'doppler',
          type,
          ref,
          labels: { key: name },
          create: false,
          ...more,
        })
      ).value,
    /** The newest rotation of a key, whoever started it. */
    rotationOf: async (key: string): Promise<string> => {
      const reply = await api.call('GET', `/v1/rotations?key=${key}`)
      expect(reply.status, reply.text).toBe(200)
      return reply.json.items[0].id
    },
    /** What reached Doppler while `work` ran, as `operation: how often`. */
    requestsOf: async (work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> => {
      const before = doppler.log().length
      await work()
      const seen = doppler.log().slice(before)
      return Object.fromEntries(
        [...Map.groupBy(seen, ({ operation }) => operation)].map(([of, all]) => [of, all.length]),
      )
    },
    close: async () => {
      await api.close()
      await proxy.stop()
      await doppler.stop()
    },
  }
}
