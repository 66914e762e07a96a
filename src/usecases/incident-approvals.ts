// Dual control: how many others agree to exactly this preview, counted anew whenever it matters, since a role may be lost between
// the word and the deed, and a word be void by then (another-person.ts). A token to break glass with needs nobody's word, and gives none.

import { hasRole, type Actor, type Role } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident, IncidentApproval } from '#domain/incident.ts'
import { rulesFor } from '#domain/issuer.ts'
import type { Reads } from '#domain/ports.ts'
import { scopeOf } from '#domain/incident-schema.ts'
import { type Asking, byDifferentPeople } from './another-person.ts'
import { scopeWithin } from './create-api-key.ts'

export const approvingRoles = ['approver', 'responder'] as const satisfies readonly Role[]

type ApprovalReads = Pick<Reads, 'incidents' | 'apiKeys' | 'issuers'>

/** Who said it, and may say it still; once for each person, and none of those who asked. */
export const countedApprovals = async (
  db: ApprovalReads,
  incident: Incident,
): Promise<readonly IncidentApproval[]> => {
  const hash = incident.preview?.hash
  const standing: IncidentApproval[] = []
  for (const approval of await db.incidents.approvals(incident.id)) {
    if (approval.previewHash !== hash) continue
    // oxlint-disable-next-line no-await-in-loop -- a handful, on one connection
    if (await mayStillApprove(db, incident, approval)) standing.push(approval)
  }
  return byDifferentPeople(db, standing, askedBy(incident))
}

/** Whoever opened it or made its preview. */
export const askedBy = ({ openedBy, preview }: Incident): readonly Asking[] => [
  { id: openedBy.id, did: 'opened this incident' },
  ...(preview === null ? [] : [{ id: preview.by.id, did: 'made this preview' }]),
]

const mayStillApprove = async (
  db: ApprovalReads,
  { selector }: Incident,
  { principalId, roles }: IncidentApproval,
): Promise<boolean> => {
  const key = await db.apiKeys.byId(principalId)
  if (key === null)
    return hasRole({ roles }, ...approvingRoles) && maySayRules(db, selector, principalId)
  return hasRole(key, ...approvingRoles) && scopeWithin(scopeOf(selector), key.scope)
}

/** Whoever signed in has no row: what their token said then is what is known, as far as the rules still give it to anybody like them. */
const maySayRules = async (
  db: ApprovalReads,
  selector: Incident['selector'],
  principalId: string,
): Promise<boolean> => {
  const rules = rulesFor((await db.issuers.get()).items, principalId)
  return (
    rules === null ||
    rules.some(
      (rule) =>
        hasRole(rule, ...approvingRoles) && scopeWithin(scopeOf(selector), rule.scope ?? null),
    )
  )
}

/** With a token to break glass with only what was previewed with it: it may do less than others. */
export const mustBeTheirs = (actor: Actor, { breakGlass }: Incident): void => {
  if (actor.type !== 'breakGlass' || actor.id === breakGlass) return
  throw new RekeyError('incident.previewStale', {
    detail: 'It was previewed without this token, which may do less.',
    hint: 'Preview it with the token that executes it; what was executed already is tried again by whoever has the role.',
  })
}

/** Before an execution. Throws `incident.approvalMissing`, or `incident.previewStale` where the preview was drawn for another right. */
export const mustBeApproved = async (
  db: ApprovalReads,
  actor: Actor,
  incident: Incident,
): Promise<void> => {
  mustBeTheirs(actor, incident)
  if (incident.breakGlass !== null && actor.type !== 'breakGlass')
    throw new RekeyError('incident.previewStale', {
      detail: 'It was previewed with a token to break glass with, which needs no approval.',
      hint: 'Preview it with the token that executes it.',
    })
  const needed = incident.preview?.approvalsNeeded ?? 0
  const given = await countedApprovals(db, incident)
  if (given.length >= needed) return
  throw new RekeyError('incident.approvalMissing', {
    detail: `${given.length} of ${needed} approvals are given.`,
    hint: `Another person than whoever opened and previewed it: rekey incident approve incident/${incident.id}`,
    extra: { given: given.map(({ principalName }) => principalName), needed },
  })
}
