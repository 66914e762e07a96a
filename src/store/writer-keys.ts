// Public keys of the processes that sign events. Enrolling one is an event, signed by it.

import { kidText, type TurningWriter, type Writer } from '#audit/writer.ts'
import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { LedgerEvent } from '#domain/ports.ts'
import type { Database } from './database.ts'
import { bytes } from './tables/translate.ts'
import { writeEvents, type EventDeps } from './write-events.ts'

/** Makes this process's key known, once. True when it was new. Before the first event that others should be able to check. */
export const enrolWriter = async (
  deps: EventDeps & { readonly database: Database },
  actor: Actor,
): Promise<boolean> => {
  const { writer } = deps
  return deps.database.client.$transaction(async (db) => {
    const { count } = await db.writerKey.createMany({
      data: [{ kid: bytes(writer.kid), publicKey: bytes(writer.publicKey) }],
      skipDuplicates: true,
    })
    if (count === 0) {
      await assertOurs(db, writer)
      return false
    }
    await writeEvents(db, deps, actor, [enrolment(writer)])
    return true
  })
}

/** What is told of it. */
export const enrolment = (writer: Writer, replaces: Writer | null = null): LedgerEvent => {
  const kid = kidText(writer.kid)
  return {
    action: 'audit.writerEnrolled',
    target: { id: kid, name: kid },
    outcome: 'succeeded',
    after: {
      publicKey: Buffer.from(writer.publicKey).toString('base64'),
      ...(replaces && { replaces: kidText(replaces.kid) }),
    },
  }
}

/** Makes the key known that takes the place of this process's, by a record that the present one signs: whoever trusts that one may
 *  trust the next. */
export const enrolNext = async (
  deps: EventDeps & { readonly database: Database },
  actor: Actor,
  next: Writer,
): Promise<void> => {
  await deps.database.client.$transaction(async (db) => {
    const { count } = await db.writerKey.createMany({
      data: [{ kid: bytes(next.kid), publicKey: bytes(next.publicKey) }],
      skipDuplicates: true,
    })
    if (count === 0) return assertOurs(db, next)
    await writeEvents(db, deps, actor, [enrolment(next, deps.writer)])
  })
}

/** One look at the file: where another key is in it, that one is enrolled, and signs from then on. `read` gives null where there is
 *  no file: the key that is known stays. */
export const makeFollowWriterKey =
  (
    deps: EventDeps & { readonly database: Database; readonly writer: TurningWriter },
    actor: Actor,
    read: () => Writer | null,
  ): (() => Promise<void>) =>
  async () => {
    const next = read()
    if (next === null || kidText(next.kid) === kidText(deps.writer.kid)) return
    await enrolNext(deps, actor, next)
    deps.writer.turn(next)
  }

/** All that ever signed, the oldest first. */
export const listWriterKeys = async ({
  client: db,
}: Database): Promise<readonly { readonly kid: string; readonly enrolledAt: Date }[]> => {
  const rows = await db.writerKey.findMany({ orderBy: { enrolledAt: 'asc' } })
  return rows.map(({ kid, enrolledAt }) => ({ kid: kidText(kid), enrolledAt }))
}

/** One event in a transaction of its own, where there is no ledger: of commands that work on the database itself. Returns its id. */
export const noteAlone = async (
  deps: EventDeps & { readonly database: Database },
  actor: Actor,
  event: LedgerEvent,
): Promise<string> =>
  deps.database.client.$transaction(async (db) => {
    const [receipt] = await writeEvents(db, deps, actor, [event])
    return receipt.eventId
  })

// Four bytes name a key: with another key under the same name nobody could check what we sign.
const assertOurs = async (
  db: Pick<Database['client'], 'writerKey'>,
  writer: Writer,
): Promise<void> => {
  const row = await db.writerKey.findUnique({ where: { kid: bytes(writer.kid) } })
  if (row !== null && Buffer.compare(row.publicKey, writer.publicKey) === 0) return
  throw new RekeyError('audit.unavailable', {
    detail:
      'Another key is enrolled under the id of the audit writer key: remove the writer key file, and a new one is made',
  })
}
