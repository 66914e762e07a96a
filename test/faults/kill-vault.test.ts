// `kill -9` in every phase that a key of HashiCorp Vault goes through. Rekey reaches Vault through a proxy that holds the
// request of a phase, so that the rotation is in that phase when the process group dies; then it starts again.
//
// A write is met in three ways: it never arrives (held before Vault, dropped at the death), it is done and the answer never
// arrives, or it arrives after its sender is dead. `planned` is held by a full group, `promoting` (which asks Vault
// nothing) by a lock on the row of the old version, waiting phases by their time.
//
// A write that Vault has no trace of may still arrive for 90 s (`lateEffectMs`): only then it is sent again. Two kills are
// therefore taken one after the other, and all rotations are waited for together.

import pg from 'pg'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Phase } from '#domain/rotation-machine.ts'
import { maxRequestDuration, startVault, type VaultPeer } from '#test/peers/vault.ts'
import {
  type Fault,
  type FaultProxy,
  type Rule,
  startFaultProxy,
} from '#test/support/fault-proxy.ts'
import { peer } from '#test/support/peers.ts'
import { startProber, throughRekey, throughVault, type Prober } from '#test/support/prober.ts'
import { openRekey, type RekeyProcess, type Reply } from '#test/support/rekey-process.ts'
import { ended, expectOneOutcomeEach, versionsOf } from '#test/support/rotations.ts'

type VaultType = 'vault.kv2.secret' | 'vault.transit.key'

/** One rotation that is to be in `phase` when the process dies. */
interface Case {
  readonly key: string
  readonly type: VaultType
  readonly phase: Phase
  /** What is held at Vault; without it, nothing has to be. */
  readonly held?: {
    readonly method: string
    readonly path: RegExp
    readonly body?: RegExp
    readonly fault: Fault['kind'] & ('hold' | 'holdAnswer')
  }
  /** Let through once the process is dead. */
  readonly late?: boolean
  /** Of the policy. */
  readonly spec?: object
  /** Waits in `planned` behind this one, in a group of one. */
  readonly behind?: string
}

const kv = (key: string, phase: Phase, more: Partial<Case> = {}): Case => ({
  key,
  type: 'vault.kv2.secret',
  phase,
  ...more,
})
const transit = (key: string, phase: Phase, more: Partial<Case> = {}): Case => ({
  key,
  type: 'vault.transit.key',
  phase,
  ...more,
})

const post = (path: string, fault: 'hold' | 'holdAnswer') => ({
  method: 'POST',
  path: new RegExp(`^/v1/${path}$`),
  fault,
})
const get = (path: string) => ({
  method: 'GET',
  path: new RegExp(`^/v1/${path}$`),
  fault: 'hold' as const,
})

/** All phases of both types, those that come late in a rotation first. */
const casesOf = (round: string, write: 'hold' | 'holdAnswer', late: boolean): readonly Case[] => {
  const k = (phase: string) => `kv-${phase.toLowerCase()}-${round}`
  const t = (phase: string) => `transit-${phase.toLowerCase()}-${round}`
  const slow = '20s'
  return [
    kv(k('overlapping'), 'overlapping', { spec: { overlap: { min: slow } } }),
    kv(k('planned'), 'planned', { behind: k('overlapping') }),
    kv(k('soaking'), 'soaking', { spec: { soak: slow } }),
    kv(k('suspending'), 'suspending', {
      held: post(`secret/delete/${k('suspending')}`, write),
      late,
    }),
    kv(k('retiring'), 'retiring', { held: post(`secret/destroy/${k('retiring')}`, write), late }),
    kv(k('preflight'), 'preflight', { held: get(`secret/metadata/${k('preflight')}`) }),
    kv(k('minting'), 'minting', { held: post(`secret/data/${k('minting')}`, write), late }),
    kv(k('verifying'), 'verifying', { held: get(`secret/data/${k('verifying')}\\?version=2`) }),
    kv(k('promoting'), 'promoting'),
    transit(t('preflight'), 'preflight', { held: get(`transit/keys/${t('preflight')}`) }),
    transit(t('planned'), 'planned', { behind: t('preflight') }),
    transit(t('minting'), 'minting', {
      held: post(`transit/keys/${t('minting')}/rotate`, write),
      late,
    }),
    transit(t('verifying'), 'verifying', {
      held: { ...post(`transit/encrypt/${t('verifying')}`, 'hold'), body: /"key_version":2/ },
    }),
    transit(t('promoting'), 'promoting'),
  ]
}

