import type { JsonObject } from '#domain/json.ts'
import type { Metadata } from './kv2-read.ts'

export const deletedRisk =
  'The current version is deleted: its other fields, if it had any, are not in the new version.'

export const factsOf = (metadata: Metadata): JsonObject => ({
  currentVersion: metadata.current,
  oldestVersion: metadata.oldest,
  versionsKept: metadata.kept,
  casRequired: metadata.casRequired,
  deleteVersionAfter: metadata.deleteAfter,
})

export const risksOf = (metadata: Metadata): readonly string[] => [
  ...(metadata.kept === 1
    ? [
        'Vault keeps one version of this secret: the old value is destroyed by the write itself, and only Rekey’s sealed copy can undo it.',
      ]
    : []),
  ...(metadata.kept === 2
    ? [
        'Vault keeps two versions of this secret: one more write, by anybody, destroys the old value.',
      ]
    : []),
  ...(metadata.deleteAfter === '0s' || metadata.deleteAfter === ''
    ? []
    : [
        `Vault deletes every version of this secret ${metadata.deleteAfter} after it was written, the new one too.`,
      ]),
]
