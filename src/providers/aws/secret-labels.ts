// Secrets Manager knows versions by their staging labels: each is on one version at most, and a reader who names neither
// label nor version gets AWSCURRENT. A version cannot be switched off or deleted, but its labels can be taken away: then
// nobody gets it by a label, and AWS deletes it when it likes. So, of a version,
//
//   enabled    it has a label that somebody may read by
//   disabled   its only label is `rekey-suspended`, which keeps AWS from deleting it: it can come back
//   destroyed  it has none; whoever knows its id and may read by it still does, as long as AWS keeps it

import { ProviderError, type Call } from '#domain/provider.ts'
import type { SecretRef } from './secret-ref.ts'
import type { Aws } from './session.ts'

export const label = {
  current: 'AWSCURRENT',
  previous: 'AWSPREVIOUS',
  pending: 'AWSPENDING',
  suspended: 'rekey-suspended',
} as const

export type Labels = ReadonlyMap<string, readonly string[]>

export const labelsIn = (
  stages: Readonly<Record<string, readonly string[] | undefined>> | undefined,
): Labels =>
  new Map(
    Object.entries(stages ?? {}).flatMap(([id, labels = []]) =>
      labels.length === 0 ? [] : [[id, labels] as const],
    ),
  )

export const holderOf = (labels: Labels, name: string): string | null =>
  [...labels].find(([, of]) => of.includes(name))?.[0] ?? null

export const stateOfLabels = (of: readonly string[]): 'enabled' | 'disabled' | 'destroyed' => {
  if (of.length === 0) return 'destroyed'
  return of.every((name) => name === label.suspended) ? 'disabled' : 'enabled'
}

/** Those that neither AWS nor Rekey has set. */
export const foreignLabels = (of: readonly string[]): readonly string[] => {
  const known: readonly string[] = Object.values(label)
  return of.filter((name) => !known.includes(name))
}

/** AWS refuses where the label is not on `from`: a compare-and-swap. */
export const moveLabel = async (
  aws: Aws,
  ref: SecretRef,
  move: { readonly label: string; readonly from: string | null; readonly to: string | null },
  call: Call,
): Promise<void> => {
  try {
    await aws.write(
      'secretsmanager',
      ref.arn,
      (secrets, options) =>
        secrets.updateSecretVersionStage(
          {
            SecretId: ref.id,
            VersionStage: move.label,
            ...(move.from === null ? {} : { RemoveFromVersionId: move.from }),
            ...(move.to === null ? {} : { MoveToVersionId: move.to }),
          },
          options,
        ),
      call,
    )
  } catch (error) {
    // InvalidParameterException: what was read a moment ago is not so any more.
    if (!(error instanceof ProviderError) || error.kind !== 'permanent') throw error
    throw new ProviderError(
      'conflict',
      'none',
      `the label ${move.label} was moved by somebody else since it was read`,
      error.status === null ? {} : { status: error.status },
    )
  }
}
