// The whole API, AWS's strict stand-in behind a proxy that fails on purpose, and an engine that tests ring by hand.

import { expect } from 'vitest'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { account, region, startStrictAws } from '#test/peers/aws/strict.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { startFaultProxy } from './fault-proxy.ts'
import { makeFaultPlan } from './faults.ts'
import { openApi } from './http.ts'

export type AwsStage = Awaited<ReturnType<typeof openAwsStage>>

/** Connections: `aws`, and `vault` (the built-in one). */
export const openAwsStage = async () => {
  const strict = await startStrictAws()
  const proxy = await startFaultProxy(strict.address)
  const plans = makeFaultPlan()
  const api = await openApi({ wrap: plans.wrap })
  const { house } = api
  const { ledger, timers, clock, ids, hashJson, deps } = house
  const faults: unknown[] = []
  let mostMs = Infinity
  const deadline = (ms: number) => clock.deadline(Math.min(ms, mostMs))
  const worker = (instance: string) =>
    makeAdvanceRotation(
      {
        ledger,
        timers,
        world: {
          sessions: house.sessions,
          types: deps.types,
          fetch: globalThis.fetch,
          send: makeSendToWebhook({ fetch: globalThis.fetch, clock }),
        },
        clock: { ...clock, deadline },
        ids,
      },
      {
        instance,
        bell: { ring: async () => undefined },
        report: (_id, error) => faults.push(error),
      },
    )
  const advance = worker('w1')
  const plan = makePlanRotations({ ledger, timers, ids, types: deps.types, hashJson }, 'w1')
  const grants = [{ matchLabels: {}, refs: ['*'] }]
  await house.connection('vault')
  await house.connection('aws', {
    provider: 'aws',
    settings: { region, account, endpoint: proxy.address },
    credential: { from: 'value', value: strict.admin },
    grants,
  })

  const rotation = async (id: string): Promise<Rotation> => {
    const found = await ledger.read((db) => db.rotations.get(id))
    if (!found) throw new Error(`no rotation ${id}`)
    return found
  }
  const posted = (url: string, body: object) =>
    api.call('POST', url, { body, headers: { 'idempotency-key': ids.next() } })
  /** A second at least, and a minute at most: gates count no more at once. */
  const untilLook = async (id: string): Promise<number> => {
    const timer = await ledger.read((db) => db.timers.get(id))
    const leftMs = (timer?.dueAt?.getTime() ?? 0) - (await timers.now()).getTime()
    return Math.min(60_000, Math.max(1_000, leftMs))
  }
  const stage = {
    strict,
    proxy,
    plans,
    api,
    house,
    faults,
    worker,
    rotation,
    /** For an SDK client that arranges. */
    client: { region, endpoint: strict.address, credentials: strict.admin },
    /** No call may take longer than this from now on: what is held is given up soon. */
    hurry: (ms: number): void => {
      mostMs = ms
    },
    /** Plans what is due, and rings until nothing is. */
    async drain(): Promise<void> {
      for (let n = 0; n < 200; n++) {
        while ((await plan()) > 0);
        const due = await timers.due(100)
        if (due.length === 0) return
        for (const id of due) await advance(id)
      }
      throw new Error('it goes round in circles')
    },
    /** Turns the clock until the rotation is in one of the phases. */
    async until(id: string, wanted: readonly Phase[] | 'end'): Promise<Rotation> {
      for (let n = 0; n < 300; n++) {
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
    async rotate(key: string): Promise<string> {
      const reply = await posted('/v1/rotations', { key, reason: 'a test' })
      expect(reply.status, reply.text).toBe(202)
      return reply.json.id
    },
    /** The newest rotation of a key, whoever started it. */
    async rotationOf(key: string): Promise<string> {
      const reply = await api.call('GET', `/v1/rotations?key=${key}`)
      expect(reply.status, reply.text).toBe(200)
      return reply.json.items[0].id
    },
    rollback: (id: string) => posted(`/v1/rotations/${id}/rollback`, { reason: 'a test' }),
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
