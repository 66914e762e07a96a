// The list of issuers whose JWTs are believed: the admin's, as a whole, and from the moment that it is written.

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import { takesLogins } from '#domain/browser-session.ts'
import { type Issuer, issuerFaults, type Issuers } from '#domain/issuer.ts'
import { pointerOf } from '#domain/issue.ts'
import type { Committed, Ledger, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import type { EgressRules } from './put-connection.ts'
import { asJson, mustHold, sameJson } from './written.ts'

export interface PutIssuersDeps {
  readonly ledger: Ledger
  readonly egress: EgressRules
}

export interface PutIssuers {
  readonly items: readonly Issuer[]
  readonly precondition: Precondition
}

export const getIssuers =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'read'> }) =>
  (): Promise<Issuers> =>
    ledger.read((db) => db.issuers.get())

export const putIssuers =
  ({ ledger, egress }: PutIssuersDeps) =>
  async (actor: Actor, { items, precondition }: PutIssuers): Promise<Committed<Issuers>> => {
    mustBeSound(items)
    items.forEach(({ issuer }, i) => mustBeReachable(egress, issuer, i))
    return ledger.commit(actor, async (tx) => {
      await lockIssuers(tx)
      const before = await tx.issuers.get()
      checkPrecondition(precondition, before.revision)
      const changed = !sameJson(before.items, items)
      const { revision } = before
      const row = { items, setBy: actor.name, updatedAt: await tx.now() }
      if (changed) mustHold(await tx.writeIssuers.put(row, revision))
      const issuers = changed ? { ...row, revision: revision + 1 } : before
      // For good: should the issuer come back, who logged in before logs in again.
      const clients = items
        .filter(takesLogins)
        .map(({ issuer, login: { clientId } }) => ({ issuer, clientId }))
      const sessionsEnded = changed
        ? await tx.writeBrowserSession.endAllBut(clients, row.updatedAt)
        : 0
      return {
        value: issuers,
        audit: [
          {
            action: 'issuers.put',
            target: { id: 'issuers', name: 'issuers' },
            outcome: 'succeeded',
            before: asJson({ revision, items: before.items }),
            after: asJson({ revision: issuers.revision, items, sessionsEnded }),
          },
        ],
      }
    })
  }

/** Whoever logs in at one of them waits, or was before us, and is seen: its session ends with it. */
export const lockIssuers = (tx: Pick<Tx, 'lock'>): Promise<void> => tx.lock('issuers')

const mustBeSound = (items: readonly Issuer[]): void => {
  const errors = issuerFaults(items)
  const [first] = errors
  if (first === undefined) return
  throw new RekeyError('request.impossible', {
    detail: `${first.pointer.slice(1)}: ${first.detail}.`,
    errors: [...errors],
  })
}

const mustBeReachable = (egress: EgressRules, issuer: string, i: number): void => {
  try {
    egress.checkUrl(issuer, 'webhook', { insecure: false })
  } catch (error) {
    if (!(error instanceof RekeyError)) throw error
    throw new RekeyError(error.code, {
      detail: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      errors: [{ pointer: pointerOf(['items', i, 'issuer']), detail: 'is not dialled' }],
    })
  }
}
