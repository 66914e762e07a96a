// A preview as one reader may see it. It is drawn and hashed whole, since it says what will happen; what lies outside of a reader's
// scope has no name in it: so many connections lose access, so many consumers use it, that this reader may not see.

import { type Actor, inScope } from '#domain/actor.ts'
import type { ContainedKey, IncidentPreview } from '#domain/incident.ts'
import { losesAccessText } from '#domain/plan-containment.ts'
import type { Reads } from '#domain/ports.ts'

export const seenPreview = async (
  db: Pick<Reads, 'connections' | 'consumers' | 'keys'>,
  actor: Actor,
  preview: IncidentPreview,
): Promise<IncidentPreview> => {
  if (actor.scope === null) return preview
  const hidden = await hiddenConnections(db, actor, preview.keys)
  const consumers = await seenConsumers(db, actor, preview)
  const unseen = preview.consumers.length - consumers.length
  return {
    ...preview,
    keys: hidden.size === 0 ? preview.keys : preview.keys.map((key) => withoutNames(key, hidden)),
    consumers,
    warnings: [
      ...preview.warnings,
      ...(unseen === 0 ? [] : [`${others(unseen, 'consumer')} use them.`]),
    ],
  }
}

/** As in "and 2 others that you may not see". */
export const others = (count: number, what: string): string =>
  `${count} ${count === 1 ? what : `${what}s`} that you may not see`

const hiddenConnections = async (
  db: Pick<Reads, 'connections'>,
  actor: Actor,
  keys: readonly ContainedKey[],
): Promise<ReadonlySet<string>> => {
  const hidden = new Set<string>()
  for (const name of new Set(keys.flatMap(({ losesAccess }) => losesAccess))) {
    const found = await db.connections.get(name) // oxlint-disable-line no-await-in-loop -- few, on one connection
    if (!found || !inScope(actor, { labels: found.labels, connection: name })) hidden.add(name)
  }
  return hidden
}

const withoutNames = (key: ContainedKey, hidden: ReadonlySet<string>): ContainedKey => {
  const gone = key.losesAccess.filter((name) => hidden.has(name))
  if (gone.length === 0) return key
  const texts = new Set(gone.map(losesAccessText))
  return {
    ...key,
    losesAccess: key.losesAccess.filter((name) => !hidden.has(name)),
    warnings: [
      ...key.warnings.filter((text) => !texts.has(text)),
      `${others(gone.length, 'connection')} log in with it, and lose access.`,
    ],
  }
}

/** Those that lie in the scope, and those that a key of the preview names, where it can be read anyway. */
const seenConsumers = async (
  db: Pick<Reads, 'consumers' | 'keys'>,
  actor: Actor,
  { keys, consumers }: IncidentPreview,
): Promise<readonly string[]> => {
  if (consumers.length === 0) return consumers
  const seen = new Set(
    (await db.consumers.all()).filter((one) => inScope(actor, one)).map(({ name }) => name),
  )
  for (const key of await db.keys.byIds(keys.map(({ keyId }) => keyId)))
    if (inScope(actor, key)) for (const name of key.consumers) seen.add(name)
  return consumers.filter((name) => seen.has(name))
}
