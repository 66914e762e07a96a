// What breaks when a key is revoked: who and what hangs on it, each edge with where it is known from, how old that is and how
// sure. Nothing is guessed: where Rekey does not know, an edge without a name says so.

import { inScope, type Actor } from '#domain/actor.ts'
import { formatDuration } from '#domain/duration.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import { matchesLabels } from '#domain/names.ts'
import { type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { Reads } from '#domain/ports.ts'
import { consumersOfKey } from './consumers-of-key.ts'
import { getKeyUsage, type KeyUsage, type KeyUsageDeps } from './key-usage.ts'
import type { Scoped } from './rights.ts'
import { targetPlace } from './publish-place.ts'
import { objectIdOf, type Providers } from './registration.ts'

/** How an edge is known, and how much that is worth: what was seen, what somebody wrote down, or neither. */
export const edgeSources = {
  usedThroughRekey: 'observed',
  acknowledged: 'observed',
  provider: 'observed',
  declaredOnKey: 'declared',
  declaredByConsumer: 'declared',
  policyLabels: 'declared',
  policyPublish: 'declared',
  credential: 'declared',
  nobody: 'unknown',
} as const satisfies Record<string, 'observed' | 'declared' | 'unknown'>
export type EdgeSource = keyof typeof edgeSources

export const nodeKinds = ['key', 'consumer', 'principal', 'connection', 'publishTarget'] as const

export interface Node {
  readonly kind: (typeof nodeKinds)[number]
  readonly name: string
}

export interface Edge {
  /** What the other end hangs on: the key itself, or a target that it is published to. */
  readonly from: Node
  /** Null: somebody may be there, and Rekey does not know who. */
  readonly to: Node | null
  readonly source: EdgeSource
  /** When it was last seen or said; null where that was never dated. */
  readonly at: Date | null
  readonly detail: string
}

export const getBlastRadius =
  (deps: KeyUsageDeps) =>
  async (actor: Actor, name: string): Promise<readonly Edge[]> => {
    const usage = await getKeyUsage(deps)(actor, name)
    const declared = await deps.ledger.read(async (db) => {
      const { key } = usage
      const policy = key.policy === null ? null : await db.policies.get(key.policy)
      const resolved = policy && resolveStored(policy)
      return [
        ...(await consumerEdges(db, actor, key, resolved)),
        ...(await connectionEdges(db, actor, key)),
        ...(resolved ? await publishEdges(db, deps.providers, actor, key, resolved) : []),
      ]
    })
    return [...observedEdges(usage), ...withoutNames(declared), ...unknownEdges(usage)]
  }

/** An edge, and whether its end lies outside of the actor's scope: it is there, and has no name. */
type Seen = Edge & { readonly hidden: boolean }

/** What may not be seen is counted, by where it hangs and how it is known. */
const withoutNames = (edges: readonly Seen[]): readonly Edge[] => {
  const groups = Map.groupBy(
    edges.filter(({ hidden }) => hidden),
    ({ from, source }) => `${from.kind}/${from.name}/${source}`,
  )
  return [
    ...edges.filter(({ hidden }) => !hidden).map(({ hidden: _seen, ...edge }) => edge),
    ...[...groups.values()].flatMap(([first, ...more]): readonly Edge[] =>
      first === undefined
        ? []
        : [
            {
              from: first.from,
              to: null,
              source: first.source,
              at: null,
              detail: `and ${more.length + 1} ${more.length === 0 ? 'other' : 'others'} that you may not see`,
            },
          ],
    ),
  ]
}

const nodeOf = (key: Key): Node => ({ kind: 'key', name: key.name })

const consumer = (name: string): Node => ({ kind: 'consumer', name })

const observedEdges = ({ key, through, acknowledgements }: KeyUsage): readonly Edge[] => [
  ...through.items.map((use): Edge => {
    const who: Node =
      use.consumer === null ? { kind: 'principal', name: use.actor } : consumer(use.consumer)
    const detail = `${use.operation} of version ${use.version}, ${use.uses} times`
    return { from: nodeOf(key), to: who, source: 'usedThroughRekey', at: use.lastAt, detail }
  }),
  ...newestOfEach(acknowledgements).map(({ consumer: name, version, at }): Edge => ({
    from: nodeOf(key),
    to: consumer(name),
    source: 'acknowledged',
    at,
    detail: `said that it uses version ${version}`,
  })),
]

/** They come newest first. */
const newestOfEach = <T extends { readonly consumer: string }>(rows: readonly T[]): readonly T[] =>
  rows.filter((row, i) => rows.findIndex(({ consumer: who }) => who === row.consumer) === i)

const seenBy = (actor: Actor, thing: Scoped, node: Node): Pick<Seen, 'to' | 'hidden'> =>
  inScope(actor, thing) ? { to: node, hidden: false } : { to: null, hidden: true }

const consumerEdges = async (
  db: Reads,
  actor: Actor,
  key: Key,
  policy: ResolvedPolicy | null,
): Promise<readonly Seen[]> => {
  const wanted = policy?.consumers.matchLabels ?? null
  const onKey = key.consumers.map((name): Seen => ({
    from: nodeOf(key),
    to: consumer(name),
    hidden: false,
    source: 'declaredOnKey',
    at: key.updatedAt,
    detail: 'named on the key',
  }))
  const others = (await db.consumers.all()).flatMap((one): readonly Seen[] => {
    const at = { from: nodeOf(key), ...seenBy(actor, one, consumer(one.name)), at: one.updatedAt }
    const asks = `has the labels that ${key.policy ?? 'the policy'} asks for`
    return [
      ...(one.keys.includes(key.name)
        ? [{ ...at, source: 'declaredByConsumer' as const, detail: 'names the key' }]
        : []),
      ...(wanted !== null && matchesLabels(wanted, one.labels)
        ? [{ ...at, source: 'policyLabels' as const, detail: asks }]
        : []),
    ]
  })
  return [...onKey, ...others]
}

const connectionEdges = async (db: Reads, actor: Actor, key: Key): Promise<readonly Seen[]> =>
  (await db.connections.withCredentialOf(key.name)).map(({ name, labels, updatedAt }): Seen => ({
    from: nodeOf(key),
    ...seenBy(actor, { labels, connection: name }, { kind: 'connection', name }),
    source: 'credential',
    at: updatedAt,
    detail: 'uses the key as its credential',
  }))

/** A target that is itself a key here has consumers that are known; of any other nobody knows who reads it. */
const publishEdges = async (
  db: Reads,
  providers: Providers,
  actor: Actor,
  key: Key,
  policy: ResolvedPolicy,
): Promise<readonly Seen[]> => {
  const edges: Seen[] = []
  for (const target of policy.publish) {
    const to: Node = { kind: 'publishTarget', name: target.name }
    const where = `${target.type} at ${await placeSeen(db, actor, target.connection)}` // oxlint-disable-line no-await-in-loop -- one connection
    const published = { hidden: false, source: 'policyPublish', at: null, detail: where } as const
    edges.push({ ...published, from: nodeOf(key), to })
    const managed = await managedBy(db, providers, target) // oxlint-disable-line no-await-in-loop -- one connection
    if (managed === null) {
      const detail = `Who reads the ${where} is not known here.`
      edges.push({ from: to, to: null, hidden: false, source: 'nobody', at: null, detail })
      continue
    }
    const detail = `reads it as the key ${managed.name}`
    const readers = await consumersOfKey(db, managed) // oxlint-disable-line no-await-in-loop -- one connection
    const itself = seenBy(actor, managed, nodeOf(managed))
    edges.push({ ...published, from: to, ...itself })
    for (const name of readers)
      edges.push({
        from: to,
        ...seenBy(actor, managed, consumer(name)),
        source: 'declaredOnKey',
        at: managed.updatedAt,
        detail,
      })
  }
  return edges
}

const placeSeen = async (db: Reads, actor: Actor, name: string | undefined): Promise<string> => {
  if (name === undefined) return 'no connection'
  const found = await db.connections.get(name)
  return found && !inScope(actor, { labels: found.labels, connection: name })
    ? 'a connection that you may not see'
    : name
}

const managedBy = async (
  db: Reads,
  providers: Providers,
  target: ResolvedPolicy['publish'][number],
): Promise<Key | null> => {
  const connection =
    target.connection === undefined ? null : await db.connections.get(target.connection)
  const type = providers
    .get(connection?.provider ?? '')
    ?.types.find((candidate) => candidate.type === target.type)
  if (!connection || !type) return null
  try {
    return await db.keys.byObject(objectIdOf(type, targetPlace(connection, target), '/ref'))
  } catch (error) {
    // A ref that names nothing is the policy's fault, and its own write tells it.
    if (isRekeyError(error, 'request.invalid')) return null
    throw error
  }
}

const unknownEdges = ({ key, source, versions, through }: KeyUsage): readonly Edge[] => {
  const seen = versions.flatMap(({ version, lastUsedAt }): Edge[] =>
    lastUsedAt === null || lastUsedAt <= version.createdAt
      ? []
      : [
          {
            from: nodeOf(key),
            to: null,
            source: 'provider',
            at: lastUsedAt,
            detail: `Version ${version.version} was used by somebody, by ${source?.text ?? 'its provider'}.`,
          },
        ],
  )
  const silent = versions.filter(({ lastUsedAt }) => lastUsedAt === null)
  const dark =
    silent.length === 0
      ? []
      : [
          `Who uses ${silent.map(({ version }) => `version ${version.version}`).join(', ')} at the provider is not known: ${silent[0]?.detail ?? ''}`,
        ]
  const partly = through.complete
    ? []
    : [`Uses through Rekey before ${through.since.toISOString()} were too many to look at.`]
  return [
    ...seen,
    ...[...dark, ...partly].map((detail): Edge => ({
      from: nodeOf(key),
      to: null,
      source: 'nobody',
      at: null,
      detail,
    })),
  ]
}

/** `3d`, `5h`; null where nothing is dated. */
export const ageOf = (at: Date | null, now: Date): string | null => {
  if (at === null) return null
  const ms = Math.max(0, now.getTime() - at.getTime())
  const unit = ([86_400_000, 3_600_000, 60_000] as const).find((size) => ms >= size) ?? 1_000
  return formatDuration(Math.floor(ms / unit) * unit)
}
