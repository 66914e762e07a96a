// When tokens and sessions were last used. A request must not wait for a write, so uses are collected and told every few
// seconds: what a process had not told yet when it dies is forgotten.

import type { LastUses } from '#domain/ports.ts'
import type { Database } from './database.ts'

const asRows = (uses: ReadonlyMap<string, Date>): string =>
  JSON.stringify([...uses].map(([id, at]) => ({ id, at })))

export const createApiKeyUses = ({ client: db }: Database): LastUses => ({
  tell: async (uses) => {
    // A token's row is never deleted, so what is told of has one.
    await db.$executeRaw`
      INSERT INTO app.api_key_use (api_key_id, last_used_at)
      SELECT id, at FROM jsonb_to_recordset(${asRows(uses)}::jsonb) AS told(id uuid, at timestamptz) ORDER BY id
      ON CONFLICT (api_key_id) DO UPDATE
        SET last_used_at = greatest(app.api_key_use.last_used_at, excluded.last_used_at)`
  },
})

export const createSessionUses = ({ client: db }: Database): LastUses => ({
  tell: async (uses) => {
    // A session's row is deleted a week after its end.
    await db.$executeRaw`
      INSERT INTO app.browser_session_use (session_id, last_used_at)
      SELECT id, at FROM jsonb_to_recordset(${asRows(uses)}::jsonb) AS told(id uuid, at timestamptz)
      JOIN app.browser_session USING (id) ORDER BY id
      ON CONFLICT (session_id) DO UPDATE
        SET last_used_at = greatest(app.browser_session_use.last_used_at, excluded.last_used_at)`
  },
})
