// Emergencies on an engine of a test: opened, previewed and executed as a person does it, and worked on by workers that are rung
// by hand.

import type { Incident, IncidentMode, IncidentPreview } from '#domain/incident.ts'
import type { Json } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import { planContainment, versionsMeant } from '#domain/plan-containment.ts'
import { defaultPolicy } from '#domain/policy.ts'
import type { Reads } from '#domain/ports.ts'
import { hashJson } from '#runtime/hash.ts'
import { createIncidentTimers } from '#store/incident-timers.ts'
import { addressOf } from '#usecases/as-shown.ts'
import { type ContainDeps, makeContainKeys, type Room } from '#usecases/contain-keys.ts'
import { makeExecuteIncident } from '#usecases/execute-incident.ts'
import { makeReplaceKey } from '#usecases/replace-contained.ts'
import { makeRestoreIncident } from '#usecases/restore-incident.ts'
import type { World } from '#usecases/rotation-engine.ts'
import { restoreKey } from '#usecases/restore-contained.ts'
import { previewedIncident } from '#test/store/records.ts'
import { type Engine, person } from './engine.ts'

export const responder = person('rita', 'responder')

interface Ground extends Pick<Engine, 'ledger' | 'ids' | 'clock' | 'database' | 'drain'> {
  readonly deps: { readonly world: Pick<World, 'sessions' | 'types'> }
}

export const withIncidents = (engine: Ground) => {
  const { ledger, deps, ids, clock } = engine
  const { world } = deps
  const timers = createIncidentTimers(engine.database)
  const faults: unknown[] = []

  const draw = async (db: Reads, { mode, selector }: Pick<Incident, 'mode' | 'selector'>) => {
    const keys = await Promise.all((selector.keys ?? []).map((name) => db.keys.byName(name)))
    const plans = await Promise.all(
      keys.flatMap((key) => (key ? [key] : [])).map((key) => planOne(db, { mode, selector }, key)),
    )
    const at = clock.now()
    const preview: IncidentPreview = {
      hash: hashJson({ mode, keys: plans } as unknown as Json),
      at,
      expiresAt: new Date(at.getTime() + 3_600_000),
      keys: plans,
      consumers: [],
      warnings: [],
      approvalsNeeded: 0,
    }
    return preview
  }
  const planOne = async (
    db: Reads,
    { mode, selector }: Pick<Incident, 'mode' | 'selector'>,
    key: Key,
  ) => {
    const type = world.types.get(key.type)
    if (!type) throw new Error(`no type ${key.type}`)
    const versions = await db.versions.of(key.id)
    const connection = await db.connections.get(key.connection)
    return planContainment({
      mode,
      breakGlass: false,
      key,
      type,
      connection: {
        settings: connection?.settings ?? {},
        revision: connection?.revision ?? 1,
        address: connection ? addressOf(hashJson, connection) : '',
      },
      versions,
      chosen: versionsMeant(selector, key, versions, () => false, type.traits.slot),
      openRotation: await db.rotations.openOf(key.id),
      policy: defaultPolicy,
      policyRevision: null,
      losesAccess: [],
    })
  }

  const visible = async (db: Reads, _actor: unknown, id: string): Promise<Incident> => {
    const found = await db.incidents.get(id)
    if (!found) throw new Error(`no incident ${id}`)
    return found
  }
  const execute = makeExecuteIncident({
    ledger,
    hashJson,
    visible,
    preview: (db, _actor, incident) => draw(db, incident),
    mustBeApproved: async () => {},
  })
  const restore = makeRestoreIncident({ ledger, hashJson, visible })

  const worker = (instance: string, other: Partial<ContainDeps> = {}, room?: Room) => {
    const mine = { ledger, clock, ids, timers, world, ...other }
    return makeContainKeys(
      mine,
      {
        instance,
        replace: makeReplaceKey({ ...mine, types: world.types, hashJson }, instance),
        restore: restoreKey,
        report: (_key, error) => faults.push(error),
      },
      room,
    )
  }
  const contain = worker('c1')

  const incidents = {
    faults,
    timers,
    worker,
    contain,
    /** Opened and previewed. */
    async preview(
      mode: IncidentMode,
      keys: readonly string[],
      versions?: Incident['selector']['versions'],
      pairs?: Incident['selector']['pairs'],
    ): Promise<Incident> {
      const id = ids.next()
      const selector = { keys, ...(versions ? { versions } : {}), ...(pairs ? { pairs } : {}) }
      const { value } = await ledger.commit(responder, async (tx) => {
        const now = await tx.now()
        const preview = await draw(tx, { mode, selector })
        const principal = { id: responder.id, name: responder.name }
        const row = previewedIncident(id, { mode, selector, by: principal, now }, preview)
        await tx.writeIncident.insert(row)
        await tx.writeIncident.putPreview(id, preview)
        const target = { id, name: row.title }
        return { value: row, audit: [{ action: 'incident.opened', target, outcome: 'succeeded' }] }
      })
      return value
    },
    execute: (incident: Incident) =>
      execute(responder, incident.id, {
        previewHash: incident.preview?.hash ?? '',
        confirm: incident.id,
      }),
    executeAs: execute,
    restore: (incident: Incident, keys: readonly string[] | null = null) =>
      restore(responder, incident.id, { keys, reason: 'not needed' }),
    /** Previewed and executed. */
    async begin(
      mode: IncidentMode,
      keys: readonly string[],
      versions?: Incident['selector']['versions'],
      pairs?: Incident['selector']['pairs'],
    ): Promise<Incident> {
      const incident = await incidents.preview(mode, keys, versions, pairs)
      return (await incidents.execute(incident)).value
    },
    /** Turns the clock in steps, and lets workers do what is due, until it has come to rest. */
    async settle(incident: Incident, stepMs = 1_000, atMostMs = 600_000): Promise<Incident> {
      for (let passed = 0; ; passed += stepMs) {
        await contain()
        await engine.drain()
        await contain()
        const now = await incidents.get(incident)
        if (now.state !== 'executing') return now
        if (passed >= atMostMs)
          throw new Error(`still executing: ${await incidents.said(incident)}`)
        await clock.advance(stepMs)
      }
    },
    get: async ({ id }: Incident): Promise<Incident> => {
      const found = await ledger.read((db) => db.incidents.get(id))
      if (!found) throw new Error(`no incident ${id}`)
      return found
    },
    keys: async ({ id }: Incident) =>
      (await ledger.read((db) => db.incidents.keys(id, null, { limit: 20_000, after: null })))
        .items,
    evidence: async (incident: Incident) => {
      const keyIds = (await incidents.keys(incident)).map(({ keyId }) => keyId)
      return ledger.read((db) => db.incidents.versionsOf(incident.id, keyIds))
    },
    intents: async (incident: Incident) => {
      const keyIds = (await incidents.keys(incident)).map(({ keyId }) => keyId)
      return ledger.read((db) => db.intents.ofIncident(incident.id, keyIds))
    },
    said: async (incident: Incident): Promise<string> =>
      JSON.stringify(
        (await incidents.keys(incident)).map(({ key, state, detail, replacement }) => ({
          key,
          state,
          detail,
          replacement,
        })),
      ),
  }
  return incidents
}
