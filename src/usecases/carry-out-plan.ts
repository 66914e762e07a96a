// Does in one transaction what a plan's documents ask for, and tells what that leads to. Making a plan runs this and undoes it;
// applying a plan runs this and compares what it did with what was shown: there is one path, so the two cannot differ.
//
// No provider is touched here. Rows first: connections, consumers, policies, keys, and the policies and keys that are deleted;
// then which policy applies to which key, once, by the state at the end; then consumers and connections that are deleted.
// Keys that do not exist yet are checked against the outcome and not made: their objects are adopted or made afterwards, one
// by one (apply-plan.ts). All documents are tried before the first refusal is thrown, so that a person sees all of them.

import type { Actor } from '#domain/actor.ts'
import type { ConnectionDocument } from '#domain/connection-schema.ts'
import { type DocumentKind, kindNames } from '#domain/document-kinds.ts'
import { isRekeyError, RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Clock, LedgerEvent, Reads, Tx } from '#domain/ports.ts'
import type { Precondition } from '#domain/precondition.ts'
import { lockPolicies } from './assign-policies.ts'
import { mustObeyFloors } from './below-floor.ts'
import { connectionDeleted, removeConnection } from './delete-connection.ts'
import { consumerDeleted, removeConsumer } from './delete-consumer.ts'
import { removeKey } from './delete-key.ts'
import { playbookDeleted, removePlaybook } from './delete-playbook.ts'
import { policyDeleted, removePolicy } from './delete-policy.ts'
import { type Faults, makeFaults, overlapIn } from './plan-faults.ts'
import { lookAtNewKeys, type NewKey, unfinishedOf } from './plan-new-keys.ts'
import {
  bodyOf,
  type Live,
  liveOf,
  type Look,
  lookAt,
  lookAtDeletion,
  type Order,
  ownedBy,
} from './plan-looks.ts'
import { connectionPut, connectionWrite, type PutConnectionDeps } from './put-connection.ts'
import { consumerPut, consumerWrite } from './put-consumer.ts'
import { keyPut, movedMustSuit, writeKey } from './put-key.ts'
import { playbookPut, writePlaybook } from './put-playbook.ts'
import {
  draftPolicy,
  mustSuitTypes,
  policyChanges,
  policyPut,
  type PolicyWrite,
  writePolicy,
} from './put-policy.ts'
import { reassign, type Reassignment } from './reassign.ts'
import { type Demand, demandsOf, demandsOfLeaving } from './weakening.ts'
import { isAdmin } from './rights.ts'
import { sameJson } from './written.ts'

export interface CarryOutDeps extends Pick<
  PutConnectionDeps,
  'providers' | 'credentials' | 'egress'
> {
  readonly clock: Clock
}

export interface CarriedOut {
  /** Creations and changes in the order in which they are made, then deletions. */
  readonly looks: readonly Look[]
  readonly reassigned: Reassignment
  /** By name: what was said about the policies that changed. */
  readonly warnings: ReadonlyMap<string, readonly string[]>
  /** In the order of their names. */
  readonly newKeys: ReadonlyMap<string, NewKey>
  /** Keys that exist, in the whole installation. */
  readonly keys: number
  readonly demands: readonly Demand[]
  /** One a change, without what caused them. */
  readonly events: readonly LedgerEvent[]
  /** Connections whose sessions are to be let go. */
  readonly connections: readonly string[]
}

export const carryOut =
  (deps: CarryOutDeps) =>
  async (tx: Tx, actor: Actor, order: Order): Promise<CarriedOut> => {
    const hand = openHand(deps, tx, actor)
    const looks = await lookAtAll(hand, order)
    const keys = looksOf(looks, 'Key')
    await eachChange(hand, looksOf(looks, 'Connection'), writeConnection)
    await eachChange(hand, looksOf(looks, 'Consumer'), writeConsumer)
    await eachChange(hand, looksOf(looks, 'Playbook'), writePlaybookOf)

    await lockPolicies(tx)
    const unfinished = await unfinishedOf(tx, keys)
    const deletions = await deletionsOf(hand, order)
    // Before any policy is written: what guards a key that goes is what guarded it until now.
    const leaving = await eachLeaving(tx, looksOf(deletions, 'Key'))
    await eachChange(hand, looksOf(looks, 'RotationPolicy'), writePolicyOf)
    await eachChange(hand, keys, async (_hand, look) => {
      if (look.live && !unfinished.has(look.subject.name)) await changeKey(hand, look)
    })
    await eachChange(hand, looksOf(deletions, 'RotationPolicy'), dropPolicy)
    await eachChange(hand, looksOf(deletions, 'Key'), dropKey)
    hand.faults.settle()

    const { reassigned, warnings, demands } = await settleKeys(hand, order)
    const newKeys = await lookAtNewKeys(hand, keys, unfinished)
    await eachChange(hand, looksOf(deletions, 'Playbook'), dropPlaybook)
    await eachChange(hand, looksOf(deletions, 'Consumer'), dropConsumer)
    await eachChange(hand, looksOf(deletions, 'Connection'), dropConnection)
    hand.faults.settle()
    return {
      looks: [...looks, ...deletions],
      reassigned,
      warnings,
      newKeys,
      keys: await tx.keys.count(),
      demands: [...demands, ...leaving],
      events: hand.events,
      connections: hand.connections,
    }
  }

