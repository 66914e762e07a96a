// Which policies publish where no grant covers every key that they may choose: such a key stalls in preflight at its next
// rotation. A policy is written with one (policy-rights.ts); a grant may be taken back, and older policies had none.

import type { Policy } from '#domain/connection.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { Ledger, Reads } from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import { targetPlace } from './publish-place.ts'
import { objectIdOf } from './registration.ts'
import { grants } from './rights.ts'

type Types = ReadonlyMap<string, KeyType>

export interface Ungranted {
  readonly policy: string
  readonly target: string
  readonly connection: string
}

export const makeCheckPublishing =
  (ledger: Pick<Ledger, 'read'>, types: Types) => (): Promise<readonly Ungranted[]> =>
    ledger.read(async (db) => {
      const found: Ungranted[] = []
      for (const policy of await db.policies.all()) {
        // oxlint-disable-next-line no-await-in-loop -- one connection
        found.push(...(await ungrantedOf(db, types, policy)))
      }
      return found
    })

const ungrantedOf = async (
  db: Reads,
  types: Types,
  { name, spec }: Policy,
): Promise<readonly Ungranted[]> => {
  const found: Ungranted[] = []
  for (const target of spec.publish ?? []) {
    const type = types.get(target.type)
    // oxlint-disable-next-line no-await-in-loop -- few targets, one connection
    const connection = await db.connections.get(target.connection ?? '')
    if (!type || !connection) continue
    const objectId = orNull(() => objectIdOf(type, targetPlace(connection, target), '/ref'))
    if (objectId === null || grants(connection, spec.selector.matchLabels ?? {}, objectId)) continue
    found.push({ policy: name, target: target.name, connection: connection.name })
  }
  return found
}

/** What a type does not take as the name of an object (any more) is no question of grants. */
const orNull = (of: () => string): string | null => {
  try {
    return of()
  } catch (e) {
    if (isRekeyError(e)) return null
    throw e
  }
}
