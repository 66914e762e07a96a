// What there is, next to what a plan's documents say: the difference, field by field, and whose it is.

import { type Actor, inScope } from '#domain/actor.ts'
import type { ManagedBy } from '#domain/connection.ts'
import { diffJson } from '#domain/diff.ts'
import type { DocumentKind } from '#domain/document-kinds.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { Allowance, FieldChange, PlanAction } from '#domain/plan.ts'
import type { Reads } from '#domain/ports.ts'
import { documentOf, normalDocument } from '#domain/resource-document.ts'
import type { Subject } from './plan-faults.ts'
import { scopedPolicy } from './policy-rights.ts'
import { shownCredential } from './put-connection.ts'
import { mustSeePolicy } from './put-policy.ts'
import { everything, mustSee } from './rights.ts'

export interface OrderDocument extends Subject {
  readonly value: JsonObject
}

/** What is to be done, as it was sent. */
export interface Order {
  readonly owner: ManagedBy
  readonly documents: readonly OrderDocument[]
  readonly prune: boolean
  readonly allow: readonly Allowance[]
}

export interface Live {
  readonly document: JsonObject
  readonly managedBy: ManagedBy
  readonly revision: number
  readonly createdAt: Date
  /** Of a key. */
  readonly key: Key | null
}

export interface Look {
  readonly subject: Subject
  readonly action: PlanAction
  /** What the document comes to; null for what is deleted. */
  readonly document: JsonObject | null
  readonly live: Live | null
  readonly managedBy: ManagedBy
  readonly diff: readonly FieldChange[]
}

/** Throws `plan.ownerConflict`, and `resource.notFound` for a name that is taken out of scope. */
export const lookAt = async (
  db: Reads,
  actor: Actor,
  order: Order,
  sent: OrderDocument,
): Promise<Look> => {
  const live = await liveOf(db, actor, sent.kind, sent.name)
  const managedBy = ownerAfter(order, live)
  const document = normalDocument(sent.kind, sent.value, live?.document ?? null)
  const diff = [
    ...fieldsBetween(live?.document, document),
    ...(live && live.managedBy !== managedBy
      ? [{ pointer: '/status/owner', before: live.managedBy, after: managedBy }]
      : []),
  ]
  const action = live === null ? 'create' : diff.length === 0 ? 'unchanged' : 'update'
  return { subject: sent, action, document, live, managedBy, diff }
}

/** For what no document speaks of. */
export const lookAtDeletion = (
  kind: DocumentKind,
  name: string,
  live: Live,
): Look & { readonly live: Live } => ({
  subject: { kind, name, place: null },
  action: 'delete',
  document: null,
  live,
  managedBy: live.managedBy,
  diff: fieldsBetween(live.document, undefined),
})

/** Without what names the document. */
const fieldsBetween = (before: JsonObject | undefined, after: JsonObject | undefined) =>
  diffJson(before && contentOf(before), after && contentOf(after))

const contentOf = ({ metadata, spec }: JsonObject): JsonObject => {
  const { name: _name, ...head } = metadata as JsonObject
  return { ...(Object.keys(head).length === 0 ? {} : { metadata: head }), spec: spec ?? null }
}

const ownerAfter = (order: Order, live: Live | null): ManagedBy => {
  if (live === null || live.managedBy === order.owner) return order.owner
  if (order.owner !== null && (live.managedBy === null || order.allow.includes('ownerChange')))
    return order.owner
  const whose = order.owner === null ? 'no owner' : `the owner "${order.owner}"`
  throw new RekeyError('plan.ownerConflict', {
    detail: `It belongs to the owner "${live.managedBy}", and this plan is of ${whose}.`,
    hint:
      order.owner === null
        ? `Apply it as that owner: send owner ${live.managedBy} (--owner ${live.managedBy}).`
        : 'Take it out of one of the two, or allow ownerChange to take it over.',
    errors: [
      {
        pointer: '/metadata/name',
        detail: `belongs to ${live.managedBy}`,
      },
    ],
    extra: { owners: [live.managedBy, order.owner] },
  })
}

