// The public keys of a connection, for whoever verifies what its keys signed. Nobody has to say who they are.

import type { Key } from '#domain/key.ts'
import type { Ledger, Paged, Sessions } from '#domain/ports.ts'
import type { ObjectAddress, PublicKeySet } from '#domain/provider.ts'
import { asking } from './provider-failures.ts'
import { addressOf, type Providers } from './registration.ts'
import { notFound } from './rights.ts'

export interface PublishedKeysDeps {
  readonly providers: Providers
  readonly ledger: Pick<Ledger, 'read'>
  readonly sessions: Pick<Sessions, 'open'>
}

const page = 200

/** Of another kind of connection there is no set, and nobody is told that it exists. */
export const publishedKeys =
  ({ ledger, providers, sessions }: PublishedKeysDeps) =>
  async (name: string): Promise<PublicKeySet> => {
    const connection = await ledger.read((db) => db.connections.get(name))
    if (!connection || !providers.get(connection.provider)?.publishesKeys)
      throw notFound('set of keys', name)
    const objects: ObjectAddress[] = []
    let after: string | null = null
    do {
      const from: string | null = after
      // oxlint-disable-next-line no-await-in-loop -- page after page
      const found: Paged<Key> = await ledger.read((db) =>
        db.keys.batch({ connection: name }, { after: from, limit: page }),
      )
      objects.push(...found.items.map(addressOf))
      after = found.next
    } while (after !== null)
    return asking(async () => {
      const { publicKeys } = await sessions.open(connection)
      if (!publicKeys) throw new RangeError(`${connection.provider} publishes no keys`)
      return publicKeys(objects)
    })
  }
