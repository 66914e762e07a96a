// Versions, as secrets, keys and certificates of Key Vault have them. What Rekey has to say of a version stands in its tags:
// which operation made it, and that it was destroyed, since Key Vault deletes no single version. Nobody can make a write
// conditional, so that what is there is compared with what was there just before.

import type { JsonObject } from '#domain/json.ts'
import { type Call, ProviderError, type ProviderVersion, type Session } from '#domain/provider.ts'
import { nameIn } from './refs.ts'
import { digestOf } from './values.ts'

export interface VersionRow {
  readonly id: string
  readonly enabled: boolean
  readonly createdAt: Date | null
  readonly expiresAt: Date | null
  readonly tags: Readonly<Record<string, string>>
}

/** In the tag of a key's version that makes nothing new any more: what its operations were. */
export const suspendedTag = 'suspended:'

/** The part of the SDKs' properties that all three kinds have. */
export interface Properties {
  readonly version?: string | undefined
  readonly enabled?: boolean | undefined
  readonly createdOn?: Date | undefined
  readonly expiresOn?: Date | undefined
  readonly tags?: Record<string, string> | undefined
}

export const tag = { operation: 'rekey-operation', state: 'rekey-state' } as const
/** Key Vault takes fifteen. */
const mostTags = 15 - Object.keys(tag).length

export const rowOf = (properties: Properties): VersionRow => ({
  id: properties.version ?? '',
  enabled: properties.enabled !== false,
  createdAt: properties.createdOn ?? null,
  expiresAt: properties.expiresOn ?? null,
  tags: properties.tags ?? {},
})

export const tagsFor = (
  foreign: Readonly<Record<string, string>>,
  operationId: string,
): Record<string, string> => ({
  ...foreignTags(foreign),
  [tag.operation]: operationTag(operationId),
})

/** A tag's value has at most 256 characters. */
export const operationTag = (operationId: string): string =>
  operationId.length <= 256 ? operationId : digestOf([operationId])

export const foreignTags = (tags: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(tags).filter(([name]) => !(Object.values(tag) as string[]).includes(name)),
  )

/** The first one: others may copy a version with its tags. */
export const madeBy = (rows: readonly VersionRow[], operationId: string): VersionRow | undefined =>
  rows
    .filter(({ tags }) => tags[tag.operation] === operationTag(operationId))
    .toSorted((a, b) => Number(a.createdAt) - Number(b.createdAt))[0]

/** Of the set of versions; what they are set to does not count. */
export const versionsDigest = (rows: readonly VersionRow[]): string =>
  digestOf(rows.map(({ id }) => id))

export const destroyed = 'destroyed'

export const stateOfRow = ({ enabled, tags }: VersionRow): 'enabled' | 'disabled' | 'destroyed' => {
  const state = tags[tag.state] ?? ''
  if (enabled) return state.startsWith(suspendedTag) ? 'disabled' : 'enabled'
  return state === destroyed ? 'destroyed' : 'disabled'
}

type State = ReturnType<typeof stateOfRow>

/** How one kind of object is looked at. Both throw ProviderError. */
export interface Looks<Row> {
  /** Null: the newest one. */
  readonly one: (version: string | null) => Promise<Row>
  readonly list: () => Promise<readonly Row[]>
}

/** Null where it is not there; `off` where Key Vault tells nothing of a version that is off. */
const lookAt = async <Row>(look: Promise<Row>): Promise<Row | 'off' | null> => {
  try {
    return await look
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    if (error.kind === 'disabled') return 'off'
    if (error.kind === 'notFound') return null
    throw error
  }
}

/** All versions; empty where there is no such object. A list may be from before the last write, which the newest version, asked for by itself, is not; `seen`: it was
 *  asked for just before. */
export const allVersions = async <Row extends VersionRow>(
  { one, list }: Looks<Row>,
  seen?: Row,
): Promise<readonly Row[]> => {
  try {
    // In this order: what is newest is among those that are listed after it, or the list is behind.
    const newest = seen ?? (await lookAt(one(null)))
    const rows = await list()
    if (newest === null || newest === 'off') return rows
    return [newest, ...rows.filter(({ id }) => id !== newest.id)]
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return []
    throw error
  }
}

/** One version as it is, and not as a list has it. Null: there is no such version. */
export const oneVersion = async <Row extends VersionRow>(
  { one, list }: Looks<Row>,
  version: string,
): Promise<Row | null> => {
  const row = await lookAt(one(version))
  if (row !== 'off') return row
  // That it is off is sure; its tags are told by the list alone.
  const listed = (await list()).find(({ id }) => id === version)
  return listed === undefined ? null : { ...listed, enabled: false }
}

export const noVersion = (what: 'secret' | 'key' | 'certificate', version: string): ProviderError =>
  new ProviderError('notFound', 'none', `the ${what} has no version ${version}`)

/** Set semantics: what is so already is done, and what is destroyed is off. */
export const isAlready = (state: State, to: State): boolean =>
  state === to || (state === 'destroyed' && to === 'disabled')

/** Of a version that is to be set to something else. Throws `precondition` for one that was destroyed. */
export const mustComeBack = (state: State, version: string): void => {
  if (state !== 'destroyed') return
  throw new ProviderError('precondition', 'none', `version ${version} does not come back`, {
    hint: `its tag ${tag.state} says that it was destroyed`,
  })
}

/** Switching versions off and on, of whatever has versions. */
export const switching = (
  read: (name: string, version: string, call: Call) => Promise<VersionRow | null>,
  set: (at: { name: string; version: string }, to: State, call: Call) => Promise<JsonObject>,
): Pick<Session, 'suspend' | 'reinstate' | 'retire' | 'stateOf'> => ({
  suspend: ({ ref }, version, call) => set({ name: nameIn(ref), version }, 'disabled', call),
  reinstate: ({ ref }, version, call) => set({ name: nameIn(ref), version }, 'enabled', call),
  retire: ({ ref }, version, how, call) =>
    set({ name: nameIn(ref), version }, how === 'disable' ? 'disabled' : 'destroyed', call),
  stateOf: async ({ ref }, version, call) => {
    const row = await read(nameIn(ref), version, call)
    return row === null ? 'absent' : stateOfRow(row)
  },
})

/** Throws `quota` where the marks of Rekey do not fit beside what is there. */
export const mustHaveRoom = (what: string, tags: VersionRow['tags']): void => {
  if (Object.keys(foreignTags(tags)).length <= mostTags) return
  throw new ProviderError('quota', 'none', `the ${what} has no room for two tags more`, {
    hint: `Key Vault takes fifteen, and Rekey marks its versions with two: leave at most ${mostTags}`,
  })
}

/** As long as the version before was to live; null where it has no end. */
export const lifetimeMs = ({ createdAt, expiresAt }: VersionRow): number | null => {
  const ms = Number(expiresAt) - Number(createdAt)
  return createdAt === null || expiresAt === null || ms <= 0 ? null : ms
}

export const toVersion = (row: VersionRow, current: string | null): ProviderVersion => ({
  id: row.id,
  state: stateOfRow(row),
  current: row.id === current,
  ...(row.createdAt === null ? {} : { createdAt: row.createdAt }),
  ...(row.expiresAt === null ? {} : { expiresAt: row.expiresAt }),
})
