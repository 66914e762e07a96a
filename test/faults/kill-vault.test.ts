// `kill -9` in every phase that a key of HashiCorp Vault goes through, forward, back or stalled. Rekey reaches Vault through
// a proxy that holds the request of a phase, so that the rotation is in it when the process group dies; then it starts again.
//
// A write is met in three ways: it never arrives (held before Vault, dropped at the death), it is done and the answer never
// arrives, or it arrives after its sender is dead. `planned` is held by a full group, `promoting` (which asks Vault
// nothing) by a lock on the row of the old version, waiting phases by their time or by a person. A stall is made by a
// refusal of the proxy's. Two kills meet all of them, and all rotations are waited for together.
//
// A transit key has no `distributing` (its material cannot leave), and passes `rollingBack` only where nothing was made: no
// request and no time is in it that could be held.

import pg from 'pg'
import { randomUUID } from 'node:crypto'
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
    readonly fault: Extract<Fault, { kind: 'hold' | 'holdAnswer' | 'status' }>
  }
  /** Let through once the process is dead. */
  readonly late?: boolean
  /** Of the policy. */
  readonly spec?: object
  /** Waits in `planned` behind this one, in a group of one. */
  readonly behind?: string
  /** Where a person turns it round to come into the phase. */
  readonly turnedIn?: Phase
  /** What a person says once Rekey is there again. */
  readonly afterwards?: 'resume' | 'approve'
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

type Held = NonNullable<Case['held']>
const post = (path: string, fault: 'hold' | 'holdAnswer'): Held => ({
  method: 'POST',
  path: new RegExp(`^/v1/${path}$`),
  fault: { kind: fault },
})
const get = (path: string): Held => ({
  method: 'GET',
  path: new RegExp(`^/v1/${path}$`),
  fault: { kind: 'hold' },
})
const forbidden = ({ method, path }: Held): Held => ({
  method,
  path,
  fault: { kind: 'status', status: 403 },
})

const nameIn =
  (type: 'kv' | 'transit', round: string) =>
  (phase: Phase): string =>
    `${type}-${phase.toLowerCase()}-${round}`

/** The phases whose write at Vault is held. */
const writing = (round: string, write: 'hold' | 'holdAnswer', late = false): readonly Case[] => {
  const k = nameIn('kv', round)
  const t = nameIn('transit', round)
  return [
    kv(k('suspending'), 'suspending', {
      held: post(`secret/delete/${k('suspending')}`, write),
      late,
    }),
    kv(k('retiring'), 'retiring', { held: post(`secret/destroy/${k('retiring')}`, write), late }),
    kv(k('minting'), 'minting', { held: post(`secret/data/${k('minting')}`, write), late }),
    kv(k('distributing'), 'distributing', {
      spec: { publish: [copyOf(k('distributing'))] },
      held: post(`secret/data/${k('distributing')}-copy`, write),
      late,
    }),
    kv(k('rollingBack'), 'rollingBack', {
      spec: { overlap: { min: '1h' } },
      turnedIn: 'overlapping',
      held: post(`secret/data/${k('rollingBack')}`, write),
      late,
    }),
    transit(t('minting'), 'minting', {
      held: post(`transit/keys/${t('minting')}/rotate`, write),
      late,
    }),
  ]
}

const approved = { spec: { approval: { required: 1 } }, afterwards: 'approve' } as const

/** The other phases of a KV secret: nothing is written, or it is done. */
const readingKv = (round: string): readonly Case[] => {
  const k = nameIn('kv', round)
  const slow = '20s'
  return [
    kv(k('overlapping'), 'overlapping', { spec: { overlap: { min: slow } } }),
    kv(k('soaking'), 'soaking', { spec: { soak: slow } }),
    kv(k('awaitingApproval'), 'awaitingApproval', approved),
    kv(k('stalled'), 'stalled', {
      held: forbidden(post(`secret/delete/${k('stalled')}`, 'hold')),
      afterwards: 'resume',
    }),
    kv(k('preflight'), 'preflight', { held: get(`secret/metadata/${k('preflight')}`) }),
    kv(k('planned'), 'planned', { behind: k('preflight') }),
    kv(k('verifying'), 'verifying', { held: get(`secret/data/${k('verifying')}\\?version=2`) }),
    kv(k('promoting'), 'promoting'),
  ]
}

