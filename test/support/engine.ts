// The engine on a database of its own: real store, real built-in vault, a hand-turned clock, and no queue: tests ring by hand.

import { Socket } from 'node:net'
import { systemActor, type Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { Key } from '#domain/key.ts'
import type { Selector } from '#domain/names.ts'
import { noPrecondition } from '#domain/precondition.ts'
import type { PolicySpec } from '#domain/policy.ts'
import type { Rotation, WaitingFor } from '#domain/rotation.ts'
import { isOpen, type Phase } from '#domain/rotation-machine.ts'
import type { Provider, ProviderPorts, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { keyTypes, providers } from '#providers/registry.ts'
import { namesOfValue } from '#domain/value-name.ts'
import { inTurn } from '#runtime/login-turns.ts'
import { makeNativeProcess } from '#runtime/native-process.ts'
import { libraryEnvironment } from '#src/config.ts'
import { boundedSession } from '#runtime/bounded-session.ts'
import { systemClock } from '#runtime/clock.ts'
import { makeEgress } from '#runtime/egress.ts'
import { hashJson } from '#runtime/hash.ts'
import { observeLedger, type ObserveLedgerOptions } from '#runtime/observe-ledger.ts'
import { observeSessions } from '#runtime/observe-sessions.ts'
import { makeSendToWebhook } from '#sinks/webhook/send.ts'
import { adoptVersion } from '#usecases/adopt-version.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { putPolicy } from '#usecases/put-policy.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { registerKey } from '#usecases/register-key.ts'
import type { EngineDeps } from '#usecases/rotation-engine.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'
import {
  makeRollback,
  makeResume,
  makeAbandon,
  makeApprove,
  makeAcknowledge,
  makeCancel,
  makeOverride,
} from '#usecases/steer-rotation.ts'
import { openTestDatabase } from './db.ts'

export const person = (name: string, ...roles: Actor['roles']): Actor => ({
  type: 'user',
  id: `user:${name}`,
  name,
  roles,
  scope: null,
  consumer: null,
  keys: null,
})
export const admin = person('ada', 'admin')

export type Engine = Awaited<ReturnType<typeof openEngine>>

export interface EngineOptions {
  /** Puts faults between the engine and a session. */
  readonly wrap?: (session: Session) => Session
  /** Takes the place of an adapter: below its deadline, where `wrap` is above it. */
  readonly adapter?: (session: Session) => Session
  /** Beside those of the house; each has a connection of its name. */
  readonly providers?: readonly Provider[]
  /** Runs before a session is opened, and may throw what opening one throws. */
  readonly opening?: (connection: Connection) => void
  readonly observed?: ObserveLedgerOptions
}

export const openEngine = async (options: EngineOptions = {}) => {
  const { observed, providers: more = [] } = options
  const db = await openTestDatabase(observed ? { trace: observed.tracer } : {})
  const { timers, clock, ids, vault } = db
  const ledger = observed ? observeLedger(db.ledger, observed) : db.ledger
  const ports: ProviderPorts = {
    now: () => clock.now(),
    random: (n) => ids.random(n),
    fetch: globalThis.fetch,
    socket: () => new Socket(),
    publishDir: null,
    nameOf: (object, value) => namesOfValue(db.keyring, object, value)[0],
    vault,
    logins: inTurn(db.logins({ name: 'x', revision: 1 }), clock),
    nativeModules: [],
    nativeProcess: (main) =>
      makeNativeProcess(main, { now: () => clock.now(), env: () => libraryEnvironment() }),
    confirmations: (keyId) => ledger.read((reads) => reads.confirmations.ofKey(keyId)),
  }
  const byId = new Map([...providers, ...more].map((provider) => [provider.id, provider]))
  const types = new Map([
    ...keyTypes,
    ...more.flatMap((provider) => provider.types.map((type) => [type.type, type] as const)),
  ])
  const plain = {
    open: async (connection: Connection) => {
      options.opening?.(connection)
      const provider = byId.get(connection.provider)
      if (!provider) throw new Error(`no provider ${connection.provider}`)
      const adapter = provider.connect({
        connection: connection.name,
        externalId: 'x',
        settings: connection.settings,
        credential: null,
        ports,
      })
      const session = boundedSession(options.adapter?.(adapter) ?? adapter)
      return options.wrap?.(session) ?? session
    },
    enter: async () => null,
    forget: async () => {},
    close: async () => {},
  }
  const sessions = observed ? observeSessions(plain, observed) : plain
  const send = makeSendToWebhook({ fetch: globalThis.fetch, clock: systemClock })
  const world = { sessions, types, fetch: globalThis.fetch, send }
  const deps: EngineDeps = { ledger, timers, world, clock, ids }
  const bell = { ring: async () => {} }
  const faults: unknown[] = []
  const worker = (instance: string, other: Partial<EngineDeps> = {}) =>
    makeAdvanceRotation(
      { ...deps, ...other },
      { instance, bell, report: (_id, error) => faults.push(error) },
    )
  const advance = worker('w1')
  const plan = makePlanRotations({ ledger, timers, ids, types, hashJson }, 'w1')
  const start = makeStartRotation({ ledger, ids, types, hashJson })
  const steering = { ledger }
  // Webhooks of tests live here.
  const egress = makeEgress({ allow: ['127.0.0.1'] })

  await ledger.commit(systemActor('system', 'test'), async (tx) => {
    const now = await tx.now()
    const connections = [['vault', 'local'], ...more.map(({ id }) => [id, id])] as const
    for (const [name = '', provider = ''] of connections) {
      await tx.writeConnection.insert({
        name,
        provider,
        settings: {},
        credential: { from: 'none' },
        grants: [{ matchLabels: {}, refs: ['*'] }],
        labels: {},
        managedBy: null,
        revision: 1,
        createdAt: now,
        updatedAt: now,
      })
    }
    return {
      value: null,
      audit: [
        { action: 'connection.put', target: { id: 'vault', name: 'vault' }, outcome: 'succeeded' },
      ],
    }
  })

  const engine = {
    ...db,
    ledger,
    deps,
    faults,
    worker,
    advance,
    plan,
    start,
    steer: {
      approve: makeApprove(steering),
      acknowledge: makeAcknowledge(steering),
      override: makeOverride(steering),
      cancel: makeCancel(steering),
      rollback: makeRollback(steering),
      resume: makeResume(steering),
      abandon: makeAbandon(steering),
    },
    async key(
      name: string,
      more: Partial<Parameters<ReturnType<typeof registerKey>>[1]['registration']> = {},
    ): Promise<Key> {
      const register = registerKey({ ledger, sessions, providers: byId, clock, ids })
      const { value } = await register(admin, {
        registration: {
          name,
          connection: 'vault',
          type: 'local.secret',
          purpose: 'tests',
          owner: 'team',
          environment: 'test',
          create: true,
          ...more,
        },
        dryRun: false,
      })
      return value
    },
    /** Made, or written over. Defaults that a test wants: no waiting. `spec` wins. */
    async policy(name: string, spec: Partial<PolicySpec> = {}): Promise<void> {
      const there = await ledger.read((db) => db.policies.get(name))
      const put = putPolicy({ ledger, providers: byId, egress, clock })
      await put(admin, {
        name,
        body: {
          name,
          spec: {
            selector: { connection: 'vault' },
            manual: true,
            overlap: { min: '0s' },
            soak: '0s',
            ...spec,
          },
        },
        precondition: there === null ? noPrecondition : { match: 'any', absent: false },
      })
    },
    async consumer(
      name: string,
      labels: Readonly<Record<string, string>>,
      reload?: { readonly webhook: string; readonly secret: string },
    ): Promise<void> {
      await ledger.commit(admin, async (tx) => {
        const now = await tx.now()
        const sealedId =
          reload && (await tx.writeSealed.insert(new Secret(reload.secret), `consumer:${name}`))
        const told = reload && sealedId ? { webhook: reload.webhook, sealedId } : null
        const row = {
          name,
          owner: 'team',
          labels,
          keys: [],
          reload: told,
          managedBy: null,
          revision: 1,
          createdAt: now,
          updatedAt: now,
        }
        await tx.writeConsumer.put(row, null)
        return {
          value: null,
          audit: [{ action: 'consumer.put', target: { id: name, name }, outcome: 'succeeded' }],
        }
      })
    },
    async freeze(reason: string, selector: Selector): Promise<void> {
      await ledger.commit(admin, async (tx) => {
        const now = await tx.now()
        const until = new Date(now.getTime() + 86_400_000)
        await tx.writeFreeze.put(
          { until, reason, selector, setBy: 'ada', revision: 1, updatedAt: now },
          null,
        )
        return {
          value: null,
          audit: [
            {
              action: 'freeze.put',
              target: { id: 'freeze', name: 'freeze' },
              outcome: 'succeeded',
            },
          ],
        }
      })
    },
    async thaw(): Promise<void> {
      await ledger.commit(admin, async (tx) => {
        await tx.writeFreeze.delete(1)
        const target = { id: 'freeze', name: 'freeze' }
        return {
          value: null,
          audit: [{ action: 'freeze.deleted', target, outcome: 'succeeded' }],
        }
      })
    },
    async rotate(key: string): Promise<string> {
      return (await start(admin, { key, reason: 'a test' })).value.id
    },
    /** Adopts a version that somebody made beside Rekey; the id of the rotation that retires it. */
    async retire(key: string, providerVersion: string): Promise<string> {
      const adopt = adoptVersion({ ledger, ids, types, hashJson, sessions, clock })
      return (await adopt(admin, { name: key, providerVersion })).rotationId
    },
    rotation: async (id: string): Promise<Rotation> => {
      const found = await ledger.read((read) => read.rotations.get(id))
      if (!found) throw new Error(`no rotation ${id}`)
      return found
    },
    /** Rings for everything that is due until nothing is. */
    async drain(): Promise<void> {
      for (let n = 0; n < 200; n++) {
        while ((await plan()) > 0);
        const due = await timers.due(100)
        if (due.length === 0) return
        for (const id of due) await advance(id)
      }
      throw new Error('it goes round in circles')
    },
    /** Turns the clock in small steps, ringing at each, until the rotation is in one of the phases. */
    async until(
      id: string,
      wanted: readonly Phase[] | 'end',
      atMostMs = 3_600_000,
      stepMs = 1_000,
    ): Promise<Rotation> {
      for (let passed = 0; ; passed += stepMs) {
        await engine.drain()
        const rotation = await engine.rotation(id)
        if (wanted === 'end' ? !isOpen(rotation.phase) : wanted.includes(rotation.phase))
          return rotation
        if (passed >= atMostMs)
          throw new Error(`still ${rotation.phase} (${rotation.stalledReason})`)
        await clock.advance(stepMs)
      }
    },
    /** What it waits for, as people are told. */
    waitsFor: async (id: string): Promise<WaitingFor | null> =>
      (await ledger.read((read) => read.timers.get(id)))?.waitingFor ?? null,
    versions: (keyId: string) => ledger.read((read) => read.versions.of(keyId)),
    intents: (id: string) => ledger.read((read) => read.intents.of(id)),
    events: (id: string) => ledger.read((read) => read.audit.after(id, null, 1_000)),
  }
  return engine
}
