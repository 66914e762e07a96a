import { randomUUID } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import type { ObjectAddress, Provider } from '#domain/provider.ts'
import { openTestDatabase } from '#test/support/db.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

interface Stored {
  readonly settings?: JsonObject
  readonly ref?: JsonObject
}

/** For providers that keep their material in Rekey's database: their peer is the database. */
export const startStored =
  (provider: Provider, type: string, { settings = {}, ref = {} }: Stored = {}) =>
  async (): Promise<ContractPeer> => {
    const db = await openTestDatabase()
    const ports = plainPorts(db.vault)
    const unborn = (): ObjectAddress => ({
      type,
      ref,
      keyId: randomUUID(),
      keyName: `k-${randomUUID()}`,
    })
    const declared = provider.types.find((one) => one.type === type)
    const session = provider.connect({
      connection: 'arrange',
      externalId: 'x',
      settings,
      credential: null,
      ports,
    })
    return {
      settings,
      credential: null,
      ports,
      newObject: async () => {
        const object = unborn()
        const material = declared?.generate?.({}, ports.random) ?? null
        await session.create(
          { object, operationId: randomUUID(), preImage: {}, generate: {}, material },
          { signal: AbortSignal.timeout(10_000) },
        )
        return object
      },
      unborn,
      versions: async (object) => (await db.vault.list(object.keyId)).length,
      stop: () => db.close(),
    }
  }
