// The same POST once more: the name is taken by a finished key (409), or by one whose creation was interrupted and is the same.
// That is finished. The protocol stands in create-object.ts.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Registration } from '#domain/key-schema.ts'
import type { Committed } from '#domain/ports.ts'
import { openCreation } from './creation.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { type Place, type RegisterKeyDeps, toldKey } from './registration.ts'
import { probeCreation } from './send-creation.ts'
import { sameJson } from './written.ts'

export const resumeCreation = async (
  deps: RegisterKeyDeps,
  actor: Actor,
  order: {
    readonly key: Key
    readonly input: Registration
    readonly place: Place
    readonly dryRun: boolean
  },
): Promise<Committed<Key>> => {
  const { key, input, place } = order
  await deps.ledger.read(mustWriteProviders)
  const { intent, versions } = await deps.ledger.read(async (db) => ({
    intent: await openCreation(db, key.id),
    versions: await db.versions.of(key.id),
  }))
  const same =
    key.connection === input.connection &&
    key.type === input.type &&
    key.objectId === place.objectId
  if (
    !intent ||
    versions.length > 0 ||
    !input.create ||
    !same ||
    !sameJson(key.labels, input.labels ?? {})
  ) {
    throw new RekeyError('resource.exists', {
      detail: `There is a key "${key.name}" already.`,
      ...(intent
        ? {
            hint: 'Its object is still being made: repeat the POST that began it, unchanged, or delete the key.',
          }
        : {}),
    })
  }
  if (order.dryRun) {
    return deps.ledger.commit(actor, async () => ({
      value: key,
      audit: [
        {
          action: 'key.registered',
          target: { id: key.id, name: key.name },
          outcome: 'intent',
          after: toldKey(key),
        },
      ],
    }))
  }
  return probeCreation(deps, actor, { key, intent, place }, { resend: true })
}
