// `rekey pepper …`: commands beside the database and the file of this host, like `rekey kek`. One at a time in an installation.

import { systemActor } from '#domain/actor.ts'
import { PepperRefused, type PepperUses } from '#domain/pepper.ts'
import { systemClock } from '#runtime/clock.ts'
import { endOnSignal } from '#runtime/end-on-signal.ts'
import { pepperFile } from '#runtime/peppers.ts'
import { createProcesses } from '#store/processes.ts'
import { livingMs } from '#usecases/every-process.ts'
import { makeRetirePepper, type PepperRetired } from '#usecases/retire-pepper.ts'
import { makeRotatePepper, type PepperRotated } from '#usecases/rotate-pepper.ts'
import { type Config, keyFiles } from './config.ts'
import { alone, onGround, urlOf } from './kek-roles.ts'

type Say = (line: string) => void

const actor = systemActor('system', 'pepper')
const only = {
  lock: 'rekey pepper',
  busy: () =>
    new PepperRefused('busy', 'another `rekey pepper` command is at work', 'Wait for it.'),
}

export const rotatePepperRole = (
  config: Config,
  { patienceMs }: { readonly patienceMs: number },
  say: Say,
): Promise<PepperRotated> =>
  endOnSignal(say, async (mustGoOn) =>
    alone(await urlOf(config), only, (held) =>
      onGround(config, ({ database, keyring, ledger }) =>
        makeRotatePepper({
          ledger,
          ring: keyring.peppers,
          processes: createProcesses(database),
          file: pepperFile(keyFiles(config).pepperFile),
          clock: systemClock,
        })(actor, {
          patienceMs,
          say,
          mustGoOn: async () => {
            mustGoOn()
            await held()
          },
        }),
      ),
    ),
  )

export const retirePepperRole = (
  config: Config,
  { forget }: { readonly forget: number | null },
  say: Say,
): Promise<PepperRetired> =>
  endOnSignal(say, async (mustGoOn) =>
    alone(await urlOf(config), only, (held) =>
      onGround(config, ({ database, ledger }) =>
        makeRetirePepper({
          ledger,
          processes: createProcesses(database),
          file: pepperFile(keyFiles(config).pepperFile),
          clock: systemClock,
        })(actor, {
          forget,
          mustGoOn: async () => {
            mustGoOn()
            await held()
          },
        }),
      ),
    ),
  )

export interface PepperLine {
  readonly number: number
  readonly id: string
  /** `unused`: in the file of this host, and never made active. */
  readonly state: string
  /** Null: of one that is retired, or was never used, nothing is known. */
  readonly uses: PepperUses | null
  readonly inFile: boolean
}

/** With the processes that serve now: for the steps on several hosts. */
export const pepperStatusRole = (config: Config) =>
  onGround(config, async ({ database, ledger }) => {
    const { known, uses } = await ledger.read(async (db) => {
      const peppers = await db.peppers.list()
      const counted = new Map<number, PepperUses>()
      for (const { number, state } of peppers)
        if (state !== 'retired') counted.set(number, await db.peppers.uses(number)) // oxlint-disable-line no-await-in-loop -- few
      return { known: peppers, uses: counted }
    })
    const inFile = pepperFile(keyFiles(config).pepperFile).peppers()
    const unused = inFile.filter(({ id }) => !known.some((one) => one.id === id))
    const peppers = [...known, ...unused.map((one) => ({ ...one, state: 'unused' as const }))].map(
      ({ number, id, state }): PepperLine => ({
        number,
        id,
        state,
        uses: state === 'unused' ? null : (uses.get(number) ?? null),
        inFile: inFile.some((one) => one.id === id),
      }),
    )
    return { peppers, processes: await createProcesses(database).living(livingMs) }
  })
