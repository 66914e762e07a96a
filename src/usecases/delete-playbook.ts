// Incidents keep the copy that they took.

import type { Actor } from '#domain/actor.ts'
import type { Playbook } from '#domain/playbook.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPlaybook, toldOf } from './put-playbook.ts'
import { mustSee } from './rights.ts'
import { asJson, mustHold } from './written.ts'

interface NamedPlaybook {
  readonly name: string
  readonly precondition: Precondition
}

export const deletePlaybook =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, named: NamedPlaybook): Promise<Committed<null>> =>
    ledger.commit(actor, async (tx) => ({
      value: null,
      audit: [playbookDeleted(await removePlaybook(tx, actor, named))],
    }))

export const removePlaybook = async (
  tx: Tx,
  actor: Actor,
  { name, precondition }: NamedPlaybook,
): Promise<Playbook> => {
  await lockPlaybook(tx, name)
  const playbook = mustSee(actor, await tx.playbooks.get(name), 'playbook', name)
  checkPrecondition(precondition, playbook.revision)
  mustHold(await tx.writePlaybook.delete(name, playbook.revision))
  return playbook
}

export const playbookDeleted = (playbook: Playbook): LedgerEvent => ({
  action: 'playbook.deleted',
  target: { id: playbook.name, name: playbook.name },
  outcome: 'succeeded',
  before: asJson(toldOf(playbook)),
})
