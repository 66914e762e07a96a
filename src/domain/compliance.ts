// Whether keys are rotated as somebody wrote down that they should be. One verdict a key, the worst that is true.

export const verdicts = {
  overdue: 'past the date by which its policy wants a new version',
  stalled: 'its rotation stands and needs a person',
  unruled: 'no policy rotates it: none selects it, several tie, or the one that does is disabled',
  compliant: 'a policy rotates it, in time',
} as const
export type Verdict = keyof typeof verdicts
export const verdictNames = Object.keys(verdicts) as readonly Verdict[]

/** What keys may be grouped by, beside a label. */
export const complianceGroups = ['policy', 'owner', 'environment', 'connection', 'type'] as const
export type ComplianceGroup =
  | { readonly by: (typeof complianceGroups)[number] }
  | { readonly by: 'label'; readonly label: string }

export interface GroupCompliance {
  /** Null: those that have none. */
  readonly group: string | null
  readonly counts: Readonly<Record<Verdict, number>>
}

export interface KeyCompliance {
  readonly key: string
  readonly connection: string
  readonly type: string
  readonly owner: string
  readonly environment: string
  readonly policy: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly verdict: Verdict
  readonly primaryVersion: number | null
  readonly activatedAt: Date | null
  readonly overdueSince: Date | null
  readonly nextRotationAt: Date | null
  readonly openRotation: string | null
}

/** How many keys it is of. */
export const keysIn = ({ counts }: Pick<GroupCompliance, 'counts'>): number =>
  verdictNames.reduce((sum, verdict) => sum + counts[verdict], 0)

/** Of all keys, how many are compliant: a whole number, rounded down, so that 100 means all. */
export const percentOf = (group: Pick<GroupCompliance, 'counts'>): number => {
  const all = keysIn(group)
  return all === 0 ? 100 : Math.floor((group.counts.compliant * 100) / all)
}
