// An issuer goes, then its key: Vault lets go of no key that an issuer uses. A crash in between leaves a key that nothing uses.
// Ours are found again by their names; one that somebody else made stays in the mount and signs nothing.

import type { JsonObject } from '#domain/json.ts'
import type { Call } from '#domain/provider.ts'
import { listIssuers, listKeys, readIssuer } from './issuer-read.ts'
import { issuerPrefix, type IssuerRef } from './refs.ts'
import type { Ask } from './session.ts'

export const destroyIssuer = async (
  ask: Ask,
  ref: IssuerRef,
  id: string,
  call: Call,
): Promise<JsonObject> => {
  const issuer = await readIssuer(ask, ref, id, call)
  if (issuer !== null) await remove(ask, ref.issuerPath(issuer.id), call)
  const keys = new Set(await unusedKeys(ask, ref, call))
  if (issuer !== null && issuer.keyId !== '') keys.add(issuer.keyId)
  for (const key of keys) {
    // oxlint-disable-next-line no-await-in-loop -- hardly ever more than one
    await remove(ask, ref.keyPath(key), call)
  }
  return { issuer: id, keys: keys.size, ...(issuer === null ? { already: true } : {}) }
}

const remove = async (ask: Ask, path: string, call: Call): Promise<void> => {
  await ask(
    {
      verb: 'delete',
      path,
      changes: true,
      accept: [404],
      // Another issuer has the same key, and keeps it.
      acceptSaying: /Key in Use by Issuer/,
    },
    call,
  )
}

/** Named by an operation of Rekey's, and of no issuer. */
const unusedKeys = async (ask: Ask, ref: IssuerRef, call: Call): Promise<readonly string[]> => {
  const keys = await listKeys(ask, ref, call)
  const used = new Set((await listIssuers(ask, ref, call)).map(({ keyId }) => keyId))
  return keys.flatMap(({ id, name }) =>
    name.startsWith(issuerPrefix) && !used.has(id) ? [id] : [],
  )
}
