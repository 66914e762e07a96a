// The API and a worker behind it, rung by hand on a hand-turned clock: what happens to a key, told as its users see it.

import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { Rotation } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import type { EngineDeps } from '#usecases/rotation-engine.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { type Answer, type ApiOptions, openApi } from './http.ts'

export type RunningApi = Awaited<ReturnType<typeof openRunningApi>>

export const openRunningApi = async (options: ApiOptions = {}) => {
  const api = await openApi(options)
  const { house } = api
  const { ledger, timers, clock, ids, hashJson, sessions, deps } = house
  const { types } = deps
  const send = makeSendToWebhook({ fetch: globalThis.fetch, clock: systemClock })
  const world = { sessions, types, fetch: globalThis.fetch, send }
  const faults: unknown[] = []
  let mostMs = Infinity
  const deadline = (ms: number) => clock.deadline(Math.min(ms, mostMs))
  const engine: EngineDeps = { ledger, timers, world, clock: { ...clock, deadline }, ids }
  const worker = (instance: string, other: Partial<EngineDeps> = {}) =>
    makeAdvanceRotation(
      { ...engine, ...other },
      { instance, bell: { ring: async () => {} }, report: (_id, error) => faults.push(error) },
    )
  const advance = worker('w1')
  const plan = makePlanRotations({ ledger, timers, ids, types, hashJson }, 'w1')

  const rotation = async (id: string): Promise<Rotation> => {
    const found = await ledger.read((db) => db.rotations.get(id))
    if (!found) throw new Error(`no rotation ${id}`)
    return found
  }
  /** Rings for everything that is due until nothing is. */
  const drain = async (): Promise<void> => {
    for (let n = 0; n < 200; n++) {
      while ((await plan()) > 0);
      const due = await timers.due(100)
      if (due.length === 0) return
      for (const id of due) await advance(id)
    }
    throw new Error('it goes round in circles')
  }
  /** Turns the clock in small steps, ringing at each, until the rotation is in one of the phases. */
  const until = async (
    id: string,
    wanted: readonly Phase[] | 'end',
    { atMostMs = 3_600_000, stepMs = 1_000 } = {},
  ): Promise<Rotation> => {
    for (let passed = 0; ; passed += stepMs) {
      await drain()
      const found = await rotation(id)
      if (wanted === 'end' ? !isOpen(found.phase) : wanted.includes(found.phase)) return found
      if (passed >= atMostMs) throw new Error(`still ${found.phase} (${found.stalledReason})`)
      await clock.advance(stepMs)
    }
  }
  /** A second at least, and a minute at most: gates count no more at once. */
  const untilLook = async (id: string): Promise<number> => {
    const timer = await ledger.read((db) => db.timers.get(id))
    const leftMs = (timer?.dueAt?.getTime() ?? 0) - (await timers.now()).getTime()
    return Math.min(60_000, Math.max(1_000, leftMs))
  }
  /** Turns the clock, from one look at the rotation to the next (or by `stepMs`), until it is in one of the phases. A stall
   *  that is not wanted fails with its reason. */
  const reach = async (
    id: string,
    wanted: readonly Phase[] | 'end',
    { looks = 600, stepMs = null as number | null } = {},
  ): Promise<Rotation> => {
    for (let n = 0; n < looks; n++) {
      await drain()
      const now = await rotation(id)
      if (wanted === 'end' ? !isOpen(now.phase) : wanted.includes(now.phase)) return now
      if (now.phase === 'stalled') throw new Error(`stalled: ${now.stalledReason}`)
      await clock.advance(stepMs ?? (await untilLook(id)))
    }
    const { phase, stalledReason } = await rotation(id)
    throw new Error(`still ${phase} (${stalledReason}) ${faults.map(String).join()}`)
  }
  const posted = (path: string, body: unknown): Promise<Answer> =>
    api.call('POST', path, { body, headers: { 'idempotency-key': randomUUID() } })
  const must = async (method: string, path: string, body: unknown): Promise<Answer> => {
    const answer =
      method === 'POST' ? await posted(path, body) : await api.call(method, path, { body })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    return answer
  }
  return {
    ...api,
    /** Errors that a worker reported. */
    faults,
    /** What its workers are built from, and another one of them. */
    deps: engine,
    worker,
    advance,
    /** No call of theirs may take longer than this from now on: what is held is given up soon. */
    hurry: (ms: number): void => {
      mostMs = ms
    },
    drain,
    until,
    reach,
    rotation,
    put: (path: string, body: unknown) => must('PUT', path, body),
    post: (path: string, body: unknown) => must('POST', path, body),
    /** Of the keys whose label `key` is this, without waiting; `spec` wins. */
    policy: (key: string, spec: Readonly<Record<string, unknown>> = {}) =>
      house.policy(key, {
        selector: { matchLabels: { key } },
        manual: true,
        overlap: { min: '0s' },
        soak: '0s',
        ...spec,
      }),
    /** The id of a manual rotation. */
    rotate: async (key: string): Promise<string> => {
      const answer = await posted('/v1/rotations', { key, reason: 'a test' })
      expect(answer.status, answer.text).toBe(202)
      return answer.json.id
    },
    rollback: (id: string) => posted(`/v1/rotations/${id}/rollback`, { reason: 'a test' }),
  }
}
