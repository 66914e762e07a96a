// `rekey kek …`: commands beside the database and the file of this host, like `rekey backup`. One at a time in an installation:
// the first holds a lock in the database for as long as it runs, and loses it with its session.

import { makeWriter } from '#audit/writer.ts'
import { systemActor } from '#domain/actor.ts'
import { KekRefused } from '#domain/kek.ts'
import { StartRefused } from '#domain/start-refused.ts'
import { systemClock } from '#runtime/clock.ts'
import { endOnSignal } from '#runtime/end-on-signal.ts'
import { makeIds } from '#runtime/ids.ts'
import { kekFile, openKeyring, type OpenKeyring } from '#runtime/keyring.ts'
import { openWriterKey } from '#runtime/writer-key.ts'
import { withClient } from '#store/bootstrap.ts'
import { type Database, openDatabase } from '#store/database.ts'
import { createLedger } from '#store/ledger.ts'
import { createProcesses } from '#store/processes.ts'
import { createRewrap } from '#store/rewrap.ts'
import { selfCheck } from '#store/self-check.ts'
import type { EventDeps } from '#store/write-events.ts'
import { enrolWriter } from '#store/writer-keys.ts'
import { beginOwnKeys } from '#usecases/follow-own-keys.ts'
import { type KekRetired, makeRetireKek } from '#usecases/retire-kek.ts'
import { livingMs } from '#usecases/every-process.ts'
import { type KekRotated, makeRotateKek } from '#usecases/rotate-kek.ts'
import { type Config, keyFiles } from './config.ts'
import { required, runningDatabase } from './roles.ts'

type Say = (line: string) => void

const actor = systemActor('system', 'kek')
const only = {
  lock: 'rekey kek',
  busy: () => new KekRefused('busy', 'another `rekey kek` command is at work', 'Wait for it.'),
}

export interface RotateKekInput {
  readonly to: string | null
  readonly patienceMs: number
}

export const rotateKekRole = (
  config: Config,
  input: RotateKekInput,
  say: Say,
): Promise<KekRotated> =>
  endOnSignal(say, async (mustGoOn) =>
    alone(await urlOf(config), only, async (held) => {
      const rotate = async ({ database, keyring, ledger }: Ground): Promise<KekRotated> =>
        makeRotateKek({
          ledger,
          keyring,
          processes: createProcesses(database),
          rewrap: createRewrap({ database, keyring }),
          file: kekFile(config.kekFile),
          clock: systemClock,
        })(actor, {
          ...input,
          say,
          mustGoOn: async () => {
            mustGoOn()
            await held()
          },
        })
      return onGround(config, rotate)
    }),
  )

export const retireKekRole = async (
  config: Config,
  { atOnce }: { readonly atOnce: boolean },
): Promise<KekRetired> =>
  alone(await urlOf(config), only, () =>
    onGround(config, ({ database, ledger }) =>
      makeRetireKek({
        ledger,
        processes: createProcesses(database),
        file: kekFile(config.kekFile),
      })(actor, { atOnce }),
    ),
  )

export interface KekLine {
  readonly id: string
  /** `unused`: in the file of this host, and never made active. */
  readonly state: string
  readonly rows: number
  readonly inFile: boolean
}

/** With the processes that serve now: for the steps on several hosts. */
export const listKeksRole = (config: Config) =>
  onGround(config, async ({ database, keyring, ledger }) => {
    const known = await ledger.read((db) => db.keks.list())
    const rows = await createRewrap({ database, keyring }).rows()
    const inFile = kekFile(config.kekFile).ids()
    const ids = new Set([...known.map(({ id }) => id), ...inFile, ...rows.keys()])
    const keks = [...ids].map((id): KekLine => ({
      id,
      state: known.find((kek) => kek.id === id)?.state ?? 'unused',
      rows: rows.get(id) ?? 0,
      inFile: inFile.includes(id),
    }))
    return { keks, processes: await createProcesses(database).living(livingMs) }
  })

/** The database that this host knows. */
export const urlOf = async (config: Config): Promise<string> =>
  required(
    config.databaseUrl?.reveal() ?? (await runningDatabase(config)),
    'REKEY_DATABASE_URL',
    'or start Rekey with `rekey up` first',
  )

export interface Ground {
  readonly database: Database
  /** Signs with the key in the file. */
  readonly writing: EventDeps & { readonly database: Database }
  readonly keyring: OpenKeyring
  readonly ledger: ReturnType<typeof createLedger>
}

/** The database as every start asks for it, and the keys of this host. */
export const onGround = async <T>(
  config: Config,
  work: (ground: Ground) => Promise<T>,
): Promise<T> => {
  const database = openDatabase({ url: await urlOf(config), poolSize: 4 })
  try {
    const keyring = await openKeyring(keyFiles(config))
    const findings = await selfCheck(database, keyring)
    if (findings.length > 0) throw new StartRefused(findings)
    const clock = systemClock
    const writer = makeWriter(await openWriterKey(config.writerKeyFile))
    const of = {
      database,
      keyring,
      writer,
      ids: makeIds(clock),
      clock,
      trace: { current: () => null },
    }
    await enrolWriter(of, actor)
    const ledger = createLedger({ ...of, bell: { ring: async () => undefined } })
    await beginOwnKeys({ ledger, keyring })
    return await work({ database, writing: of, keyring, ledger })
  } finally {
    await database.close()
  }
}

/** `held` throws when the lock is lost. A transaction, so that a pooler leaves the session to it; it changes nothing, and holds
 *  nobody up. */
export const alone = <T>(
  url: string,
  { lock, busy }: { readonly lock: string; readonly busy: () => Error },
  work: (held: () => Promise<void>) => Promise<T>,
): Promise<T> =>
  withClient(url, async (db) => {
    await db.query('BEGIN')
    await db.query('SET LOCAL idle_in_transaction_session_timeout = 0')
    const { rows } = await db.query<{ held: boolean }>(
      'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS held',
      [lock],
    )
    if (rows[0]?.held !== true) throw busy()
    const value = await work(async () => {
      await db.query('SELECT')
    })
    await db.query('COMMIT')
    return value
  })