/** What there is of this name; null: nothing. Out of scope it is a 404. */
export const liveOf = async (
  db: Reads,
  actor: Actor,
  kind: DocumentKind,
  name: string,
): Promise<Live | null> => {
  switch (kind) {
    case 'Connection': {
      const found = await db.connections.get(name)
      if (!found) return null
      mustSee(actor, { ...found, connection: name }, 'connection', name)
      const { provider, settings, grants, labels } = found
      const credential = shownCredential(found.credential)
      return liveAs(kind, found, { name, provider, settings, credential, grants, labels })
    }
    case 'Consumer': {
      const found = await db.consumers.get(name)
      if (!found) return null
      const { owner, labels, keys, reload } = mustSee(actor, found, 'consumer', name)
      const shown = reload && { webhook: reload.webhook }
      return liveAs(kind, found, { name, owner, labels, keys, reload: shown })
    }
    case 'Playbook': {
      const found = await db.playbooks.get(name)
      if (!found) return null
      const { labels, spec } = mustSee(actor, found, 'playbook', name)
      return liveAs(kind, found, { name, labels, ...spec })
    }
    case 'Key': {
      const found = await db.keys.byName(name)
      if (!found) return null
      const key = mustSee(actor, found, 'key', name)
      const { connection, type, ref, purpose, owner, environment, labels } = key
      const { consumers, usableBy, observe, generate } = key
      const place = { name, connection, type, ref, purpose, owner, environment, labels }
      return { ...liveAs(kind, key, { ...place, consumers, usableBy, observe, generate }), key }
    }
    case 'RotationPolicy': {
      const found = await db.policies.get(name)
      if (!found) return null
      const { labels, annotations, spec } = mustSeePolicy(actor, found, name)
      return liveAs(kind, found, { name, labels, annotations, ...spec })
    }
  }
}

const liveAs = (
  kind: DocumentKind,
  row: {
    readonly managedBy: ManagedBy
    readonly revision: number
    readonly createdAt: Date
  },
  resource: object,
): Live => ({
  // A row of the store is JSON but for its dates, and none of those is in it.
  document: documentOf(kind, JSON.parse(JSON.stringify(resource)) as JsonObject),
  managedBy: row.managedBy,
  revision: row.revision,
  createdAt: row.createdAt,
  key: null,
})

/** Names of what belongs to an owner, of those that the actor sees. */
export const ownedBy = async (
  db: Reads,
  actor: Actor,
  kind: DocumentKind,
  owner: string,
): Promise<readonly string[]> => {
  const scope = actor.scope
  switch (kind) {
    case 'Connection': {
      const all = await everything((after) => db.connections.list({ limit: 200, after }))
      return namesOf(all, owner, (row) => inScope(actor, { ...row, connection: row.name }))
    }
    case 'Consumer':
      return namesOf(await db.consumers.all(), owner, (row) => inScope(actor, row))
    case 'Playbook':
      return namesOf(await db.playbooks.outlines(), owner, (row) => inScope(actor, row))
    case 'Key': {
      const all = await everything((after) =>
        db.keys.list({ managedBy: owner, scope }, { limit: 200, after }),
      )
      return all.map(({ name }) => name)
    }
    case 'RotationPolicy':
      return namesOf(await db.policies.all(), owner, (row) => inScope(actor, scopedPolicy(row)))
  }
}

const namesOf = <T extends { readonly name: string; readonly managedBy: ManagedBy }>(
  rows: readonly T[],
  owner: string,
  seen: (row: T) => boolean,
): readonly string[] =>
  rows.filter((row) => row.managedBy === owner && seen(row)).map(({ name }) => name)

/** What a plan's hash stands for, of one look: the state before, so that nothing else is overwritten. */
export const baseOf = ({ live }: Look): Json =>
  live && [live.revision, live.createdAt.toISOString(), live.managedBy]

/** The body of the resource that a document describes. The document's schema has accepted it as that. */
export const bodyOf = <T>({ document }: Look): T => {
  const { metadata, spec } = document ?? {}
  const { labels } = metadata as { readonly labels?: JsonObject }
  return { ...(spec as JsonObject), ...(labels === undefined ? {} : { labels }) } as T
}
