// Which object a publish target is: one answer for whoever writes the policy, looks for missing grants, previews a rotation,
// or writes there. A grant would else be asked for one object, and the value be written to another.
//
// A target is the same place whichever key is published to it, and a policy is judged before it has keys. So where a `ref`
// leaves out the name, it is the target's own that stands in for it, and never that of the key.

import type { Connection } from '#domain/connection.ts'
import type { JsonObject } from '#domain/json.ts'
import type { KeyType, ObjectAddress } from '#domain/provider.ts'
import type { PublishTarget } from '#domain/rotation.ts'

/** As a policy has it: its schema knows what is JSON of a `ref`, its type does not. */
interface Named {
  readonly name: string
  readonly ref: Readonly<Record<string, unknown>>
}

/** What its type names the object by. */
export const targetPlace = (
  { settings }: Pick<Connection, 'settings'>,
  { name, ref }: Named,
): Parameters<KeyType['objectId']>[0] => ({ settings, ref: ref as JsonObject, keyName: name })

/** What a session is told. */
export const targetAddress = (
  { name, type, ref }: Pick<PublishTarget, 'name' | 'type' | 'ref'>,
  keyId: string,
): ObjectAddress => ({ type, ref, keyId, keyName: name })
