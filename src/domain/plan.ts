// A plan: what applying documents would do, as it was shown to somebody. Its hash stands for what was shown; applying it does
// exactly that, or nothing.

import type { Role, Scope } from './actor.ts'
import type { DocumentKind } from './document-kinds.ts'
import type { ErrorPlace } from './errors.ts'
import type { Json } from './json.ts'

export const planActions = ['create', 'update', 'delete', 'unchanged'] as const
export type PlanAction = (typeof planActions)[number]

/** What is refused unless the plan says that it is meant. */
export const allowances = ['massRotation', 'policyDeletion', 'ownerChange'] as const
export type Allowance = (typeof allowances)[number]

/** One field: a pointer (RFC 6901) into the document, or `/status/owner`. What is absent was not there, or is no more. */
export interface FieldChange {
  readonly pointer: string
  readonly before?: Json
  readonly after?: Json
}

export const effectTypes = [
  'keysGained',
  'keysLost',
  'overdue',
  'dueAtOnce',
  'nextRun',
  'loosened',
  'tightened',
  'policy',
  'object',
  'owner',
  'warning',
] as const

/** What a change leads to, as a sentence and as data. */
export interface Effect {
  readonly type: (typeof effectTypes)[number]
  readonly text: string
  readonly count?: number
  /** Some of those that are counted. */
  readonly names?: readonly string[]
  readonly pointer?: string
  readonly from?: string | null
  readonly to?: string | null
}

export interface PlanItem {
  readonly action: PlanAction
  readonly kind: DocumentKind
  readonly name: string
  readonly diff: readonly FieldChange[]
  readonly effects: readonly Effect[]
}

/** An allowance that the plan makes use of, and why. */
export interface Need {
  readonly allowance: Allowance
  readonly text: string
}

/** What a weakening asks for. */
export interface ApprovalNeed {
  readonly required: number
  /** Any of these; an admin may always. */
  readonly roles: readonly Role[]
  /** What is weakened, in a sentence. */
  readonly text: string
}

/** A document of a plan, and where it stood in what was sent. */
export interface PlannedDocument {
  readonly kind: DocumentKind
  readonly name: string
  readonly value: Json
  readonly at: ErrorPlace
}

export interface Plan {
  readonly id: string
  readonly hash: string
  /** The owner set; null: what it writes belongs to none. */
  readonly owner: string | null
  /** Whether what the owner has beside the documents is deleted. */
  readonly prune: boolean
  readonly allow: readonly Allowance[]
  /** Null once nothing is left to do. */
  readonly documents: readonly PlannedDocument[] | null
  readonly items: readonly PlanItem[]
  /** What of `allow` it makes use of. */
  readonly needs: readonly Need[]
  /** As its author would need them; whoever applies it is asked anew. */
  readonly approvals: readonly ApprovalNeed[]
  /** Of its author. */
  readonly scope: Scope | null
  readonly author: { readonly id: string; readonly name: string }
  readonly createdAt: Date
  readonly appliedAt: Date | null
  /** Its name. */
  readonly appliedBy: string | null
  readonly finishedAt: Date | null
}

/** How far it has come: open, then applying while some of its new keys are not registered yet, then applied. */
export const planStates = ['open', 'applying', 'applied'] as const
export type PlanState = (typeof planStates)[number]

/** A plan in a list: what it does as numbers. */
export interface ListedPlan extends Omit<Plan, 'documents' | 'items'> {
  readonly changes: Readonly<Record<PlanAction, number>>
}

export const planStateOf = ({
  appliedAt,
  finishedAt,
}: Pick<Plan, 'appliedAt' | 'finishedAt'>): PlanState =>
  finishedAt ? 'applied' : appliedAt ? 'applying' : 'open'

export interface PlanApproval {
  readonly planId: string
  readonly principalId: string
  readonly principalName: string
  /** Those that the principal had then. */
  readonly roles: readonly Role[]
  readonly at: Date
}

/** More than this many keys, or than this share of all, made due at once is a mass rotation. */
export const massRotation = { keys: 10, share: 0.2 } as const
/** Due within this time is due at once. So is a key past its maxAge: without a window it is due within a day. */
export const atOnceMs = 3_600_000
