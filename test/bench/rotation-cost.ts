// What one rotation of the built-in vault costs, as computing: the CPU of the worker and that of the server's sessions, its
// statements and its transactions. Counted, not timed, so that it says the same on a busy machine.

import { keyTypes, providers } from '#providers/registry.ts'
import { systemClock } from '#runtime/clock.ts'
import { hashJson } from '#runtime/hash.ts'
import { createVaultStore } from '#store/vault-store.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { hearing } from '#test/support/statements.ts'
import { makeAdvanceRotation } from '#usecases/advance-rotation.ts'
import { makePlanRotations } from '#usecases/plan-rotations.ts'
import { makeFleet, putFleetPolicy } from './fleet.ts'
import { type Benchmark, figure } from './measure.ts'
import { type BenchDatabase, openPlace, serverMs } from './place.ts'

const warm = 60

export const rotationCost: Benchmark = {
  name: 'rotation-cost',
  about: 'CPU, statements and transactions of one rotation in the built-in vault',
  run: async ({ keys: asked, say }) => {
    const keys = asked ?? 200
    const place = await openPlace()
    try {
      const db = await place.database()
      await makeFleet(db, keys + warm, true)
      await putFleetPolicy(db, { rotateOnEnable: true })
      const advance = await makeWorker(db)
      const ids = await planned(db)
      for (const id of ids.slice(0, warm)) await advance(id)
      const [mine, servers] = [process.cpuUsage(), await serverMs(db)]
      const { statements, commits } = await hearing(async () => {
        for (const id of ids.slice(warm)) await advance(id)
      })
      const { user, system } = process.cpuUsage(mine)
      const spent = (await serverMs(db)) - servers
      const { rows } = await db.sql.query(
        `SELECT count(*)::int AS n FROM app.rotation WHERE phase = 'completed'`,
      )
      if (rows[0].n !== ids.length) throw new Error(`${rows[0].n} of ${ids.length} are completed`)
      const count = ids.length - warm
      const line = (what: string, each: number, unit: string) => ({
        what: `one rotation: ${what}`,
        ours: `${figure(each)}${unit}`,
        floor: '',
        ratio: null,
        goal: '',
        met: null,
      })
      say(`  ${count} rotations, one after the other`)
      return [
        line('statements', statements.length / count, ''),
        line('transactions that write', commits / count, ''),
        line('CPU of the worker', (user + system) / 1_000 / count, ' ms'),
        line("CPU of the server's sessions", spent / count, ' ms'),
      ]
    } finally {
      await place.close()
    }
  },
}

const makeWorker = async (db: BenchDatabase) => {
  const local = providers.find(({ id }) => id === 'local')
  if (!local) throw new Error('there is no built-in vault')
  const session = local.connect({
    connection: 'vault',
    externalId: 'x',
    settings: {},
    credential: null,
    ports: plainPorts(createVaultStore({ database: db.database, keyring: db.keyring })),
  })
  const sessions = {
    open: async () => session,
    enter: async () => null,
    forget: async () => {},
    close: async () => {},
  }
  const { ledger, timers, ids } = db
  const send = async () => {
    throw new Error('nobody is told')
  }
  const world = { sessions, types: keyTypes, fetch: globalThis.fetch, send }
  return makeAdvanceRotation(
    { ledger, timers, world, clock: systemClock, ids },
    {
      instance: 'bench',
      bell: { ring: async () => {} },
      report: (_id, error) => {
        throw error
      },
    },
  )
}

const planned = async (db: BenchDatabase): Promise<readonly string[]> => {
  const { ledger, timers, ids } = db
  const plan = makePlanRotations({ ledger, timers, ids, types: keyTypes, hashJson }, 'bench')
  while ((await plan()) > 0);
  const { rows } = await db.sql.query<{ id: string }>('SELECT id FROM app.rotation ORDER BY id')
  return rows.map(({ id }) => id)
}
