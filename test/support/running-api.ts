// The API and a worker behind it, rung by hand on a hand-turned clock: what happens to a key, told as its users see it.

import { randomUUID } from 'node:crypto'
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
  const engine: EngineDeps = { ledger, timers, world, clock, ids }
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
  const must = async (method: string, path: string, body: unknown): Promise<Answer> => {
    const headers = method === 'POST' ? { 'idempotency-key': randomUUID() } : {}
    const answer = await api.call(method, path, { body, headers })
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
    drain,
    until,
    rotation,
    put: (path: string, body: unknown) => must('PUT', path, body),
    post: (path: string, body: unknown) => must('POST', path, body),
    /** The id of a manual rotation. */
    rotate: async (key: string): Promise<string> =>
      (await must('POST', '/v1/rotations', { key, reason: 'a test' })).json.id as string,
  }
}
