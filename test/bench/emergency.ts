// A leak of many keys of the built-in vault, each call of which takes 5 ms more: from the execution to the first and the last old
// value that was tried and refused, with audit on. Against a script, in the same run, that makes the same calls of the same
// adapter one after the other: it switches each version off and tries it, and writes nothing down.
//
// The execution's own transaction is in it, the preview is not. Replacements begin when all of it is contained; they are not
// waited for.

import { systemActor } from '#domain/actor.ts'
import type { ContainedKey, Incident, IncidentPreview } from '#domain/incident.ts'
import type { Connection } from '#domain/connection.ts'
import type { Sessions } from '#domain/ports.ts'
import type { Session } from '#domain/provider.ts'
import { keyTypes, providers } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { hashJson } from '#runtime/hash.ts'
import { createIncidentTimers } from '#store/incident-timers.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { containedKey, previewedIncident } from '#test/store/records.ts'
import { hearing } from '#test/support/statements.ts'
import { makeContainKeys } from '#usecases/contain-keys.ts'
import { makeExecuteIncident } from '#usecases/execute-incident.ts'
import { restoreKey } from '#usecases/restore-contained.ts'
import { makeFleet } from './fleet.ts'
import { type Benchmark, figure, seconds } from './measure.ts'
import { type BenchDatabase, openPlace, serverMs } from './place.ts'

const addedMs = 5
const goal = 20

export const emergency: Benchmark = {
  name: 'emergency',
  about: 'keys of the built-in vault revoked first, until the last is refused, against a script',
  run: async ({ large, keys: asked, say }) => {
    const keys = asked ?? (large ? 10_000 : 1_000)
    const place = await openPlace()
    try {
      const db = await place.database()
      await makeFleet(db, keys, true)
      const session = slow(sessionOf(db))
      const theirs = await seconds(() => script(db, session))
      say(`  script: ${figure(theirs)} s`)
      await db.drop()
      const mine = await place.database()
      await makeFleet(mine, keys, true)
      const { first, last, executed, cost } = await contain(mine, slow(sessionOf(mine)))
      say(
        `  ours: first ${figure(first)} s, last ${figure(last)} s, the execution itself ${figure(executed)} s`,
      )
      say(`  ${cost}`)
      return [
        {
          what: `${keys.toLocaleString('en')} keys revoked and refused, ${addedMs} ms added to each call`,
          ours: `${figure(last)} s (the first after ${figure(first)} s)`,
          floor: `${figure(theirs)} s (a script, one call after the other)`,
          ratio: theirs / last,
          goal: `≥ ${goal}`,
          met: theirs / last >= goal,
        },
      ]
    } finally {
      await place.close()
    }
  },
}

const sessionOf = (db: BenchDatabase): Session => {
  const local = providers.find(({ id }) => id === 'local')
  if (!local) throw new Error('there is no built-in vault')
  return local.connect({
    connection: 'vault',
    externalId: 'x',
    settings: {},
    credential: null,
    ports: plainPorts(createVaultStore({ database: db.database, keyring: db.keyring })),
  })
}

const slow = (session: Session): Session => ({
  ...session,
  suspend: async (...args) => (await systemClock.pause(addedMs), session.suspend(...args)),
  verify: async (...args) => (await systemClock.pause(addedMs), session.verify(...args)),
})

const bounds = () => ({ signal: systemClock.deadline(12_000), incident: true })

const script = async (db: BenchDatabase, session: Session): Promise<void> => {
  const { rows } = await db.sql.query<{ id: string; name: string }>('SELECT id, name FROM app.key')
  for (const { id, name } of rows) {
    const object = { type: 'local.secret', ref: {}, keyId: id, keyName: name }
    await session.suspend(object, '1', bounds())
    const order = { object, providerVersion: '1', material: null, preImage: {} }
    const verdict = await session.verify({ ...order, how: 'refused' }, bounds())
    if (!verdict.ok) throw new Error('it is accepted still')
  }
}

const actor = systemActor('system', 'bench')

const contain = async (db: BenchDatabase, session: Session) => {
  const { ledger, ids } = db
  const plans = await plansOf(db)
  const hash = hashJson(plans.map(({ keyId }) => keyId))
  const at = systemClock.now()
  const preview: IncidentPreview = {
    hash,
    at,
    expiresAt: new Date(at.getTime() + 3_600_000),
    keys: plans,
    consumers: [],
    warnings: [],
    approvalsNeeded: 0,
  }
  const incident = await open(db, preview)
  const execute = makeExecuteIncident({
    ledger,
    hashJson,
    visible: async (reads, _actor, id) => (await reads.incidents.get(id)) ?? incident,
    preview: async () => preview,
    mustBeApproved: async () => {},
  })
  const sessions: Sessions = {
    open: async (_connection: Connection) => session,
    enter: async () => null,
    forget: async () => {},
    close: async () => {},
  }
  const work = makeContainKeys(
    {
      ledger,
      ids,
      clock: systemClock,
      timers: createIncidentTimers(db.database),
      world: { sessions, types: keyTypes },
    },
    {
      instance: 'bench',
      replace: async () => false,
      restore: restoreKey,
      report: (_key, error) => {
        throw error
      },
    },
  )
  const began = performance.now()
  await execute(actor, incident.id, { previewHash: hash, confirm: incident.id })
  const executed = (performance.now() - began) / 1_000
  const begun = systemClock.now()
  const [mine, servers] = [process.cpuUsage(), await serverMs(db)]
  const { statements, commits } = await hearing(work)
  const { user, system } = process.cpuUsage(mine)
  const spent = (await serverMs(db)) - servers
  const { rows } = await db.sql.query<{ first: Date; last: Date; n: string }>(
    `SELECT min(proven_at) AS first, max(proven_at) AS last, count(*) FILTER (WHERE state = 'refused') AS n FROM app.incident_version`,
  )
  const [row] = rows
  if (!row || Number(row.n) !== plans.length) throw new Error(`${row?.n} of them are refused`)
  const since = (moment: Date): number => executed + (moment.getTime() - begun.getTime()) / 1_000
  return {
    first: since(row.first),
    last: since(row.last),
    cost:
      `${figure((user + system) / 1_000 / plans.length)} ms of the worker and ${figure(spent / plans.length)} ms of the server's ` +
      `sessions a key, ${statements.length} statements, ${commits} transactions that write`,
    executed,
  }
}

const plansOf = async (db: BenchDatabase): Promise<readonly ContainedKey[]> => {
  const { rows } = await db.sql.query<{ id: string; name: string; object_id: string }>(
    'SELECT id, name, object_id FROM app.key ORDER BY id',
  )
  return rows.map(({ id, name, object_id: objectId }) =>
    containedKey({ id, name, type: 'local.secret', connection: 'vault', objectId }, 1, {
      approvals: 0,
    }),
  )
}

const open = async (db: BenchDatabase, preview: IncidentPreview): Promise<Incident> => {
  const { value } = await db.ledger.commit(actor, async (tx) => {
    const now = await tx.now()
    const by = { id: actor.id, name: actor.name }
    const selector = { connections: ['vault'] }
    const row = previewedIncident(
      db.ids.next(),
      { mode: 'revokeFirst', selector, by, now },
      preview,
    )
    await tx.writeIncident.insert(row)
    await tx.writeIncident.putPreview(row.id, preview)
    const target = { id: row.id, name: row.title }
    return { value: row, audit: [{ action: 'incident.opened', target, outcome: 'succeeded' }] }
  })
  return value
}
