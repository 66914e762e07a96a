// A connection goes only when nothing uses it. Its stored credential goes with it.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, LedgerEvent, Sessions, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { mustSee } from './rights.ts'
import { mustHold } from './written.ts'

export interface DeleteConnectionDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'forget'>
}

export const deleteConnection =
  ({ ledger, sessions }: DeleteConnectionDeps) =>
  async (actor: Actor, named: NamedConnection): Promise<Committed<null>> => {
    const done = await ledger.commit(actor, async (tx) => ({
      value: null,
      audit: [connectionDeleted(await removeConnection(tx, actor, named))],
    }))
    await sessions.forget(named.name)
    return done
  }

interface NamedConnection {
  readonly name: string
  readonly precondition: Precondition
}

export const removeConnection = async (
  tx: Tx,
  actor: Actor,
  { name, precondition }: NamedConnection,
): Promise<Connection> => {
  // The same lock as registering takes: a key cannot arrive between the look and the delete.
  await tx.lock(`connection:${name}`)
  const found = await tx.connections.get(name)
  const connection = mustSee(actor, found && { ...found, connection: name }, 'connection', name)
  checkPrecondition(precondition, connection.revision)
  const users = await tx.connections.usedBy(name)
  if (users.length > 0) {
    throw new RekeyError('connection.inUse', {
      detail: `It is used by ${users.slice(0, 20).join(', ')}${users.length > 20 ? ' and others' : ''}.`,
      hint: 'Delete these first, or move them to another connection.',
    })
  }
  mustHold(await tx.writeConnection.delete(name, connection.revision))
  if (connection.credential.from === 'value')
    await tx.writeSealed.erase(connection.credential.sealedId)
  return connection
}

export const connectionDeleted = ({ name, provider, revision }: Connection): LedgerEvent => ({
  action: 'connection.deleted',
  target: { id: name, name },
  outcome: 'succeeded',
  before: { provider, revision },
})
