import type { JsonObject } from '#domain/json.ts'
import type { Call } from '#domain/provider.ts'
import { numberOf } from '../untyped-json.ts'
import type { Metadata } from './kv2-read.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'

/** How many versions Vault keeps of a secret: its own limit, else the mount's, else ten. */
export type KeptOf = (ref: Kv2Ref, metadata: Metadata, call: Call) => Promise<number>

const rememberMs = 60_000

/** The setting of a mount is asked for once a minute: risks are told from it, nothing is decided. */
export const makeKeptOf = (ask: Ask, now: () => Date): KeptOf => {
  const mounts = new Map<string, { readonly kept: number; readonly until: number }>()
  return async (ref, { ownLimit }, call) => {
    if (ownLimit !== null) return ownLimit
    const known = mounts.get(ref.configPath)
    const at = now().getTime()
    if (known && known.until > at) return known.kept
    // Reading it is a right that nobody needs to grant: without it, Vault's default is assumed.
    const reply = await ask({ verb: 'read', path: ref.configPath, accept: [403, 404] }, call)
    const kept = numberOf(reply.data['max_versions']) || 10
    mounts.set(ref.configPath, { kept, until: at + rememberMs })
    return kept
  }
}

export const deletedRisk =
  'The current version is deleted: its other fields, if it had any, are not in the new version.'

export const factsOf = (metadata: Metadata, kept: number): JsonObject => ({
  currentVersion: metadata.current,
  oldestVersion: metadata.oldest,
  versionsKept: kept,
  casRequired: metadata.casRequired,
  deleteVersionAfter: metadata.deleteAfter,
})

export const risksOf = (metadata: Metadata, kept: number): readonly string[] => [
  ...(kept === 1
    ? [
        'Vault keeps one version of this secret: the old value is destroyed by the write itself, and only Rekey’s sealed copy can undo it.',
      ]
    : []),
  ...(kept === 2
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