/** What one carrying out has in its hands. */
interface Hand {
  readonly deps: CarryOutDeps
  readonly tx: Tx
  readonly actor: Actor
  readonly faults: Faults
  readonly events: LedgerEvent[]
  readonly connections: string[]
  readonly policies: { readonly look: Look; readonly write: PolicyWrite }[]
  readonly removed: Awaited<ReturnType<typeof removePolicy>>[]
  /** Keys that were written, as they were before and are now. */
  readonly keys: { readonly look: Look; readonly before: Key; readonly after: Key }[]
}

const openHand = (deps: CarryOutDeps, tx: Tx, actor: Actor): Hand => ({
  deps,
  tx,
  actor,
  faults: makeFaults(),
  events: [],
  connections: [],
  policies: [],
  removed: [],
  keys: [],
})

const looksOf = (looks: readonly Look[], kind: DocumentKind): readonly Look[] =>
  looks.filter(({ subject }) => subject.kind === kind)

const lookAtAll = async ({ tx, actor, faults }: Hand, order: Order): Promise<readonly Look[]> => {
  const looks: Look[] = []
  for (const kind of kindNames) {
    const sent = order.documents
      .filter((document) => document.kind === kind)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    for (const document of sent) {
      // oxlint-disable-next-line no-await-in-loop -- one connection
      const look = await faults.attempt(document, () => lookAt(tx, actor, order, document))
      if (look) looks.push(look)
    }
  }
  return looks
}

/** What is unchanged is not written, and asks for no right but to see it. */
const eachChange = async (
  hand: Hand,
  looks: readonly Look[],
  work: (hand: Hand, look: Look) => Promise<void>,
): Promise<void> => {
  for (const look of looks) {
    if (look.action === 'unchanged') continue
    await hand.faults.attempt(look.subject, () => work(hand, look)) // oxlint-disable-line no-await-in-loop -- one connection
  }
}

const eachLeaving = async (db: Reads, looks: readonly Look[]): Promise<readonly Demand[]> => {
  const demands: Demand[] = []
  for (const { live } of looks) {
    if (live?.key) demands.push(...(await demandsOfLeaving(db, live.key))) // oxlint-disable-line no-await-in-loop -- one connection
  }
  return demands
}

const preconditionOf = (live: Live | null): Precondition =>
  live ? { match: [live.revision], absent: false } : { match: null, absent: true }

const named = (look: Look) => ({
  name: look.subject.name,
  precondition: preconditionOf(look.live),
})

const putOf = (look: Look) => ({ ...named(look), managedBy: look.managedBy })

const mustBeAdmin = (actor: Actor): void => {
  if (isAdmin(actor)) return
  throw new RekeyError('auth.denied', {
    detail: 'Only an admin writes connections.',
    hint: 'Leave it out of this plan, and have an admin apply it.',
  })
}

const writeConnection = async (hand: Hand, look: Look): Promise<void> => {
  mustBeAdmin(hand.actor)
  const body = bodyOf<Parameters<typeof connectionWrite>[2]['body']>(look)
  const spec = (look.document?.['spec'] ?? {}) as ConnectionDocument['spec']
  // Where the file is silent on it, what was sent over REST stays, as long as the settings that it was sent for do.
  const credential = spec.credential === undefined ? { from: 'value' as const } : body.credential
  const put = { ...putOf(look), body: { ...body, ...(credential ? { credential } : {}) } }
  const written = await connectionWrite(hand.deps, hand.actor, put)(hand.tx)
  hand.events.push(connectionPut(written))
  hand.connections.push(look.subject.name)
}

const writeConsumer = async (hand: Hand, look: Look): Promise<void> => {
  const put = {
    ...putOf(look),
    body: bodyOf<Parameters<typeof consumerWrite>[2]['body']>(look),
  }
  hand.events.push(consumerPut(await consumerWrite(hand.deps.egress, hand.actor, put)(hand.tx)))
}

const writePlaybookOf = async (hand: Hand, look: Look): Promise<void> => {
  const put = { ...putOf(look), body: bodyOf<Parameters<typeof writePlaybook>[2]['body']>(look) }
  hand.events.push(playbookPut(await writePlaybook(hand.tx, hand.actor, put)))
}

const writePolicyOf = async (hand: Hand, look: Look): Promise<void> => {
  const draft = draftPolicy(hand.deps, { ...putOf(look), body: look.document })
  const write = await writePolicy(hand.tx, hand.deps.providers, hand.actor, draft)
  hand.policies.push({ look, write })
}

const dropPolicy = async (hand: Hand, look: Look): Promise<void> => {
  hand.removed.push(await removePolicy(hand.tx, hand.actor, named(look)))
}

