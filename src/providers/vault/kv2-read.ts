import { ProviderError, type Call } from '#domain/provider.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'
import { fieldsOf, numberOf, textOf, type Fields } from '../untyped-json.ts'

export interface VersionRow {
  readonly createdAt: Date | null
  /** May lie ahead, by `delete_version_after`. */
  readonly deletedAt: Date | null
  readonly destroyed: boolean
}

export interface Metadata {
  readonly current: number
  readonly oldest: number
  /** How many versions Vault keeps of it; null: as the mount says. */
  readonly ownLimit: number | null
  readonly casRequired: boolean
  readonly deleteAfter: string
  readonly versions: ReadonlyMap<number, VersionRow>
}

/** Null: no such secret. Throws `precondition` where the mount is another engine: a write there would land elsewhere. */
export const readMetadata = async (ask: Ask, ref: Kv2Ref, call: Call): Promise<Metadata | null> => {
  const reply = await ask({ verb: 'read', path: ref.metadataPath, accept: [404] }, call)
  if (reply.status === 404) {
    await requireKv2(ask, ref, call)
    return null
  }
  const { data } = reply
  return {
    current: numberOf(data['current_version']),
    oldest: numberOf(data['oldest_version']),
    ownLimit: numberOf(data['max_versions']) || null,
    casRequired: data['cas_required'] === true,
    deleteAfter: textOf(data['delete_version_after']),
    versions: new Map(
      Object.entries(fieldsOf(data['versions'])).map(([number, row]) => [
        Number(number),
        rowOf(fieldsOf(row)),
      ]),
    ),
  }
}

export type ReadVersion =
  | { readonly state: 'enabled'; readonly status: number; readonly data: Fields }
  | { readonly state: 'disabled' | 'destroyed' | 'absent'; readonly status: number }

/** Reads a version by its number. Vault answers 404 with metadata where it is deleted or destroyed, and without any where
 *  it never was or was pruned. */
export const readVersion = async (
  ask: Ask,
  ref: Kv2Ref,
  version: number,
  call: Call,
): Promise<ReadVersion> => {
  const reply = await ask(
    { verb: 'read', path: ref.dataPath, query: `version=${version}`, accept: [404] },
    call,
  )
  const { status } = reply
  if (status !== 404) return { state: 'enabled', status, data: fieldsOf(reply.data['data']) }
  const metadata = fieldsOf(reply.data['metadata'])
  if (metadata['destroyed'] === true) return { state: 'destroyed', status }
  return { state: textOf(metadata['deletion_time']) === '' ? 'absent' : 'disabled', status }
}

/** The field's text in a version; null where the version is not handed out, or has no text there. */
export const valueIn = async (
  ask: Ask,
  ref: Kv2Ref,
  version: number,
  call: Call,
): Promise<string | null> => {
  const read = await readVersion(ask, ref, version, call)
  if (read.state !== 'enabled') return null
  const value = read.data[ref.field]
  return typeof value === 'string' ? value : null
}

export const stateIn = (
  row: VersionRow | undefined,
  now: Date,
): 'enabled' | 'disabled' | 'destroyed' | 'absent' =>
  row === undefined ? 'absent' : stateOfRow(row, now)

export const stateOfRow = (row: VersionRow, now: Date): 'enabled' | 'disabled' | 'destroyed' => {
  if (row.destroyed) return 'destroyed'
  return row.deletedAt !== null && row.deletedAt <= now ? 'disabled' : 'enabled'
}

const rowOf = (row: Fields): VersionRow => ({
  createdAt: timeOf(row['created_time']),
  deletedAt: timeOf(row['deletion_time']),
  destroyed: row['destroyed'] === true,
})

const timeOf = (value: unknown): Date | null => {
  const at = new Date(textOf(value))
  return Number.isNaN(at.getTime()) ? null : at
}

const requireKv2 = async (ask: Ask, ref: Kv2Ref, call: Call): Promise<void> => {
  const reply = await ask({ verb: 'read', path: ref.mountInfoPath, accept: [400, 403, 404] }, call)
  if (reply.status !== 200) return
  if (reply.data['type'] === 'kv' && fieldsOf(reply.data['options'])['version'] === '2') return
  throw new ProviderError('precondition', 'none', 'the mount is not a KV version 2 engine', {
    hint: `${ref.mount}/ is ${textOf(reply.data['type']) || 'another engine'}: check \`ref.mount\``,
  })
}
