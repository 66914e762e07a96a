import { randomUUID } from 'node:crypto'
import type { ObjectAddress } from '#domain/provider.ts'
import { local } from '#providers/local/provider.ts'
import { openTestDatabase } from '#test/support/db.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

/** The built-in vault: its peer is the database that it lives in. */
export const startLocal =
  (type: string, generate: ObjectAddress['ref']) => async (): Promise<ContractPeer> => {
    const db = await openTestDatabase()
    const ports = plainPorts(db.vault)
    const unborn = (): ObjectAddress => ({
      type,
      ref: {},
      keyId: randomUUID(),
      keyName: `k-${randomUUID()}`,
    })
    const declared = local.types.find((one) => one.type === type)
    const session = local.connect({
      connection: 'arrange',
      externalId: 'x',
      settings: {},
      credential: null,
      ports,
    })
    return {
      settings: {},
      credential: null,
      ports,
      newObject: async () => {
        const object = unborn()
        const material = declared?.generate?.(generate, ports.random) ?? null
        await session.create(
          { object, operationId: randomUUID(), preImage: {}, generate, material },
          { signal: AbortSignal.timeout(10_000) },
        )
        return object
      },
      unborn,
      versions: async (object) => (await db.vault.list(object.keyId)).length,
      stop: () => db.close(),
    }
  }