const dropKey = async (hand: Hand, look: Look): Promise<void> => {
  hand.events.push(...(await removeKey(hand.tx, hand.actor, named(look))).audit)
}

const dropPlaybook = async (hand: Hand, look: Look): Promise<void> => {
  hand.events.push(playbookDeleted(await removePlaybook(hand.tx, hand.actor, named(look))))
}

const dropConsumer = async (hand: Hand, look: Look): Promise<void> => {
  hand.events.push(consumerDeleted(await removeConsumer(hand.tx, hand.actor, named(look))))
}

const dropConnection = async (hand: Hand, look: Look): Promise<void> => {
  mustBeAdmin(hand.actor)
  hand.events.push(connectionDeleted(await removeConnection(hand.tx, hand.actor, named(look))))
  hand.connections.push(look.subject.name)
}

const changeKey = async (hand: Hand, look: Look): Promise<void> => {
  const put = { ...putOf(look), body: bodyOf<Parameters<typeof writeKey>[3]['body']>(look) }
  const { before, after } = await writeKey(hand.tx, hand.deps.providers, hand.actor, put)
  hand.keys.push({ look, before, after })
}

/** What belongs to the owner and stands in no document: first what needs the others. */
const deletionsOf = async ({ tx, actor }: Hand, order: Order): Promise<readonly Look[]> => {
  if (!order.prune || order.owner === null) return []
  const deletions: Look[] = []
  for (const kind of kindNames.toReversed()) {
    const spoken = new Set(order.documents.filter((d) => d.kind === kind).map(({ name }) => name))
    const owned = await ownedBy(tx, actor, kind, order.owner) // oxlint-disable-line no-await-in-loop -- one connection
    for (const name of owned.filter((one) => !spoken.has(one))) {
      const live = await liveOf(tx, actor, kind, name) // oxlint-disable-line no-await-in-loop -- one connection
      if (live) deletions.push(lookAtDeletion(kind, name, live))
    }
  }
  return deletions
}

/** Which policy applies to which key now, and the events that tell of it. */
const settleKeys = async (hand: Hand, order: Order) => {
  const { tx, faults, deps } = hand
  const changes = [...hand.policies.flatMap(({ write }) => write.change ?? []), ...hand.removed]
  const moved = new Map(hand.keys.map(({ before }) => [before.id, before]))
  const reassigned = await reassign(tx, { policies: changes, moved }, await tx.now()).catch(
    (error: unknown) => {
      throw isRekeyError(error, 'policy.overlap') ? overlapIn(order.documents, error) : error
    },
  )
  const warnings = new Map<string, readonly string[]>()
  for (const { look, write } of hand.policies) {
    // oxlint-disable-next-line no-await-in-loop -- one connection
    await faults.attempt(look.subject, async () => {
      mustObeyFloors(reassigned.below.filter(isOf(look.subject.name)))
      const assigned = reassigned.policies.get(look.subject.name)
      const sent = { spec: write.resource.spec, at: '/spec' as const }
      const suit = assigned ? mustSuitTypes(deps.providers, sent, assigned) : []
      warnings.set(look.subject.name, [...write.warnings, ...suit])
    })
  }
  const relabelled = hand.keys.filter(({ before, after }) => !sameJson(before.labels, after.labels))
  const policies = relabelled.length === 0 ? [] : await tx.policies.all()
  for (const { look, after } of relabelled) {
    // oxlint-disable-next-line no-await-in-loop -- one connection
    await faults.attempt(look.subject, () => movedMustSuit(tx, deps.providers, after, policies))
  }
  // Policies that this plan does not write, and that keys come under.
  const written = new Set(hand.policies.map(({ look }) => look.subject.name))
  mustObeyFloors(
    reassigned.below.filter(({ policy }) => !written.has(policy)),
    () => '',
  )
  const demands = demandsOf(hand.actor, reassigned.moves)
  hand.events.push(...settledEvents(hand, reassigned, demands))
  return { reassigned, warnings, demands }
}

const isOf =
  (name: string) =>
  ({ policy }: { readonly policy: string }): boolean =>
    policy === name

const settledEvents = (
  hand: Hand,
  reassigned: Reassignment,
  demands: readonly Demand[],
): readonly LedgerEvent[] => {
  const demandsOn = (name: string) =>
    demands.filter(({ policy, to }) => policy === name || to === name)
  return [
    ...hand.policies.map(({ look, write }) => {
      const assigned = reassigned.policies.get(look.subject.name) ?? null
      const selected = assigned?.selected ?? 0
      return policyPut(write, { selected, assigned, demands: demandsOn(look.subject.name) })
    }),
    ...hand.removed.map(({ name, before }) =>
      policyDeleted(before, reassigned.policies.get(name)?.lost.count ?? 0, demandsOn(name)),
    ),
    ...hand.keys.map(({ before, after }) => {
      const key = reassigned.moved.get(before.id)?.key ?? after
      return keyPut(
        before,
        key,
        demands.filter(({ example }) => example === key.name),
      )
    }),
    ...policyChanges(reassigned.changed),
  ]
}
