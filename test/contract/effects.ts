// What a peer counted of a test: the changes that reached it through the adapter. Those by which the test arranged its objects,
// or somebody else changed them, are left out.

import type { ObjectAddress } from '#domain/provider.ts'
import type { Part } from './parts.ts'
import type { ContractPeer } from './peer.ts'

/** Rides on each test of the suite to the table at the end of a run (test/support/contract-table.ts). */
export interface ContractNote {
  readonly type: string
  /** Null: the peer could not be asked. */
  readonly effects: number | null
  readonly without: readonly Part[]
}

declare module 'vitest' {
  interface TaskMeta {
    contract?: ContractNote
  }
}

export interface CountedPeer {
  readonly peer: ContractPeer
  /** Since the last time that it was asked. */
  readonly effects: () => Promise<number | null>
}

export const countEffects = (peer: ContractPeer): CountedPeer => {
  /** Per object, what was there before the adapter had to do with it. */
  let before = new Map<ObjectAddress, number>()
  const counted = (object: ObjectAddress): Promise<number> =>
    peer.writes?.(object) ?? peer.versions(object)
  const { foreign, names } = peer
  const put = names?.put
  return {
    peer: {
      ...peer,
      newObject: async () => {
        const object = await peer.newObject()
        before.set(object, await counted(object))
        return object
      },
      unborn: () => {
        const object = peer.unborn()
        before.set(object, 0)
        return object
      },
      ...(foreign === undefined
        ? {}
        : {
            foreign: async (object: ObjectAddress) => {
              const was = await counted(object)
              await foreign(object)
              before.set(object, (before.get(object) ?? 0) + (await counted(object)) - was)
            },
          }),
      ...(names === undefined
        ? {}
        : {
            names: {
              bad: names.bad,
              get good() {
                for (const object of names.good) before.set(object, before.get(object) ?? 0)
                return names.good
              },
              ...(put === undefined
                ? {}
                : {
                    put: async (object: ObjectAddress) => {
                      await put(object)
                      before.set(object, await counted(object))
                    },
                  }),
            },
          }),
    },
    effects: async () => {
      const objects = before
      before = new Map()
      try {
        let sum = 0
        for (const [object, was] of objects) {
          // oxlint-disable-next-line no-await-in-loop -- a peer is asked one thing at a time
          sum += (await counted(object)) - was
        }
        return sum
      } catch {
        return null
      }
    },
  }
}
