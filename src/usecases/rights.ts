// Who may touch what: scopes, labels as authority, grants (9-security.md 1 to 4). Roles are asked at the door, by the route;
// what depends on the thing itself is asked here.

import { hasRole, inScope, type Actor, type Scope } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { globMatches } from '#domain/glob.ts'
import type { Key } from '#domain/key.ts'
import type { Labels } from '#domain/names.ts'
import type { Reads, Tx } from '#domain/ports.ts'

export interface Scoped {
  readonly labels: Labels
  readonly connection?: string
}

export const isAdmin = (actor: Actor): boolean => hasRole(actor)

export const notFound = (what: string, name: string): RekeyError =>
  new RekeyError('resource.notFound', { detail: `There is no ${what} "${name}".` })

/** The thing, if there is one in the actor's scope. What is out of scope does not exist: the answer is the same 404. */
export const mustSee = <T extends Scoped>(
  actor: Actor,
  thing: T | null,
  what: string,
  name: string,
): T => {
  if (!thing || !inScope(actor, thing)) throw notFound(what, name)
  return thing
}

/** The key of that name, held until the transaction ends. One that is deleted at this moment does not exist. */
export const holdSeen = async (tx: Tx, actor: Actor, name: string): Promise<Key> => {
  const found = mustSee(actor, await tx.keys.byName(name), 'key', name)
  await tx.holdKeys([found.id])
  const key = await tx.keys.byId(found.id)
  return mustSee(actor, key?.deletedAt === null ? key : null, 'key', name)
}

/** For the state after a change: nobody moves a thing out of, or into, a scope that is not theirs. */
export const mustStayInScope = (actor: Actor, after: Scoped): void => {
  if (inScope(actor, after)) return
  const wanted = Object.entries(actor.scope?.matchLabels ?? {}).map(
    ([key, value]) => `${key}=${value}`,
  )
  throw new RekeyError('auth.denied', {
    detail: 'The token is limited to a scope, and this would lie outside of it.',
    hint: [
      ...(wanted.length > 0 ? [`labels must include ${wanted.join(', ')}`] : []),
      ...(actor.scope?.connections
        ? [`the connection must be one of ${actor.scope.connections.join(', ')}`]
        : []),
    ].join('; '),
    errors: [{ pointer: '/labels', detail: 'outside of the scope of the token' }],
  })
}

const reserved = (label: string): boolean => label === 'rekey.dev' || label.startsWith('rekey.dev/')

/**
 * Labels decide who may do what, so those under `rekey.dev/` and those that any scope, grant or floor looks at are changed by
 * an admin only. A new thing (`before` null) may be born with them: by an actor without a scope, or where they are those of
 * the actor's own scope; else a token for team A could make a key that carries the label of team B's grant.
 */
export const checkLabels = async (
  db: Reads,
  actor: Actor,
  before: Labels | null,
  after: Labels,
): Promise<void> => {
  if (isAdmin(actor)) return
  const old = before ?? {}
  const changed = [...new Set([...Object.keys(old), ...Object.keys(after)])].filter(
    (label) => own(old, label) !== own(after, label),
  )
  const refused = changed.filter(reserved)
  const rest = changed.filter((label) => !reserved(label))
  if (rest.length > 0 && (before !== null || actor.scope !== null)) {
    const authority = await authorityLabels(db)
    const mine = actor.scope?.matchLabels ?? {}
    refused.push(
      ...rest.filter((label) => {
        const born = before === null && own(after, label) === own(mine, label)
        return authority.has(label) && !born
      }),
    )
  }
  if (refused.length > 0) {
    throw new RekeyError('auth.denied', {
      detail: `Only an admin changes the label ${refused.join(', ')}: rights depend on it.`,
      errors: refused.map((label) => ({
        pointer: `/labels/${label.replaceAll('~', '~0').replaceAll('/', '~1')}`,
        detail: 'rights depend on this label',
      })),
    })
  }
}

const own = (labels: Labels, label: string): string | undefined =>
  Object.hasOwn(labels, label) ? labels[label] : undefined

/** The labels that scopes of tokens, grants of connections and floors look at. */
const authorityLabels = async (db: Reads): Promise<ReadonlySet<string>> => {
  const found = new Set<string>()
  const note = (labels: Labels | undefined): void =>
    Object.keys(labels ?? {}).forEach((label) => found.add(label))
  const connections = await everything((after) => db.connections.list({ limit: 200, after }))
  for (const connection of connections)
    connection.grants.forEach((grant) => note(grant.matchLabels))
  for (const floor of (await db.floors.get()).items) note(floor.matchLabels)
  const tokens = await everything((after) => db.apiKeys.list({ limit: 200, after }))
  for (const token of tokens) if (!token.deletedAt) note(token.scope?.matchLabels)
  return found
}

/** All pages of a small list. */
export const everything = async <T>(
  page: (
    after: string | null,
  ) => Promise<{ readonly items: readonly T[]; readonly next: string | null }>,
): Promise<readonly T[]> => {
  const items: T[] = []
  let after: string | null = null
  do {
    // oxlint-disable-next-line no-await-in-loop -- a page names the next one
    const found: { readonly items: readonly T[]; readonly next: string | null } = await page(after)
    items.push(...found.items)
    after = found.next
  } while (after !== null)
  return items
}

/** Whether the connection lets keys with these labels use the object. */
export const grants = (connection: Connection, labels: Labels, objectId: string): boolean =>
  connection.grants.some(
    (grant) =>
      Object.entries(grant.matchLabels).every(([label, value]) => own(labels, label) === value) &&
      grant.refs.some((ref) => globMatches(ref, objectId)),
  )

/** No grant means admin only. */
export const mustBeGranted = (
  actor: Actor,
  connection: Connection,
  labels: Labels,
  objectId: string,
  pointer = '/ref',
): void => {
  if (!isAdmin(actor)) mustHaveGrant(connection, labels, objectId, pointer)
}

/** For what goes on by itself, long after whoever wrote it was asked: the grant alone says that it may. */
export const mustHaveGrant = (
  connection: Connection,
  labels: Labels,
  objectId: string,
  pointer: string,
): void => {
  if (grants(connection, labels, objectId)) return
  throw new RekeyError('connection.notGranted', {
    detail: `The connection "${connection.name}" does not let keys with these labels use this object.`,
    hint: `An admin adds a grant to the connection "${connection.name}".`,
    errors: [{ pointer, detail: 'no grant of the connection covers it' }],
  })
}

/** Whether everything that the first could ever choose lies in the second: a policy may not reach beyond its author's scope. */
export const liesWithin = (
  selector: { readonly connection?: string; readonly matchLabels?: Labels },
  scope: Scope | null,
): boolean => {
  if (!scope) return true
  if (
    scope.connections &&
    !(selector.connection && scope.connections.includes(selector.connection))
  )
    return false
  return Object.entries(scope.matchLabels ?? {}).every(
    ([label, value]) => own(selector.matchLabels ?? {}, label) === value,
  )
}
