// What only a superuser can do, once for each database: roles, the database itself, and the guards of the audit log.
//
//   rekey_owner     owns app and vault        no login, no members
//   rk_audit_owner  owns audit                no login, no members
//   rekey_migrate   runs migrations           is a member of the two only while `migrate` runs
//   rekey_app       serves                    may insert named columns, change what the domain changes, and no more
//
// On a server of somebody else's the same statements are run by its administrator; `rekey doctor` shows what is missing.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'

export const roleNames = {
  owner: 'rekey_owner',
  auditOwner: 'rk_audit_owner',
  migrate: 'rekey_migrate',
  app: 'rekey_app',
} as const

export interface DatabaseUrls {
  readonly app: string
  readonly migration: string
  readonly superuser: string
}

/** Makes the roles (new passwords each time) and the database. Idempotent. Returns connection strings for each role. */
export const bootstrap = async (at: {
  /** Any database of the server. */
  readonly superuserUrl: string
  readonly database?: string
}): Promise<DatabaseUrls> => {
  const database = at.database ?? 'rekey'
  const passwords = { app: newPassword(), migrate: newPassword() }
  await withClient(at.superuserUrl, async (db) => {
    await ensureRoles(db, passwords)
    const { rowCount } = await db.query('SELECT FROM pg_database WHERE datname = $1', [database])
    if (rowCount === 0) await db.query(`CREATE DATABASE ${db.escapeIdentifier(database)}`)
  })
  const superuser = withDatabase(at.superuserUrl, database)
  await prepareDatabase(superuser)
  return {
    superuser,
    app: withLogin(superuser, roleNames.app, passwords.app),
    migration: withLogin(superuser, roleNames.migrate, passwords.migrate),
  }
}

/** Rights on one database, before its first migration. */
export const prepareDatabase = (superuserUrl: string): Promise<void> =>
  withClient(superuserUrl, async (db) => {
    const name = db.escapeIdentifier(db.database ?? '')
    const { owner, auditOwner, migrate, app } = roleNames
    await db.query(`
      REVOKE ALL ON DATABASE ${name} FROM PUBLIC;
      GRANT CONNECT ON DATABASE ${name} TO ${migrate}, ${app};
      GRANT CREATE ON DATABASE ${name} TO ${owner}, ${auditOwner};
      GRANT USAGE, CREATE ON SCHEMA public TO ${migrate};
      GRANT USAGE ON SCHEMA public TO ${app};
    `)
  })

/** Lends the owners to the migration role. INHERIT FALSE: nothing is owned by accident, only after SET ROLE. */
export const lendOwners = (superuserUrl: string): Promise<void> =>
  withClient(superuserUrl, async (db) => {
    const { owner, auditOwner, migrate } = roleNames
    await db.query(`GRANT ${owner}, ${auditOwner} TO ${migrate} WITH INHERIT FALSE, SET TRUE`)
  })

export const takeOwnersBack = (superuserUrl: string): Promise<void> =>
  withClient(superuserUrl, async (db) => {
    const { owner, auditOwner, migrate } = roleNames
    await db.query(`REVOKE ${owner}, ${auditOwner} FROM ${migrate}`)
  })

/** Takes the picture that the event trigger compares with, and switches it on. After the migrations. */
export const raiseGuards = async (superuserUrl: string): Promise<void> => {
  const sql = await readFile(new URL('../../prisma/bootstrap/guards.sql', import.meta.url), 'utf8')
  await withClient(superuserUrl, async (db) => {
    await db.query(sql)
  })
}

/** Before migrations that may change what is guarded. A crash before they are raised again is seen by the self-check. */
export const lowerGuards = (superuserUrl: string): Promise<void> =>
  withClient(superuserUrl, async (db) => {
    const { rowCount } = await db.query(
      "SELECT FROM pg_event_trigger WHERE evtname = 'rekey_guard'",
    )
    if (rowCount !== 0) await db.query('ALTER EVENT TRIGGER rekey_guard DISABLE')
  })

const ensureRoles = async (
  db: pg.Client,
  passwords: { readonly app: string; readonly migrate: string },
): Promise<void> => {
  const { owner, auditOwner, migrate, app } = roleNames
  const plain = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'
  const wanted = [
    [owner, `${plain} NOLOGIN`],
    [auditOwner, `${plain} NOLOGIN`],
    // The verifier, not the password: a server that logs statements learns nothing.
    [migrate, `${plain} LOGIN PASSWORD '${scramVerifier(passwords.migrate)}'`],
    [app, `${plain} LOGIN PASSWORD '${scramVerifier(passwords.app)}'`],
  ] as const
  // Roles belong to the whole server: two that start at once would both make them.
  await db.query('SELECT pg_advisory_lock(72707370)')
  try {
    for (const [role, attributes] of wanted) {
      const { rowCount } = await db.query('SELECT FROM pg_roles WHERE rolname = $1', [role])
      await db.query(`${rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${role} WITH ${attributes}`)
    }
  } finally {
    await db.query('SELECT pg_advisory_unlock(72707370)')
  }
}

/** Runs `work` on a session of its own. */
export const withClient = async <T>(
  url: string,
  work: (db: pg.Client) => Promise<T>,
): Promise<T> => {
  const db = new pg.Client({ connectionString: url, application_name: 'rekey-migrate' })
  // A lost connection also rejects the query under way; without a listener it would end the process.
  db.on('error', () => undefined)
  await db.connect()
  try {
    return await work(db)
  } finally {
    await db.end()
  }
}

/** Whether this connection string is a superuser's. */
export const isSuperuser = (url: string): Promise<boolean> =>
  withClient(url, async (db) => {
    const { rows } = await db.query<{ yes: boolean }>(
      'SELECT rolsuper AS yes FROM pg_roles WHERE rolname = current_user',
    )
    return rows[0]?.yes === true
  })

/** All of `work` or nothing of it. */
export const inOneTransaction = async <T>(db: pg.Client, work: () => Promise<T>): Promise<T> => {
  await db.query('BEGIN')
  try {
    const value = await work()
    await db.query('COMMIT')
    return value
  } catch (error) {
    await db.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

export const withDatabase = (url: string, database: string): string => {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.toString()
}

const withLogin = (url: string, user: string, password: string): string => {
  const changed = new URL(url)
  changed.username = user
  changed.password = password
  return changed.toString()
}

const newPassword = (): string => randomBytes(24).toString('base64url')

/** RFC 5803: what the server stores for SCRAM-SHA-256. Our passwords are ASCII, so SASLprep changes nothing. */
const scramVerifier = (password: string): string => {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, 4096, 32, 'sha256')
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$4096:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`
}
