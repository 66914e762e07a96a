// Sessions of browsers: seen, and ended, one's own by oneself, those of a principal by an admin.

import type { Actor } from '#domain/actor.ts'
import { actorOfToken } from '#domain/issuer.ts'
import { issuerOfSession, principalOf, type SeenBrowserSession } from '#domain/browser-session.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Committed, Ledger, Page, Paged } from '#domain/ports.ts'
import { notFound } from './rights.ts'

export interface ToldSession {
  readonly session: SeenBrowserSession
  /** As its rule says now; null: no rule gives it anything. */
  readonly name: string | null
}

export const listSessions =
  ({ ledger, now }: { readonly ledger: Pick<Ledger, 'read'>; readonly now: () => Date }) =>
  (page: Page): Promise<Paged<ToldSession>> =>
    ledger.read(async (db) => {
      const { items: issuers } = await db.issuers.get()
      const { items, next } = await db.browserSessions.list(now(), page)
      const told = items.map((session) => {
        const issuer = issuerOfSession(session, issuers)
        return { session, name: (issuer && actorOfToken(issuer, session)?.name) ?? null }
      })
      return { items: told, next }
    })

/** Logs out. `session`: null where the request did not come by one. */
export const endSession =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'commit'> }) =>
  (actor: Actor, session: string | null): Promise<Committed<string>> => {
    if (session === null)
      throw new RekeyError('request.impossible', {
        detail: 'This request came by a token, and not by the session of a browser.',
        hint: 'An admin ends tokens: DELETE /v1/api-keys/{id}.',
      })
    return ledger.commit(actor, async (tx) => {
      // Ended by an admin at this moment: it is over all the same.
      await tx.writeBrowserSession.end(session, await tx.now())
      return {
        value: session,
        audit: [
          {
            action: 'session.ended',
            target: { id: session, name: actor.name },
            outcome: 'succeeded',
          },
        ],
      }
    })
  }

/** Ends all sessions of a principal: `https://issuer#subject`. Whoever had them may have said what the person never did: what was agreed
 *  to until now counts no more (another-person.ts). */
export const revokeSessions =
  ({ ledger }: { readonly ledger: Pick<Ledger, 'commit'> }) =>
  (
    actor: Actor,
    { principal, reason }: { readonly principal: string; readonly reason: string },
  ): Promise<Committed<number>> =>
    ledger.commit(actor, async (tx) => {
      const at = principal.indexOf('#')
      if (at < 0) throw notFound('principal', principal)
      const whose = { issuer: principal.slice(0, at), subject: principal.slice(at + 1) }
      const now = await tx.now()
      const ended = await tx.writeBrowserSession.endOf(whose, now)
      await tx.writeBrowserSession.takeBack(principalOf(whose), now)
      return {
        value: ended,
        audit: [
          {
            action: 'session.revoked',
            target: { id: principalOf(whose), name: whose.subject },
            outcome: 'succeeded',
            reason,
            after: { ended },
          },
        ],
      }
    })
