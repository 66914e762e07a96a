// Reading rotations: a rotation is seen by whoever may see its key.

import type { Actor } from '#domain/actor.ts'
import type { Ledger, Page, Paged, Reads } from '#domain/ports.ts'
import type { Intent, Rotation, RotationTimer } from '#domain/rotation.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { visibleRotation } from './steer-rotation.ts'

/** A rotation with what belongs to it and changes beside it. */
export interface RotationStory {
  readonly rotation: Rotation
  readonly timer: RotationTimer | null
  readonly intents: readonly Intent[]
}

export const makeGetRotation =
  (ledger: Pick<Ledger, 'read'>) =>
  (actor: Actor, id: string): Promise<RotationStory> =>
    ledger.read(async (db) => storyOf(db, await visibleRotation(db, actor, id)))

export interface RotationQuery {
  readonly key?: string
  readonly policy?: string
  readonly phase?: readonly Phase[]
  readonly trigger?: string
}

export const makeListRotations =
  (ledger: Pick<Ledger, 'read'>) =>
  (actor: Actor, { key, ...filter }: RotationQuery, page: Page): Promise<Paged<RotationStory>> =>
    ledger.read(async (db) => {
      const named = key === undefined ? null : await db.keys.byName(key)
      if (key !== undefined && !named) return { items: [], next: null }
      const found = await db.rotations.list(
        { ...filter, ...(named ? { keyId: named.id } : {}), scope: actor.scope },
        page,
      )
      const items: RotationStory[] = []
      // oxlint-disable-next-line no-await-in-loop -- one connection
      for (const rotation of found.items) items.push(await storyOf(db, rotation))
      return { items, next: found.next }
    })

const storyOf = async (db: Reads, rotation: Rotation): Promise<RotationStory> => ({
  rotation,
  timer: await db.timers.get(rotation.id),
  intents: await db.intents.of(rotation.id),
})
