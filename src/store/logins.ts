// Who tries a credential where each wrong one counts, and which was refused: one row a connection, on the database's clock.
// What a crash in the middle of a login leaves: the claim, for half a minute; whoever takes it over then is told so.

import type { Connection } from '#domain/connection.ts'
import { bytesOfFingerprint } from '#domain/fingerprint.ts'
import type { Keyring, LoginBook } from '#domain/ports.ts'
import type { Secret } from '#domain/secret.ts'
import type { Database } from './database.ts'
import { Prisma } from './generated/client.ts'
import { orUnavailable } from './sql-state.ts'

/** Longer than any call. */
const longest = Prisma.sql`interval '30 seconds'`

export const createLogins =
  ({ client: db }: Database, keyring: Pick<Keyring, 'fingerprint' | 'fingerprints' | 'mustKnow'>) =>
  ({ name, revision }: Pick<Connection, 'name' | 'revision'>): LoginBook => {
    /** The row is of this credential, by whichever pepper. */
    const known = (credential: Secret): Prisma.Sql => {
      const any = keyring.fingerprints(credential).map(bytesOfFingerprint)
      return Prisma.sql`known.revision = ${revision}::integer AND known.fingerprint = ANY (${any}::bytea[])`
    }
    return {
      claim: (credential) =>
        orUnavailable(async () => {
          // A pepper that this process does not have yet would be a login that nobody refused.
          const [there] = await db.$queryRaw<{ readonly pepper: number }[]>`
          SELECT get_byte(fingerprint, 0) AS pepper FROM app.login WHERE connection = ${name}`
          if (there) keyring.mustKnow([there.pepper])
          const same = known(credential)
          const of = bytesOfFingerprint(keyring.fingerprint(credential))
          const [before] = await db.$queryRaw<{ readonly state: string; readonly old: boolean }[]>`
          SELECT state, at < app.now() - ${longest} AS old
          FROM app.login known WHERE connection = ${name} AND ${same}`
          if (before?.state === 'refused') {
            // It is seen here: what others have to know of it is kept under the pepper of now.
            await db.$executeRaw`
            UPDATE app.login known SET fingerprint = ${of}::bytea
            WHERE connection = ${name} AND ${same} AND state = 'refused' AND fingerprint <> ${of}::bytea`
            return 'refused'
          }
          const claimed = await db.$executeRaw`
          INSERT INTO app.login AS known (connection, revision, fingerprint, state, at)
          SELECT name, ${revision}::integer, ${of}::bytea, 'trying', app.now()
          FROM app.connection WHERE name = ${name}
          ON CONFLICT (connection) DO UPDATE
          SET revision = excluded.revision, fingerprint = excluded.fingerprint, state = 'trying', at = app.now()
          WHERE NOT (${same}) OR known.state = 'accepted'
            OR (known.state = 'trying' AND known.at < app.now() - ${longest})`
          // Without a row there is no connection any more, or another process was faster.
          if (claimed === 0) return before || (await exists(db, name)) ? 'busy' : 'try'
          return before?.state === 'trying' && before.old ? 'tryAfterDeath' : 'try'
        }),

      ended: (credential, how) =>
        orUnavailable(async () => {
          await db.$executeRaw`
          UPDATE app.login known SET state = ${how}, at = app.now()
          WHERE connection = ${name} AND ${known(credential)}`
        }),
    }
  }

const exists = async (db: Database['client'], name: string): Promise<boolean> =>
  (await db.connection.count({ where: { name } })) > 0
