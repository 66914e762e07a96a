// What Vault, or something before it, may answer to each write of a rotation: too many requests (with and without the time to
// wait), a failure before and after it was done, a broken connection, nothing at all. In the end Vault was given each
// write once, and has one version more.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'
import { checkKey } from '#usecases/check-invariants.ts'
import { keyTypes } from '#providers/registry.ts'

interface Answer {
  readonly name: string
  readonly fault: Fault
  readonly times: number
  /** What the log says of each try. */
  readonly tries: readonly ('failed' | 'succeeded')[]
  /** Before it is sent again. */
  readonly waitsMs: number
}
const sentAgain = ['failed', 'succeeded'] as const
const once = ['succeeded'] as const
/** 12 s for the request, 5 s more for which this Vault may work on it without a caller. */
const lateMs = 17_000

const answers: readonly Answer[] = [
  {
    name: '429 with a Retry-After of two minutes',
    fault: { kind: 'status', status: 429, headers: { 'retry-after': '120' } },
    times: 1,
    tries: sentAgain,
    waitsMs: 120_000,
  },
  {
    name: '429 without Retry-After, three times',
    fault: { kind: 'status', status: 429 },
    times: 3,
    tries: ['failed', 'failed', ...sentAgain],
    waitsMs: 100,
  },
  {
    name: '503 before anything was done',
    fault: { kind: 'status', status: 503 },
    times: 1,
    tries: sentAgain,
    waitsMs: lateMs,
  },
  {
    name: 'the page of a load balancer, with 502',
    fault: { kind: 'html', status: 502 },
    times: 1,
    tries: sentAgain,
    waitsMs: lateMs,
  },
  {
    name: '500 after it was done',
    fault: { kind: 'errorAfter', status: 500 },
    times: 1,
    tries: once,
    waitsMs: 0,
  },
  {
    name: 'a connection that breaks after it was done',
    fault: { kind: 'cutAfter' },
    times: 1,
    tries: once,
    waitsMs: 0,
  },
  {
    name: 'nothing until the deadline, and it was done',
    fault: { kind: 'holdAnswer' },
    times: 1,
    tries: once,
    waitsMs: 0,
  },
]

const writes = [
  { type: 'kv', effect: 'mint', path: (key: string) => `secret/data/${key}` },
  { type: 'kv', effect: 'suspend', path: (key: string) => `secret/delete/${key}` },
  { type: 'kv', effect: 'retire', path: (key: string) => `secret/destroy/${key}` },
  { type: 'transit', effect: 'mint', path: (key: string) => `transit/keys/${key}/rotate` },
] as const

peer('vault').describe('an answer of Vault that is none', () => {
  let stage: VaultStage
  beforeAll(async () => {
    stage = await openVaultStage()
  })
  afterAll(() => stage.close())

  let count = 0
  const arrange = async (type: 'kv' | 'transit'): Promise<string> => {
    const key = `${type}-${++count}`
    if (type === 'transit') await stage.transit(key)
    else {
      await stage.put(key, { password: 'old' })
      await stage.kv(key, key)
    }
    await stage.policy(key, {
      retire: type === 'kv' ? 'destroy' : 'keep',
      retry: { attempts: 5, initial: '1s', max: '5s' },
    })
    return key
  }
  const reached = (path: string): number =>
    stage.peer
      .auditLog()
      .filter(({ type, request }) => type === 'request' && request.path === path)
      .filter(({ request }) => request.operation === 'update' || request.operation === 'create')
      .length

  describe.each(writes)('to $effect of $type', ({ type, effect, path }) => {
    test.each(answers)('$name', async ({ fault, times, tries, waitsMs }) => {
      const key = await arrange(type)
      const arranged = reached(path(key))
      const match = { method: 'POST', path: new RegExp(`^/v1/${path(key)}$`) }
      const rule = stage.proxy.inject(match, fault, times)
      if (fault.kind === 'holdAnswer') {
        stage.hurry(1_000)
        void rule.hit().then(() => stage.hurry(Infinity))
      }
      const id = await stage.rotate(key)
      expect(await stage.until(id, 'end')).toMatchObject({ phase: 'completed', toVersion: 2 })
      rule.remove()
      expect(rule.hits()).toBe(times)
      expect(reached(path(key)) - arranged).toBe(1)

      const intents = (await stage.intents(id)).filter((intent) => intent.effect === effect)
      expect(intents.map(({ outcome }) => outcome)).toEqual(tries)
      const starts = intents.map(({ startedAt }) => startedAt.getTime())
      for (const [n, start] of starts.entries())
        if (n > 0) expect(start - (starts[n - 1] ?? 0)).toBeGreaterThanOrEqual(waitsMs)
      if (type === 'kv') expect(await stage.states(key)).toEqual(['destroyed', 'enabled'])
      else expect(await stage.transitLatest(key)).toBe(2)
      const { ledger, timers, keyring, clock, sessions } = stage.house
      const found = await ledger.read((db) => db.keys.byName(key))
      if (!found) throw new Error(`no key ${key}`)
      const deps = { ledger, timers, keyring, types: keyTypes, clock, sessions }
      expect(await checkKey(deps, found)).toEqual({ key, breaches: [], unknown: null })
    })
  })
})
