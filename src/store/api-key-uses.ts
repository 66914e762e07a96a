// When tokens were last used. A request must not wait for a write, so uses are collected and told every few seconds: what a
// process had not told yet when it dies is forgotten.

import type { ApiKeyUses } from '#domain/ports.ts'
import type { Database } from './database.ts'

export const createApiKeyUses = ({ client: db }: Database): ApiKeyUses => ({
  tell: async (uses) => {
    const rows = JSON.stringify([...uses].map(([id, at]) => ({ id, at })))
    // A token's row is never deleted, so what is told of has one.
    await db.$executeRaw`
      INSERT INTO app.api_key_use (api_key_id, last_used_at)
      SELECT id, at FROM jsonb_to_recordset(${rows}::jsonb) AS told(id uuid, at timestamptz) ORDER BY id
      ON CONFLICT (api_key_id) DO UPDATE
        SET last_used_at = greatest(app.api_key_use.last_used_at, excluded.last_used_at)`
  },
})
