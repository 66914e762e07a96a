// An incident takes a copy of a playbook: whoever changes that at noon changes nothing of what was gone by at night.

import { type Actor, inScope } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { ContainedKey, IncidentMode } from '#domain/incident.ts'
import { appliesTo, type TakenPlaybook } from '#domain/playbook.ts'
import type { Tx } from '#domain/ports.ts'

export const takePlaybook = async (
  tx: Tx,
  actor: Actor,
  name: string,
  pointer: string,
): Promise<TakenPlaybook> => {
  const playbook = await tx.playbooks.get(name)
  if (!playbook || !inScope(actor, playbook))
    throw new RekeyError('request.impossible', {
      detail: `There is no playbook "${name}" that can be seen with this token.`,
      hint: 'rekey get playbooks',
      errors: [{ pointer, detail: 'does not exist' }],
    })
  const { revision, spec, review, reviewDueAt } = playbook
  const now = await tx.now()
  return {
    name,
    revision,
    title: spec.title,
    owner: spec.owner,
    at: now.toISOString(),
    by: { id: actor.id, name: actor.name },
    reviewOverdue: reviewDueAt <= now,
    revisionReviewed: review?.revision === revision,
    steps: spec.steps,
  }
}

/** Those that are meant for it. Labels are read only where one of them asks for some: there may be ten thousand keys. */
export const suggestedPlaybooks = async (
  tx: Tx,
  actor: Actor,
  mode: IncidentMode,
  keys: readonly Pick<ContainedKey, 'keyId' | 'type'>[],
): Promise<readonly string[]> => {
  const inSight = (await tx.playbooks.outlines()).filter((playbook) => inScope(actor, playbook))
  const plain = keys.map(({ type }) => ({ type, labels: {} }))
  const possible = inSight.filter(({ appliesTo: wanted }) => {
    const { matchLabels: _labels, ...rest } = wanted ?? {}
    return wanted !== undefined && appliesTo({ appliesTo: rest }, mode, plain)
  })
  const byLabels = possible.some((outline) => outline.appliesTo?.matchLabels !== undefined)
  const known = byLabels ? await tx.keys.byIds(keys.map(({ keyId }) => keyId)) : plain
  return possible.filter((outline) => appliesTo(outline, mode, known)).map(({ name }) => name)
}
