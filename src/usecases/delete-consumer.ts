// A deleted consumer is no longer asked for acknowledgements, but by rotations that froze it in their plan.

import type { Actor } from '#domain/actor.ts'
import type { Consumer } from '#domain/connection.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { mustSee } from './rights.ts'
import { mustHold } from './written.ts'

export const deleteConsumer =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, named: NamedConsumer): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => ({
      value: null,
      audit: [consumerDeleted(await removeConsumer(tx, actor, named))],
    }))

interface NamedConsumer {
  readonly name: string
  readonly precondition: Precondition
}

export const removeConsumer = async (
  tx: Tx,
  actor: Actor,
  { name, precondition }: NamedConsumer,
): Promise<Consumer> => {
  const consumer = mustSee(actor, await tx.consumers.get(name), 'consumer', name)
  checkPrecondition(precondition, consumer.revision)
  mustHold(await tx.writeConsumer.delete(name, consumer.revision))
  if (consumer.reload) await tx.writeSealed.erase(consumer.reload.sealedId)
  return consumer
}

export const consumerDeleted = ({
  name,
  owner,
  labels,
  keys,
  revision,
}: Consumer): LedgerEvent => ({
  action: 'consumer.deleted',
  target: { id: name, name },
  outcome: 'succeeded',
  before: { owner, labels, keys, revision },
})
