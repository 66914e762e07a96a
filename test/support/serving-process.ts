// A process that serves, as far as its own keys go: its keyring, and what it does with them every two seconds.

import { noTelemetry } from '#domain/telemetry.ts'
import { openKeyring } from '#runtime/keyring.ts'
import { createLedger } from '#store/ledger.ts'
import { beginOwnKeys, makeFollowOwnKeys } from '#usecases/follow-own-keys.ts'
import type { TestDatabase } from './db.ts'

export const startServing = async (
  db: TestDatabase,
  instance: string,
  files: Parameters<typeof openKeyring>[0],
) => {
  const keyring = await openKeyring(files)
  const ledger = createLedger({
    ...{ database: db.database, keyring, writer: db.writer, ids: db.ids, clock: db.clock },
    bell: { ring: async () => undefined },
    trace: noTelemetry.tracer,
  })
  await beginOwnKeys({ ledger, keyring })
  const self = { instance, host: `host-of-${instance}`, pid: 7, version: '1', signs: null }
  const follow = makeFollowOwnKeys({ ledger, keyring, processes: db.processes }, self)
  await follow()
  return { keyring, ledger, follow }
}