const readingTransit = (round: string): readonly Case[] => {
  const t = nameIn('transit', round)
  return [
    transit(t('awaitingApproval'), 'awaitingApproval', approved),
    transit(t('stalled'), 'stalled', {
      held: forbidden(post(`transit/encrypt/${t('stalled')}`, 'hold')),
      afterwards: 'resume',
    }),
    transit(t('preflight'), 'preflight', { held: get(`transit/keys/${t('preflight')}`) }),
    transit(t('planned'), 'planned', { behind: t('preflight') }),
    transit(t('verifying'), 'verifying', {
      held: { ...post(`transit/encrypt/${t('verifying')}`, 'hold'), body: /"key_version":2/ },
    }),
    transit(t('promoting'), 'promoting'),
  ]
}

const copyOf = (key: string) => ({
  name: 'copy',
  connection: 'vault',
  type: 'vault.kv2.secret',
  ref: { mount: 'secret', path: `${key}-copy`, field: 'password' },
})

/** They take a few seconds to come into, and stay; or the request that is held follows from there. */
const latePhases: readonly Phase[] = [
  ...(['awaitingApproval', 'overlapping', 'suspending', 'soaking', 'retiring'] as const),
  ...(['rollingBack', 'stalled'] as const),
]

peer('vault').describe('kill -9 while keys of a Vault rotate', () => {
  let vault: VaultPeer
  let proxy: FaultProxy
  let rekey: RekeyProcess
  let prober: Prober
  // A process advances 16 rotations at once: what is held at one moment must be fewer.
  const late = writing('late', 'hold', true)
  const rounds = [
    [...writing('dropped', 'hold'), ...readingKv('dropped'), ...late.slice(0, 3)],
    [...writing('done', 'holdAnswer'), ...readingTransit('done'), ...late.slice(3)],
  ] as const
  const all = rounds.flat()
  let approver: string
  let operator: string

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
      grants: all
        .filter(({ phase }) => phase === 'distributing')
        .map(({ key }) => ({ matchLabels: { group: key }, refs: ['*-copy'] })),
    })
    approver = await tokenOf('boss', 'approver')
    operator = await tokenOf('ops', 'operator')
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
    prober = startProber([throughRekey(rekey, 'data'), ...named], 400)
  })
  afterAll(async () => {
    await prober?.stop()
    await rekey?.stop()
    await proxy?.stop()
    await vault?.stop()
  })

  test(
    'killed in every phase, every rotation completes and Vault has exactly one version more',
    { timeout: 300_000 },
    async () => {
      const ids = new Map<string, string>()
      for (const [cases, database] of [
        [rounds[0], false],
        [rounds[1], true],
      ] as const) {
        for (const [key, id] of await killedRound(cases, database)) ids.set(key, id)
      }
      for (const each of all) {
        const id = ids.get(each.key) ?? ''
        const rotation = await ended(rekey, id, 180_000)
        const phase = each.phase === 'rollingBack' ? 'rolledBack' : 'completed'
        expect(rotation).toMatchObject({ phase, fromVersion: 1, toVersion: 2 })
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
    const cut: Rule[] = []
    const hold = ({ key, held, late = false }: Case): void => {
      if (!held) return
      const rule = proxy.inject(held, held.fault)
      rules.push({ rule, late })
      if (held.fault.kind === 'status') return
      // From then on nothing of this key is answered: however slow the machine, it stays where it is until the kill.
      const path = new RegExp(`/${key}(-copy)?(/|\\?|$)`)
      void rule.hit().then(() => {
        cut.push(proxy.inject({ path }, { kind: 'hold' }, Infinity))
      })
    }
    const begin = async (each: Case): Promise<void> => {
      if (each.turnedIn === undefined) hold(each)
      const body = { key: each.key, reason: 'a test' }
      ids.set(each.key, (await rekey.ask('POST', '/v1/rotations', body, operator)).id)
    }
    // What comes early is begun when those that come late are there.
    const first = cases.filter(({ phase }) => latePhases.includes(phase))
    for (const each of first) await begin(each)
    await isIn(
      first.map((each) => ({ ...each, phase: each.turnedIn ?? each.phase })),
      ids,
    )
    for (const each of first.filter(({ turnedIn }) => turnedIn !== undefined)) {
      hold(each)
      await say(ids.get(each.key), 'rollback')
    }
    for (const each of cases) if (!first.includes(each)) await begin(each)
    // The keys that the prober uses rotate through the kill as well.
    dataRotation = (await rekey.ask('POST', '/v1/rotations', { key: 'data', reason: 'a test' })).id
    await isIn(cases, ids)
    await Promise.all(rules.map(({ rule }) => rule.hit()))
    await rekey.kill({ database })
    for (const rule of cut) rule.remove()
    for (const { rule, late } of rules) await (late ? rule.release() : rule.remove())
    for (const lock of locks) await lock.end().catch(() => undefined)
    await rekey.start()
    for (const { key, phase, afterwards } of cases) {
      if (afterwards === undefined) continue
      expect((await rekey.ask('GET', `/v1/rotations/${ids.get(key)}`)).phase, key).toBe(phase)
      await say(ids.get(key), afterwards)
    }
    return ids
  }

  const say = async (id = '', what: 'rollback' | 'resume' | 'approve'): Promise<void> => {
    const at = `/v1/rotations/${id}`
    if (what !== 'approve') {
      await rekey.ask('POST', `${at}/${what}`, { reason: 'a test' })
      return
    }
    const { planHash } = await rekey.ask('GET', at)
    const headers = { authorization: `Bearer ${approver}`, 'idempotency-key': randomUUID() }
    const { status, json } = await rekey.call('POST', `${at}/approvals`, { planHash }, headers)
    expect([status, json.code]).toEqual([201, undefined])
  }

  /** Polls until all of them are in their phase at once. */
  const isIn = async (cases: readonly Case[], ids: ReadonlyMap<string, string>): Promise<void> => {
    // What has been verified and waits in the transaction that promotes has left no phase yet.
    const wanted = cases.map(
      ({ key, phase }) => `${key} ${phase === 'promoting' ? 'verifying' : phase}`,
    )
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

  /** Whoever approves is another person than whoever asked. */
  const tokenOf = async (name: string, role: string): Promise<string> =>
    (await rekey.ask('POST', '/v1/api-keys', { name, type: 'svc', roles: [role] })).token

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
    if (!['minting', 'distributing', 'suspending', 'retiring', 'rollingBack'].includes(phase))
      return
    const steps: readonly Reply['json'][] = rotation.steps
    const outcomes = steps
      .filter((step) => step.phase === phase)
      // In undo the writing back names no target, the removal that follows does.
      .filter(({ target }) => phase !== 'rollingBack' || target === undefined)
      .map(({ outcome }) => outcome)
    const lost = held.fault.kind === 'hold' && !late
    expect(outcomes, key).toEqual(lost ? ['failed', 'succeeded'] : ['succeeded'])
  }

  const expectAtVault = async ({ key, type, phase }: Case): Promise<void> => {
    if (type === 'vault.transit.key') {
      const { data } = await vault.api('GET', `transit/keys/${key}`)
      expect([key, data['latest_version'], data['min_decryption_version']]).toEqual([key, 2, 1])
      expect(await versionsOf(rekey, key)).toEqual(['1 deactivated', '2 active primary'])
      return
    }
    const { data } = await vault.api('GET', `secret/metadata/${key}`)
    const rows: Readonly<Record<string, { readonly destroyed: boolean }>> = Object(data['versions'])
    const destroyed = Object.entries(rows).map(([version, row]) => [version, row.destroyed])
    const back = phase === 'rollingBack'
    // Undo writes the old value once more, as a newer version.
    expect([key, data['current_version'], destroyed]).toEqual(
      back
        ? [key, 3, Object.entries({ 1: false, 2: true, 3: false })]
        : [key, 2, Object.entries({ 1: true, 2: false })],
    )
    expect(await versionsOf(rekey, key)).toEqual(
      back ? ['1 active primary', '2 destroyed'] : ['1 destroyed', '2 active primary'],
    )
    const held = Object((await vault.api('GET', `secret/data/${key}`)).data['data'])
    expect(held).toMatchObject({ username: 'app' })
    expect(held.password === `old of ${key}`, key).toBe(back)
    if (phase !== 'distributing') return
    const copy = (await vault.api('GET', `secret/data/${key}-copy`)).data
    expect(copy).toMatchObject({ data: { password: held.password }, metadata: { version: 1 } })
  }
})