peer('vault').describe('kill -9 while keys of a Vault rotate', () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let rekey: RekeyProcess
  let prober: Prober
  const dropped = casesOf('dropped', 'hold', false)
  const done = casesOf('done', 'holdAnswer', false)
  const arriving = casesOf('late', 'hold', true).filter(({ late }) => late)
  const all = [...dropped, ...done, ...arriving]

  beforeAll(async () => {
    vault = await startVault()
    proxy = await startFaultProxy(vault.address)
    rekey = await openRekey()
    await rekey.start()
    await rekey.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
    await rekey.ask('PUT', '/v1/connections/vault', {
      provider: 'vault',
      settings: { address: proxy.address, maxRequestDuration, auth: { method: 'token' } },
      credential: { from: 'value', value: vault.token },
    })
    for (const each of all) await arrange(each)
    await policy('data', {})
    const generate = { algorithm: 'aes256' }
    await register('data', {
      connection: 'built-in',
      type: 'local.key',
      create: true,
      labels: { group: 'data' },
      generate,
    })
    const named = all
      .filter(({ type }) => type === 'vault.transit.key')
      .map(({ key }) => throughVault(vault, key))
    prober = startProber([throughRekey(rekey, 'data'), ...named], 100)
  })
  afterAll(async () => {
    await prober?.stop()
    await rekey?.stop()
    await proxy?.stop()
    await vault?.stop()
  })

  test(
    'killed in every phase, every rotation completes and Vault has exactly one version more',
    { timeout: 240_000 },
    async () => {
      const ids = new Map<string, string>()
      for (const [cases, database] of [
        [dropped, false],
        [[...arriving, ...done], true],
      ] as const) {
        for (const [key, id] of await killedRound(cases, database)) ids.set(key, id)
      }
      for (const each of all) {
        const id = ids.get(each.key) ?? ''
        const rotation = await ended(rekey, id, 180_000)
        expect(rotation).toMatchObject({ phase: 'completed', fromVersion: 1, toVersion: 2 })
        expectSentAsOften(each, rotation)
        await expectOneOutcomeEach(rekey, id)
        await expectAtVault(each)
      }
      await prober.stop()
      expect(prober.failures()).toEqual([])
      for (const [key, uses] of prober.uses()) expect(uses, key).toBeGreaterThan(20)
    },
  )

  /** Of the round before: it goes on after the kill, and a key has one at a time. */
  let dataRotation: string | null = null
  const killedRound = async (
    cases: readonly Case[],
    database: boolean,
  ): Promise<ReadonlyMap<string, string>> => {
    if (dataRotation !== null) await ended(rekey, dataRotation, 120_000)
    const locks = await lockOld(cases.filter(({ phase }) => phase === 'promoting'))
    const ids = new Map<string, string>()
    const rules: { readonly rule: Rule; readonly late: boolean }[] = []
    const begin = async ({ key, held, late = false }: Case): Promise<void> => {
      if (held) rules.push({ rule: proxy.inject(held, { kind: held.fault }), late })
      ids.set(key, (await rekey.ask('POST', '/v1/rotations', { key, reason: 'a test' })).id)
    }
    // Late phases take a few seconds to reach, and Rekey waits ten for an answer: the early ones begin when those are there.
    const latePhases: readonly Phase[] = ['overlapping', 'suspending', 'soaking', 'retiring']
    const first = cases.filter(({ phase }) => latePhases.includes(phase))
    for (const each of first) await begin(each)
    await isIn(first, ids)
    for (const each of cases) if (!first.includes(each)) await begin(each)
    // The keys that the prober uses rotate through the kill as well.
    dataRotation = (await rekey.ask('POST', '/v1/rotations', { key: 'data', reason: 'a test' })).id
    await isIn(cases, ids)
    await Promise.all(rules.map(({ rule }) => rule.hit()))
    await rekey.kill({ database })
    for (const { rule, late } of rules) await (late ? rule.release() : rule.remove())
    for (const lock of locks) await lock.end().catch(() => undefined)
    await rekey.start()
    return ids
  }

  /** Polls until all of them are in their phase at once. */
  const isIn = async (cases: readonly Case[], ids: ReadonlyMap<string, string>): Promise<void> => {
    const wanted = cases.map(({ key, phase }) => `${key} ${phase}`)
    let now: readonly string[] = []
    for (const end = Date.now() + 30_000; Date.now() < end; await pause(100)) {
      const phases = new Map(
        (await rekey.list('/v1/rotations')).map(({ id, phase }) => [String(id), String(phase)]),
      )
      now = cases.map(({ key }) => `${key} ${phases.get(ids.get(key) ?? '')}`)
      if (now.every((text, n) => text === wanted[n])) return
    }
    expect(now).toEqual(wanted)
  }

  /** The transaction of `promoting` waits for the old version's row. */
  const lockOld = async (cases: readonly Case[]): Promise<readonly pg.Client[]> => {
    const lock = new pg.Client({ connectionString: await rekey.databaseUrl() })
    // It dies with the database.
    lock.on('error', () => undefined)
    await lock.connect()
    await lock.query('BEGIN')
    await lock.query(
      `SELECT 1 FROM app.version v JOIN app.key k ON k.id = v.key_id
       WHERE k.name = ANY ($1) AND v.is_primary FOR NO KEY UPDATE OF v`,
      [cases.map(({ key }) => key)],
    )
    return [lock]
  }

  const arrange = async ({ key, type, spec, behind }: Case): Promise<void> => {
    if (behind === undefined)
      await policy(key, spec ?? {}, all.some((other) => other.behind === key) ? 1 : 100)
    const labels = { group: behind ?? key }
    if (type === 'vault.kv2.secret') {
      await vault.api('POST', `secret/data/${key}`, {
        data: { password: `old of ${key}`, username: 'app' },
      })
      await register(key, {
        connection: 'vault',
        type,
        ref: { mount: 'secret', path: key, field: 'password' },
        labels,
      })
    } else {
      await vault.api('POST', `transit/keys/${key}`, {})
      await register(key, {
        connection: 'vault',
        type,
        ref: { mount: 'transit', name: key },
        labels,
      })
    }
  }

  const policy = (name: string, spec: object, max = 100) =>
    rekey.ask('POST', '/v1/policies', {
      apiVersion: 'rekey.dev/v1',
      kind: 'RotationPolicy',
      metadata: { name },
      spec: {
        selector: { matchLabels: { group: name } },
        manual: true,
        overlap: { min: '1s' },
        soak: '1s',
        retire: name === 'data' ? 'disable' : name.startsWith('transit') ? 'keep' : 'destroy',
        retry: { initial: '1s', max: '5s' },
        concurrency: { max },
        ...spec,
      },
    })

  const register = (name: string, more: object) =>
    rekey.ask('POST', '/v1/keys', {
      name,
      purpose: 'a test',
      owner: 'team',
      environment: 'test',
      ...more,
    })

  /** Only what never reached Vault is sent again. */
  const expectSentAsOften = ({ key, phase, held, late = false }: Case, rotation: Reply['json']) => {
    if (!held) return
    if (!['minting', 'suspending', 'retiring'].includes(phase)) return
    const steps: readonly Reply['json'][] = rotation.steps
    const outcomes = steps.filter((step) => step.phase === phase).map(({ outcome }) => outcome)
    const lost = held.fault === 'hold' && !late
    expect(outcomes, key).toEqual(lost ? ['failed', 'succeeded'] : ['succeeded'])
  }

  const expectAtVault = async ({ key, type }: Case): Promise<void> => {
    if (type === 'vault.transit.key') {
      const { data } = await vault.api('GET', `transit/keys/${key}`)
      expect([key, data['latest_version'], data['min_decryption_version']]).toEqual([key, 2, 1])
      expect(await versionsOf(rekey, key)).toEqual(['1 deactivated', '2 active primary'])
      return
    }
    const { data } = await vault.api('GET', `secret/metadata/${key}`)
    const rows: Readonly<Record<string, { readonly destroyed: boolean }>> = Object(data['versions'])
    const destroyed = Object.entries(rows).map(([version, row]) => [version, row.destroyed])
    expect([key, data['current_version'], destroyed]).toEqual([
      key,
      2,
      [
        ['1', true],
        ['2', false],
      ],
    ])
    expect(await versionsOf(rekey, key)).toEqual(['1 destroyed', '2 active primary'])
    const held = Object((await vault.api('GET', `secret/data/${key}`)).data['data'])
    expect(held).toMatchObject({ username: 'app' })
    expect(held.password).not.toBe(`old of ${key}`)
  }
})
