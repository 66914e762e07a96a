// What an emergency does next with one key, from its record alone. Whoever takes a key over from a dead worker decides the
// same, so nothing is done twice and nothing is forgotten.

import type {
  ContainedVersion,
  ContainmentState,
  IncidentKey,
  IncidentKeyState,
  IncidentMode,
  VersionEvidence,
} from './incident.ts'
import { isBeforeNew } from './pair-halves.ts'
import type { Intent } from './rotation.ts'

/** Containment before proof before replacement, over all keys of an incident. */
export const stages = { contain: 0, prove: 1, replace: 2 } as const

/** The phase of an intent. It names the incident, so that two of them on one key do not stand in each other's way. */
export const containing = (incidentId: string): string => `contain:${incidentId}`
export const restoring = (incidentId: string): string => `restore:${incidentId}`

/** How a containment is sent. Null: nothing is. */
export const effectOf = ({
  containment,
}: Pick<ContainedVersion, 'containment'>): {
  readonly effect: 'suspend' | 'retire'
  readonly how: 'disable' | 'destroy'
} | null => {
  switch (containment) {
    case 'suspend':
      return { effect: 'suspend', how: 'disable' }
    case 'switchOffKey':
      return { effect: 'suspend', how: 'disable' }
    case 'destroy':
      return { effect: 'retire', how: 'destroy' }
    case 'replace':
    case 'byHand':
    case 'none':
      return null
  }
}

/** The last word on a provider version in this phase. */
export const lastIntent = (
  intents: readonly Intent[],
  phase: string,
  providerVersion: string,
): Intent | null =>
  intents.findLast((intent) => intent.phase === phase && intent.target === providerVersion) ?? null

/** What is still to be sent, or to be found out. What an execution before did is done anew. */
export const uncontained = (
  intents: readonly Intent[],
  incidentId: string,
  version: ContainedVersion,
  { requestedAt }: Pick<VersionEvidence, 'requestedAt'>,
): readonly string[] =>
  version.providerVersions.filter((id) => {
    const last = lastIntent(intents, containing(incidentId), id)
    const counts = last !== null && requestedAt !== null && last.startedAt >= requestedAt
    return !counts || last.outcome !== 'succeeded'
  })

const worstFirst: readonly ContainmentState[] = [
  'revoking',
  'pending',
  'failed',
  'unproven',
  'refusedAfter',
  'refused',
  'restored',
]

/** The worst of its versions, then the replacement. Once the first of them was begun, what waits for its turn is begun as well. */
export const keyStateOf = (
  versions: readonly Pick<VersionEvidence, 'state'>[],
  key: Pick<IncidentKey, 'state' | 'replacement' | 'restoration'>,
): IncidentKeyState => {
  const found = worstFirst.find((state) => versions.some((version) => version.state === state))
  const worst = found === 'pending' && key.state === 'revoking' ? 'revoking' : found
  if (worst === undefined || worst === 'pending' || worst === 'revoking')
    return key.replacement === 'running' ? 'replacing' : (worst ?? 'refused')
  if (key.replacement === 'running') return 'replacing'
  const isRefused = worst === 'refused' || worst === 'refusedAfter'
  return key.replacement === 'done' && isRefused ? 'replaced' : worst
}

/** Until when caches may take what was refused once, where it was not tried after that yet; null: nothing is waited for. */
export const cachedUntil = ({
  state,
  provenAt,
  refusedAfter,
}: Pick<VersionEvidence, 'state' | 'provenAt' | 'refusedAfter'>): Date | null =>
  state === 'refusedAfter' && provenAt === null ? refusedAfter : null

export const isSettled = (version: Pick<VersionEvidence, 'state'>): boolean =>
  version.state !== 'pending' && version.state !== 'revoking'

/** With `rotateFast` nothing is revoked before the new version serves, but for the half of a pair that it is put on. */
export const mayContain = (
  mode: IncidentMode,
  { replacement, plan }: Pick<IncidentKey, 'replacement'> & { readonly plan: Planned },
  version: number,
): boolean =>
  mode !== 'rotateFast' ||
  replacement === null ||
  replacement === 'done' ||
  isBeforeNew(plan, version)

type Planned = Parameters<typeof isBeforeNew>[0]

/** Whether no routine rotation of the key may begin: it is switched off for a while, or something is still to be done. */
export const isHeldBy = ({
  mode,
  state,
  replacement,
  restoration,
}: Pick<IncidentKey, 'state' | 'replacement' | 'restoration'> & {
  readonly mode: IncidentMode
}): boolean =>
  mode === 'disable'
    ? restoration !== 'done'
    : state === 'pending' ||
      state === 'revoking' ||
      replacement === 'pending' ||
      replacement === 'running'
