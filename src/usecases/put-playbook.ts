// Playbooks: written by those who work in emergencies, reviewed by somebody else. A change keeps the date of the next review: who
// changes a line has not read the rest.

import type { Actor } from '#domain/actor.ts'
import type { ManagedBy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Playbook, reviewDueAt } from '#domain/playbook.ts'
import { type PlaybookBody, playbookIssues } from '#domain/playbook-schema.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { checkLabels, mustSee, mustStayInScope } from './rights.ts'
import { asJson, mustHold, sameJson, type Written } from './written.ts'

export interface PutPlaybook {
  readonly name: string
  readonly body: PlaybookBody
  readonly precondition: Precondition
  /** The owner set of a file apply; where not said, it stays. */
  readonly managedBy?: ManagedBy
}

export const putPlaybook =
  ({ ledger }: { readonly ledger: Ledger }) =>
  (actor: Actor, put: PutPlaybook): Promise<Committed<Written<Playbook>>> =>
    ledger.commit(actor, async (tx) => {
      const written = await writePlaybook(tx, actor, put)
      return { value: written, audit: [playbookPut(written)] }
    })

/** Whoever runs it tells the audit log. */
export const writePlaybook = async (
  tx: Tx,
  actor: Actor,
  { name, body, precondition, managedBy }: PutPlaybook,
): Promise<Written<Playbook> & { readonly before: Playbook | null }> => {
  const { labels = {}, title, owner, appliesTo, steps, reviewEvery } = body
  const errors = playbookIssues(body)
  if (errors.length > 0)
    throw new RekeyError('request.invalid', { detail: 'The playbook cannot be kept.', errors })
  await lockPlaybook(tx, name)
  const before = await tx.playbooks.get(name)
  if (before) mustSee(actor, before, 'playbook', name)
  checkPrecondition(precondition, before?.revision ?? null)
  mustStayInScope(actor, { labels })
  await checkLabels(tx, actor, before?.labels ?? null, labels)
  const now = await tx.now()
  const base = {
    name,
    labels,
    spec: { title, owner, ...(appliesTo === undefined ? {} : { appliesTo }), steps, reviewEvery },
    managedBy: managedBy === undefined ? (before?.managedBy ?? null) : managedBy,
    review: before?.review ?? null,
    createdAt: before?.createdAt ?? now,
  }
  const changed = !before || !sameJson(fieldsOf(before), fieldsOf(base))
  if (before && !changed) return { before, resource: before, created: false, changed }
  const dueAt = reviewDueAt(base)
  const resource: Playbook = {
    ...base,
    author: { id: actor.id, name: actor.name },
    reviewDueAt: dueAt,
    // A longer time makes it due later: it is told anew then.
    overdueSince: dueAt > now ? null : (before?.overdueSince ?? null),
    revision: (before?.revision ?? 0) + 1,
    updatedAt: now,
  }
  mustHold(await tx.writePlaybook.put(resource, before?.revision ?? null))
  return { before, resource, created: !before, changed }
}

export const lockPlaybook = (tx: Tx, name: string): Promise<void> => tx.lock(`playbook:${name}`)

export const playbookPut = ({
  before,
  resource,
}: {
  readonly before: Playbook | null
  readonly resource: Playbook
}): LedgerEvent => ({
  action: 'playbook.put',
  target: { id: resource.name, name: resource.name },
  outcome: 'succeeded',
  before: before && asJson(toldOf(before)),
  after: asJson(toldOf(resource)),
})

const fieldsOf = ({
  labels,
  spec,
  managedBy,
}: Pick<Playbook, 'labels' | 'spec' | 'managedBy'>) => ({
  labels,
  spec,
  managedBy,
})

export const toldOf = (playbook: Playbook) => ({
  ...fieldsOf(playbook),
  revision: playbook.revision,
})
