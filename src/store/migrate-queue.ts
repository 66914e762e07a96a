// BullMQ's own tables, in schema `queue`, made by its own migrations and owned by rekey_owner. The app may use them, not change them.

import { runMigrations } from 'bullmq'
import type pg from 'pg'
import { roleNames } from './bootstrap.ts'

export const queueSchema = 'queue'

/** Idempotent; takes BullMQ's own advisory lock. Grants are repeated: an upgrade may have added tables. */
export const migrateQueue = async (db: pg.Client): Promise<void> => {
  await db.query(`SET ROLE ${roleNames.owner}`)
  try {
    await runMigrations(db, queueSchema)
    await db.query(`
      GRANT USAGE ON SCHEMA ${queueSchema} TO ${roleNames.app};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${queueSchema} TO ${roleNames.app};
      GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${queueSchema} TO ${roleNames.app};
      REVOKE INSERT, UPDATE, DELETE ON ${queueSchema}.migration FROM ${roleNames.app};
    `)
  } finally {
    await db.query('RESET ROLE')
  }
}
