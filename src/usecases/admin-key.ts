// The first key. It is written to a file of the data directory (0600) before its row is committed: a crash in between leaves
// a file without a row, and the next start adopts the file's token. Whether it was ever made is asked of the audit log, so
// a key that an admin deleted does not come back with a restart.

import { systemActor } from '#domain/actor.ts'
import type { ApiKey } from '#domain/connection.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Ids, Ledger, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'
import { makeToken, tokenType } from '#domain/token.ts'
import type { Sha256 } from './authenticate.ts'
import { toldOfApiKey } from './create-api-key.ts'
import { everything } from './rights.ts'

/** The file that holds the token. */
export interface AdminKeyFile {
  readonly path: string
  /** Null where there is none. */
  read(): Promise<string | null>
  /** Replaces it at once or not at all; readable by its owner only. */
  write(token: Secret<string>): Promise<void>
}

export interface AdminKeyDeps {
  readonly ledger: Ledger
  readonly ids: Pick<Ids, 'next' | 'random'>
  readonly sha256: Sha256
  readonly file: AdminKeyFile
}

const bootstrap = systemActor('system', 'bootstrap')
const lock = 'admin-key'

/** At the first start only. `made`: tell people the path, never the key. */
export const ensureAdminKey = async (deps: AdminKeyDeps): Promise<{ readonly made: boolean }> => {
  if (await deps.ledger.read(wasMade)) return { made: false }
  const id = deps.ids.next()
  try {
    await deps.ledger.commit(bootstrap, async (tx) => {
      await tx.lock(lock)
      if (await wasMade(tx)) throw new RekeyError('resource.exists')
      // Under the lock, so that of two processes that start at once only the one whose row will stand writes the file.
      const token = await tokenInFile(deps)
      const key = await insert(deps, tx, id, token)
      return { value: null, audit: [told('apiKey.created', key)] }
    })
    return { made: true }
  } catch (error) {
    if (isRekeyError(error, 'resource.exists')) return { made: false }
    throw error
  }
}

const tokenInFile = async ({ file, ids }: AdminKeyDeps): Promise<Secret<string>> => {
  const left = (await file.read())?.trim() ?? ''
  if (tokenType(left) === 'pat') return new Secret(left)
  const token = makeToken('pat', ids.random)
  await file.write(token)
  return token
}

/** When it is lost: a new one, and the end of those that came the same way. The file is replaced last, so that a failure
 *  leaves either the old key working or a new one that a second reset replaces. */
export const resetAdminKey = async (deps: AdminKeyDeps): Promise<void> => {
  const token = makeToken('pat', deps.ids.random)
  const id = deps.ids.next()
  await deps.ledger.commit(bootstrap, async (tx) => {
    await tx.lock(lock)
    const now = await tx.now()
    const keys = await everything((after) => tx.apiKeys.list({ limit: 200, after }))
    const ended: LedgerEvent[] = []
    for (const old of keys.filter((k) => k.createdBy === bootstrap.id && k.deletedAt === null)) {
      // oxlint-disable-next-line no-await-in-loop -- one transaction, one connection
      await tx.writeApiKey.delete(old.id, now)
      ended.push({ ...told('apiKey.deleted', old), reason: 'admin-key reset' })
    }
    const key = await insert(deps, tx, id, token)
    return { value: null, audit: [told('apiKey.reset', key), ...ended] }
  })
  await deps.file.write(token)
}

const wasMade = async (db: Reads): Promise<boolean> => {
  const actions = ['apiKey.created', 'apiKey.reset'] as const
  const found = await Promise.all(
    actions.map((action) =>
      db.audit.list({ action, actor: bootstrap.id }, { limit: 1, after: null }),
    ),
  )
  return found.some(({ items }) => items.length > 0)
}

const insert = async (
  deps: AdminKeyDeps,
  tx: Tx,
  id: string,
  token: Secret<string>,
): Promise<ApiKey> => {
  const key: ApiKey = {
    id,
    name: 'admin',
    type: 'pat',
    roles: ['admin'],
    scope: null,
    consumer: null,
    keys: null,
    addresses: null,
    hash: deps.sha256(token.reveal()),
    expiresAt: null,
    createdBy: bootstrap.id,
    createdAt: await tx.now(),
    deletedAt: null,
  }
  await tx.writeApiKey.insert(key)
  return key
}

const told = (
  action: 'apiKey.created' | 'apiKey.deleted' | 'apiKey.reset',
  key: ApiKey,
): LedgerEvent => ({
  action,
  target: { id: key.id, name: key.name },
  outcome: 'succeeded',
  after: toldOfApiKey(key),
})
