// Logins that have come back from their issuer. Each process asks here before it asks the issuer, so that a cookie which is sent again
// with other codes costs the issuer no second request. A row is there as long as its cookie would open.

import type { Database } from './database.ts'
import type { SpendLogin } from '#domain/ports.ts'
import { orUnavailable } from './sql-state.ts'

export const createSpentLogins =
  ({ client: db }: Database): SpendLogin =>
  (id, until) =>
    orUnavailable(async () => {
      await db.$executeRaw`DELETE FROM app.spent_login WHERE until < app.now()`
      const fresh = await db.$executeRaw`
        INSERT INTO app.spent_login (id, until) VALUES (${id}::uuid, ${until}) ON CONFLICT DO NOTHING`
      return fresh === 1
    })
