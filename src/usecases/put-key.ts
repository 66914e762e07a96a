// Changes what may be changed of a key: not which object it is. Labels decide which policy applies and who may do what, so
// the scope is asked before and after, the grant again where labels change, and overlap of policies under the lock.

import type { Actor } from '#domain/actor.ts'
import type { ManagedBy, Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Key } from '#domain/key.ts'
import type { KeyBody } from '#domain/key-schema.ts'
import type { Committed, Ledger, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { mustObeyFloors } from './below-floor.ts'
import { checkShape } from './check-shape.ts'
import { reassign } from './reassign.ts'
import { findType, type Providers, toldKey } from './registration.ts'
import { checkLabels, mustBeGranted, mustSee, mustStayInScope } from './rights.ts'
import { keyMustSuit } from './suits-type.ts'
import { type Demand, demandsOf, mustNeedNoApproval, toldDemand } from './weakening.ts'
import { asJson, mustHold, sameJson, type Written } from './written.ts'

export interface PutKeyDeps {
  readonly ledger: Ledger
  readonly providers: Providers
}

export interface PutKey {
  readonly name: string
  readonly body: KeyBody
  readonly precondition: Precondition
  /** The owner set of a file apply; where not said, it stays. */
  readonly managedBy?: ManagedBy
}

export const putKey =
  ({ ledger, providers }: PutKeyDeps) =>
  (actor: Actor, put: PutKey): Promise<Committed<Written<Key>>> =>
    ledger.commit(actor, async (tx) => {
      await lockPolicies(tx)
      const { before, after, changed } = await writeKey(tx, providers, actor, put)
      const moved = new Map(changed ? [[before.id, before]] : [])
      const assigned = await reassign(tx, { policies: [], moved }, await tx.now())
      mustObeyFloors(assigned.below, () => '/labels')
      const resource = assigned.moved.get(after.id)?.key ?? after
      if (!sameJson(before.labels, resource.labels))
        await movedMustSuit(tx, providers, resource, await tx.policies.all())
      const demands = demandsOf(actor, assigned.moves)
      const observed = before.observe === null && resource.observe !== null
      mustNeedNoApproval(demands, { at: observed ? '/observe' : '/labels', written: null })
      return {
        value: { resource, created: false, changed },
        audit: [keyPut(before, resource, demands)],
      }
    })

/** By the state at the end: whatever policies select the key now. */
export const movedMustSuit = async (
  db: Reads,
  providers: Providers,
  key: Key,
  policies: readonly Policy[],
): Promise<void> => {
  const connection = await db.connections.get(key.connection)
  if (connection) keyMustSuit(policies, key, findType(providers, connection, key.type))
}

export interface KeyWrite {
  readonly before: Key
  readonly after: Key
  readonly changed: boolean
}

/** Everything but which policy applies and when the key is due: `reassign` is to follow, under the same lock. */
export const writeKey = async (
  tx: Tx,
  providers: Providers,
  actor: Actor,
  { name, body, precondition, managedBy }: PutKey,
): Promise<KeyWrite> => {
  const before = mustSee(actor, await tx.keys.byName(name), 'key', name)
  checkPrecondition(precondition, before.revision)
  mustBeSameObject(before, body)
  const labels = body.labels ?? {}
  const connection = await tx.connections.get(before.connection)
  if (connection && body.generate) {
    checkShape(
      findType(providers, connection, before.type).generateSchema,
      body.generate,
      '/generate',
    )
  }
  if (connection && !sameJson(before.labels, labels)) {
    await checkLabels(tx, actor, before.labels, labels)
    mustBeGranted(actor, connection, labels, before.objectId, '/labels')
  }
  mustStayInScope(actor, { labels, connection: before.connection })

  const wanted: Key = {
    ...before,
    purpose: body.purpose,
    owner: body.owner,
    environment: body.environment,
    labels,
    consumers: body.consumers ?? [],
    usableBy: body.usableBy ?? [],
    observe: body.observe ?? null,
    generate: (body.generate ?? null) as JsonObject | null,
    managedBy: managedBy === undefined ? before.managedBy : managedBy,
    revision: before.revision + 1,
    updatedAt: await tx.now(),
  }
  const changed = !sameJson(writable(before), writable(wanted))
  if (changed) mustHold(await tx.writeKey.update(wanted, before.revision))
  return { before, after: changed ? wanted : before, changed }
}

export const keyPut = (before: Key, after: Key, demands: readonly Demand[]): LedgerEvent => ({
  action: 'key.put',
  target: { id: before.id, name: before.name },
  outcome: 'succeeded',
  before: asJson(toldKey(before)),
  after: asJson({ ...toldKey(after), weakens: demands.map(toldDemand) }),
})

const mustBeSameObject = (key: Key, body: KeyBody): void => {
  const fixed = [
    { pointer: '/connection', same: body.connection === key.connection },
    { pointer: '/type', same: body.type === key.type },
    { pointer: '/ref', same: sameJson(body.ref ?? {}, key.ref) },
  ].filter(({ same }) => !same)
  if (fixed.length > 0) {
    throw new RekeyError('request.impossible', {
      detail: 'A key stays the key of its object: connection, type and ref do not change.',
      hint: 'Register another key for the other object, and delete this one when nobody uses it.',
      errors: fixed.map(({ pointer }) => ({ pointer, detail: 'cannot be changed' })),
    })
  }
}

const writable = ({
  purpose,
  owner,
  environment,
  labels,
  consumers,
  usableBy,
  observe,
  generate,
  managedBy,
}: Key) => ({
  purpose,
  owner,
  environment,
  labels,
  consumers,
  usableBy,
  observe,
  generate,
  managedBy,
})
