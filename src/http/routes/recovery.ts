// A restored database: what it says of itself, what became of each key meanwhile, and the word that Rekey may go on.

import { Type } from 'typebox'
import type { Finding, Recovery } from '#domain/recovery.ts'
import { findingStates, recoveryReasons } from '#domain/recovery.ts'
import { freeTextPattern } from '#domain/names.ts'
import type { Sessions } from '#domain/ports.ts'
import { type AcceptDeps, makeAcceptRestore } from '#usecases/accept-restore.ts'
import { type Route, route } from '../route.ts'
import { idSchema, listOf, momentSchema, nullable, strict } from '../schemas.ts'
import { shownObject } from './resource.ts'

export interface RecoveryRoutesDeps extends Omit<AcceptDeps, 'ledger' | 'sessions'> {
  readonly sessions: Sessions
}

const count = Type.Integer({ minimum: 0 })
const countsSchema = strict({
  pending: count,
  equal: count,
  adopt: count,
  orphan: count,
  lost: count,
  unreachable: count,
  adopted: count,
})

const recoverySchema = strict(
  {
    id: Type.String(),
    reason: Type.Enum([...recoveryReasons]),
    detail: Type.String(),
    evidence: shownObject,
    beganAt: momentSchema,
    reconciledAt: nullable(momentSchema),
    endedAt: nullable(momentSchema),
  },
  { $id: 'Recovery' },
)

const stateSchema = Type.Enum([...findingStates])

const findingSchema = strict(
  {
    key: Type.String(),
    state: stateSchema,
    detail: Type.String(),
    facts: shownObject,
    rotation: nullable(Type.String()),
    lookedAt: nullable(momentSchema),
  },
  { $id: 'RecoveryFinding' },
)

const present = (recovery: Recovery) => ({
  id: recovery.id,
  reason: recovery.reason,
  detail: recovery.detail,
  evidence: recovery.evidence,
  beganAt: recovery.beganAt.toISOString(),
  reconciledAt: recovery.reconciledAt?.toISOString() ?? null,
  endedAt: recovery.endedAt?.toISOString() ?? null,
})

const presentFinding = (finding: Finding & { readonly key: string }) => ({
  key: finding.key,
  state: finding.state,
  detail: finding.detail,
  facts: finding.facts,
  rotation: finding.rotationId,
  lookedAt: finding.lookedAt?.toISOString() ?? null,
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const

export const recoveryRoutes = (deps: RecoveryRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/recovery',
    operationId: 'getRecovery',
    tag: 'recovery',
    summary: 'Whether Rekey is in recovery mode, and why',
    description:
      'A database that was restored, or that lost transactions, may not know what was done at providers since. Until an admin accepts what was found, nothing is written to any provider, and open rotations are stalled.',
    access: [...readers],
    replies: {
      200: strict({
        active: Type.Boolean(),
        recovery: nullable(recoverySchema),
        keys: nullable(countsSchema),
      }),
    },
    handler: async ({ ledger }) => {
      const { recovery, keys } = await ledger.read(async (db) => {
        const open = await db.recovery.open()
        return { recovery: open, keys: open && (await db.recovery.counts(open.id)) }
      })
      return {
        status: 200,
        body: { active: recovery !== null, recovery: recovery && present(recovery), keys },
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/recovery/keys',
    operationId: 'listRecoveryKeys',
    tag: 'recovery',
    summary: 'What became of each key at its provider since the backup',
    description:
      '`equal`: what is known here is so. `adopt`: the provider has moved on; accepting takes over what is there. `orphan`: it has versions that are not known here and that nobody is served by. `lost`: what serves here is gone. Empty outside of recovery mode.',
    access: [...readers],
    list: true,
    query: strict({ state: Type.Optional(stateSchema) }),
    replies: { 200: listOf(findingSchema) },
    handler: async ({ ledger, actor, query, page, pageReply }) => {
      const found = await ledger.read(async (db) => {
        const open = await db.recovery.open()
        return open
          ? db.recovery.findings(open.id, { ...query, scope: actor.scope }, page)
          : { items: [], next: null }
      })
      return { status: 200, body: pageReply(found, presentFinding) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/recovery/acceptance',
    operationId: 'acceptRecovery',
    tag: 'recovery',
    summary: 'Take what the providers have as the truth, and go on',
    description:
      'Needs an admin. Keys that are `adopt` take over what their providers serve; rotations that the recovery stalled go on where their key is what the database says; what cannot be taken over is named in `left`.',
    access: ['admin'],
    unscoped: true,
    body: strict({
      reason: Type.String({ minLength: 1, maxLength: 500, pattern: freeTextPattern }),
      unreachable: Type.Optional(Type.Boolean()),
    }),
    replies: {
      200: strict({
        recovery: recoverySchema,
        keys: countsSchema,
        left: Type.Array(strict({ key: Type.String(), detail: Type.String() })),
        resumed: Type.Array(idSchema, { description: 'rotations that go on' }),
      }),
    },
    errors: ['recovery.notActive', 'recovery.pending'],
    examples: [{ body: { reason: 'restored the backup of Tuesday; looked at all four keys' } }],
    handler: async ({ ledger, actor, body, dryRun }) => {
      const { value, receipts } = await makeAcceptRestore({ ...deps, ledger })(actor, {
        ...body,
        dryRun,
      })
      const { recovery, keys, left, resumed } = value
      return { status: 200, body: { recovery: present(recovery), keys, left, resumed }, receipts }
    },
  }),
]
