// What a step of a rotation works with: its connection, an open session and the versions.

import type { Connection } from '#domain/connection.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Version } from '#domain/key.ts'
import type { Ledger, NoRoom, Situation } from '#domain/ports.ts'
import { type KeyType, type ObjectAddress, ProviderError, type Session } from '#domain/provider.ts'
import type { Intent, Rotation } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'

export interface Scene {
  readonly connection: Connection
  readonly session: Session
  readonly type: KeyType
  readonly object: ObjectAddress
  readonly from: Version | null
  readonly to: Version | null
}

export const sceneOf = async (
  run: Pick<Run, 'ledger' | 'world' | 'seen'>,
  rotation: Rotation,
): Promise<Scene> => {
  const { fromVersion, toVersion, plan } = rotation
  const { id: keyId, name: keyName, type: typeName, ref } = plan.key
  const { connection, versions } =
    run.seen ??
    (await run.ledger.read(async (db) => ({
      connection: await db.connections.get(plan.key.connection),
      versions: await db.versions.some(
        keyId,
        [fromVersion, toVersion].filter((number) => number !== null),
      ),
    })))
  const type = run.world.types.get(typeName)
  if (!connection || !type) {
    throw new RangeError(`rotation ${rotation.id} has lost its connection or type`)
  }
  const numbered = (number: number | null) =>
    versions.find(({ version }) => version === number) ?? null
  return {
    connection,
    session: await openSession(run, connection),
    type,
    object: { type: typeName, ref, keyId, keyName },
    from: numbered(fromVersion),
    to: numbered(toVersion),
  }
}

/** What keeps a session from being opened (a credential that is gone, an address that egress rules refuse) is a refusal like
 *  a provider's own. That our database is away is not. */
export const openSession = async (
  run: { readonly world: Pick<Run['world'], 'sessions'> },
  connection: Connection,
): Promise<Session> => {
  const { sessions } = run.world
  try {
    const session = await sessions.open(connection)
    const full = await sessions.enter(connection)
    if (full) throw new Full(full)
    return session
  } catch (error) {
    if (!(error instanceof RekeyError) || isOurDatabase(error)) throw error
    const kind = isRekeyError(error, 'provider.unavailable') ? 'transient' : 'precondition'
    throw new ProviderError(kind, 'none', error.message, error.hint ? { hint: error.hint } : {})
  }
}

/** The connection has sent as much as it may: nothing of this step has been done, and it is tried again later. */
export class Full extends Error {
  readonly room: NoRoom
  constructor(room: NoRoom) {
    super(room.why)
    this.name = 'Full'
    this.room = room
  }
}

/** The database cannot be reached or written to: nothing is known to be wrong, and it passes by itself. */
export const isOurDatabase = (error: unknown): boolean =>
  isRekeyError(error, 'audit.unavailable') || isRekeyError(error, 'service.unavailable')

/** In the order in which they began; those that the step began with, where it has written none since. */
export const intentsOf = async (
  run: { readonly ledger: Pick<Ledger, 'read'>; readonly seen?: Pick<Situation, 'intents'> },
  { id }: Pick<Rotation, 'id'>,
): Promise<readonly Intent[]> => run.seen?.intents ?? run.ledger.read((db) => db.intents.of(id))

/** The provider's version that carries a version's material now. */
export const carrier = (version: Version): string => {
  const last = version.providerVersions.at(-1)
  if (last === undefined) throw new RangeError(`version ${version.version} has no provider version`)
  return last
}

/** What Rekey holds sealed of a version; null where only the provider has it. */
export const materialOf = async (run: Pick<Run, 'ledger'>, version: Version) => {
  const { sealedId } = version
  return sealedId === null ? null : run.ledger.read((db) => db.sealed.open(sealedId))
}
