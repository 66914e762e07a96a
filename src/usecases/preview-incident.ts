// What an incident would do, exactly: which keys, which versions of them, what with each. Drawn from the database alone, in a few
// reads for all keys at once, since ten thousand must be seen within two seconds; no provider is asked. The execution draws it
// again in its own transaction, and does what this says or nothing (I11).

import { type Actor, inScope } from '#domain/actor.ts'
import type { Connection, Consumer, Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { type Floor, floorsFor, tighten } from '#domain/floor.ts'
import { mostKeys } from '#domain/incident-schema.ts'
import type { ContainedKey, Incident, IncidentPreview, IncidentSelector } from '#domain/incident.ts'
import type { Json } from '#domain/json.ts'
import type { Key, Version } from '#domain/key.ts'
import { matchesLabels } from '#domain/names.ts'
import { planContainment, versionsMeant } from '#domain/plan-containment.ts'
import { defaultPolicy, type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { Clock, HashJson, KeyChoice, Reads } from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { addressOf } from './as-shown.ts'
import { isConsumerOf } from './consumers-of-key.ts'
import { everything } from './rights.ts'

export interface IncidentPreviewDeps {
  readonly types: ReadonlyMap<string, KeyType>
  readonly hashJson: HashJson
  readonly clock: Pick<Clock, 'now'>
}

export type Meant = Pick<Incident, 'mode' | 'selector' | 'breakGlass'>
export type DrawPreview = (db: Reads, actor: Actor, incident: Meant) => Promise<IncidentPreview>

export const previewLifeMs = 3_600_000

/** Throws `incident.empty` and `incident.tooLarge`. What is outside of the actor's scope is not in it. */
export const makeDrawPreview =
  ({ types, hashJson, clock }: IncidentPreviewDeps): DrawPreview =>
  async (db, actor, incident) => {
    const keys = await keysMeant(db, actor, incident.selector)
    const world = await worldOf(db, keys, hashJson)
    const unknown = keys.filter((key) => !types.has(key.type))
    const planned = keys.flatMap((key): readonly Planned[] => {
      const type = types.get(key.type)
      return type ? planOne(incident, world, key, type) : []
    })
    if (planned.length === 0) throw nothingMeant(keys.length)
    const sorted = planned.toSorted(byDanger).map(({ plan }) => plan)
    const at = clock.now()
    return {
      // As text: every object here is made by this file, with its members in one order, and to sort them anew takes a second.
      hash: hashJson(JSON.stringify({ mode: incident.mode, keys: sorted.map(lasting) })),
      at,
      expiresAt: new Date(at.getTime() + previewLifeMs),
      keys: sorted,
      consumers: [...new Set(planned.flatMap(({ consumers }) => consumers))].toSorted(),
      warnings: [...leftOut(unknown), ...summary(incident, planned)],
      approvalsNeeded:
        incident.breakGlass === null ? Math.max(...sorted.map(({ approvals }) => approvals)) : 0,
    }
  }

interface Planned {
  readonly plan: ContainedKey
  readonly consumers: readonly string[]
  /** Whether somebody may use it of whom nothing is known. */
  readonly unseen: boolean
  readonly elsewhere: 'held' | 'restoring' | null
}

/** Without what is said for people: another sentence is not another plan. */
const lasting = ({ warnings: _said, versions, ...plan }: ContainedKey) => ({
  ...plan,
  versions: versions.map(({ why: _why, ...version }) => version),
})

const keysMeant = async (
  db: Reads,
  actor: Actor,
  selector: IncidentSelector,
): Promise<readonly Key[]> => {
  const keys = await db.keys.chosen(await choiceOf(db, selector, actor), mostKeys + 1)
  if (keys.length > mostKeys) {
    throw new RekeyError('incident.tooLarge', {
      detail: `It means more than ${mostKeys.toLocaleString('en')} keys.`,
      hint: 'Open one incident a connection, or a team.',
      errors: [{ pointer: '/selector', detail: 'means too many keys' }],
    })
  }
  return keys
}

const choiceOf = async (
  db: Reads,
  selector: IncidentSelector,
  actor: Actor,
): Promise<KeyChoice> => {
  const { versions, keys, matchLabels, consumer, createdAfter, createdBefore } = selector
  const named = versions?.map(({ key }) => key)
  const names = named && keys ? named.filter((name) => keys.includes(name)) : (named ?? keys)
  return {
    ...(names === undefined ? {} : { names }),
    ...(matchLabels === undefined ? {} : { labels: matchLabels }),
    ...pick(selector, 'connections', 'providers', 'owner', 'environment', 'policy'),
    ...(consumer === undefined ? {} : { usedBy: await usesOf(db, actor, consumer) }),
    ...(createdAfter === undefined ? {} : { madeFrom: new Date(createdAfter) }),
    ...(createdBefore === undefined ? {} : { madeTo: new Date(createdBefore) }),
    scope: actor.scope,
  }
}

const pick = <T extends object, K extends keyof T>(
  from: T,
  ...names: readonly K[]
): Partial<Pick<T, K>> =>
  Object.fromEntries(
    names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])),
  ) as Partial<Pick<T, K>>

/** By itself, by the keys, and by policies: as `isConsumerOf` has it of one key. */
const usesOf = async (
  db: Reads,
  actor: Actor,
  name: string,
): Promise<NonNullable<KeyChoice['usedBy']>> => {
  const consumer = await seenConsumer(db, actor, name)
  const policies = consumer === null ? [] : await db.policies.all()
  return {
    consumer: name,
    keys: consumer?.keys ?? [],
    policies: policies
      .filter((policy) => {
        const wanted = resolveStored(policy).consumers.matchLabels
        return wanted !== null && consumer !== null && matchesLabels(wanted, consumer.labels)
      })
      .map((policy) => policy.name),
  }
}

/** One that is described out of the actor's scope is known by the keys that name it, and by nothing else. */
export const seenConsumer = async (
  db: Pick<Reads, 'consumers'>,
  actor: Actor,
  name: string,
): Promise<Consumer | null> => {
  const found = await db.consumers.get(name)
  return found && inScope(actor, found) ? found : null
}

interface World {
  readonly versions: ReadonlyMap<string, readonly Version[]>
  readonly refused: ReadonlySet<string>
  readonly rotations: ReadonlyMap<string, Rotation>
  readonly connections: ReadonlyMap<string, Connection & { readonly address: string }>
  /** By the key that is their credential. */
  readonly logins: ReadonlyMap<string, readonly string[]>
  readonly policies: ReadonlyMap<
    string,
    { readonly policy: Policy; readonly resolved: ResolvedPolicy }
  >
  readonly floors: readonly Floor[]
  readonly consumers: readonly Consumer[]
  /** Those that another incident has, and whether it is switching them on again. */
  readonly incidents: ReadonlyMap<string, 'held' | 'restoring'>
}

const worldOf = async (db: Reads, keys: readonly Key[], hashJson: HashJson): Promise<World> => {
  const ids = keys.map(({ id }) => id)
  const versions = await db.versions.ofKeys(ids)
  const refused = await db.incidents.refused(ids)
  const rotations = await db.rotations.openOfKeys(ids)
  const connections = await everything((after) => db.connections.list({ limit: 200, after }))
  const logins = Map.groupBy(
    connections.flatMap(({ name, credential }) =>
      credential.from === 'key' ? [{ name, key: credential.key }] : [],
    ),
    ({ key }) => key,
  )
  const policies = await db.policies.all()
  const used = new Set(keys.map(({ connection }) => connection))
  return {
    versions: Map.groupBy(versions, ({ keyId }) => keyId),
    refused: new Set(refused.map(({ keyId, version }) => `${keyId}/${version}`)),
    rotations: new Map(rotations.map((rotation) => [rotation.keyId, rotation])),
    connections: new Map(
      connections
        .filter(({ name }) => used.has(name))
        .map((one) => [one.name, { ...one, address: addressOf(hashJson, one) }]),
    ),
    logins: new Map([...logins].map(([key, users]) => [key, users.map(({ name }) => name)])),
    policies: new Map(
      policies.map((policy) => [policy.name, { policy, resolved: resolveStored(policy) }]),
    ),
    floors: (await db.floors.get()).items,
    consumers: await db.consumers.all(),
    incidents: elsewhereOf(await db.incidents.openOfKeys(ids)),
  }
}

const elsewhereOf = (
  open: Awaited<ReturnType<Reads['incidents']['openOfKeys']>>,
): World['incidents'] => {
  const found = new Map<string, 'held' | 'restoring'>()
  for (const { keyId, restoration } of open)
    if (restoration === 'asked') found.set(keyId, 'restoring')
    else if (!found.has(keyId)) found.set(keyId, 'held')
  return found
}

const planOne = (incident: Meant, world: World, key: Key, type: KeyType): readonly Planned[] => {
  const connection = world.connections.get(key.connection)
  const versions = world.versions.get(key.id) ?? []
  const refused = ({ version }: Version): boolean => world.refused.has(`${key.id}/${version}`)
  const chosen = versionsMeant(incident.selector, key, versions, refused, type.traits.slot)
  if (!connection || chosen.size === 0) return []
  const ruling = key.policy === null ? undefined : world.policies.get(key.policy)
  const policy = tighten(ruling?.resolved ?? defaultPolicy, floorsFor(world.floors, key.labels))
  const plan = planContainment({
    mode: incident.mode,
    breakGlass: incident.breakGlass !== null,
    key,
    type,
    connection,
    versions,
    chosen,
    openRotation: world.rotations.get(key.id) ?? null,
    policy,
    policyRevision: ruling?.policy.revision ?? null,
    losesAccess: world.logins.get(key.name) ?? [],
  })
  const known = world.consumers.filter((consumer) => isConsumerOf(consumer, key, policy))
  return [
    {
      plan,
      consumers: [...new Set([...key.consumers, ...known.map(({ name }) => name)])],
      unseen: type.traits.usage === null,
      elsewhere: world.incidents.get(key.id) ?? null,
    },
  ]
}

/** The most dangerous first: what others log in with, then what most use. */
const byDanger = (a: Planned, b: Planned): number =>
  b.plan.losesAccess.length - a.plan.losesAccess.length ||
  b.consumers.length - a.consumers.length ||
  (a.plan.key < b.plan.key ? -1 : 1)

const nothingMeant = (keys: number): RekeyError =>
  new RekeyError('incident.empty', {
    detail:
      keys === 0
        ? 'No key in your scope fits all that the selector says.'
        : 'The keys that fit have no version that their providers may accept still, and that fits.',
    hint: 'Each field narrows the set. `rekey get keys` shows what there is.',
    errors: [{ pointer: '/selector', detail: 'means no version of a key' }],
  })

const leftOut = (unknown: readonly Key[]): readonly string[] =>
  unknown.length === 0
    ? []
    : [
        `${listed(unknown.map(({ name }) => name))} ${unknown.length === 1 ? 'is' : 'are'} left out: no provider here has the type. Contain by hand.`,
      ]

/** What the sentences of the keys come to. */
const summary = ({ mode }: Meant, planned: readonly Planned[]): readonly string[] => {
  const about = (holds: (of: Planned) => boolean, say: (names: string) => string) => {
    const names = planned.filter(holds).map(({ plan }) => plan.key)
    return names.length === 0 ? [] : [say(listed(names))]
  }
  const has = (test: (version: ContainedKey['versions'][number]) => boolean) => (of: Planned) =>
    of.plan.versions.some(test)
  return [
    ...about(
      ({ plan }) => plan.losesAccess.length > 0,
      (names) => `Connections log in with ${names}, and lose access.`,
    ),
    ...about(
      ({ plan }) => plan.warnings.some((text) => text.startsWith('An outage:')),
      (names) => `An outage of ${names}.`,
    ),
    ...about(
      has(({ containment }) => containment === 'none'),
      (names) => `Not all of ${names} can be contained: see why at its versions.`,
    ),
    ...about(
      has(({ reversible, containment }) => !reversible && containment !== 'none'),
      (names) => `What is done to ${names} does not come back.`,
    ),
    ...about(
      has(({ expect, containment }) => expect === 'unproven' && containment !== 'none'),
      (names) => `That ${names} is refused cannot be proven here.`,
    ),
    ...about(
      ({ unseen }) => unseen,
      (names) => `Nobody knows who else uses ${names}.`,
    ),
    ...about(
      ({ elsewhere }) => elsewhere === 'held',
      (names) => `Another incident that is not closed has ${names} already.`,
    ),
    ...about(
      ({ elsewhere }) => elsewhere === 'restoring',
      (names) =>
        `Another incident is switching ${names} on again: ${mode === 'disable' ? 'this one is not executed before that is over, and is another one then.' : 'what this one means is ended all the same.'}`,
    ),
  ]
}

const toldNames = 5
const listed = (names: readonly string[]): string =>
  names.length > toldNames
    ? `${names.slice(0, toldNames).join(', ')} and ${names.length - toldNames} more`
    : names.join(', ')

export interface Differences {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

/** Names of keys, some of each: what a preview says that the one before did not. */
export const differences = (
  hashJson: HashJson,
  before: IncidentPreview,
  now: IncidentPreview,
): Differences => {
  if (before.hash === now.hash) return { added: [], removed: [], changed: [] }
  const hashes = ({ keys }: IncidentPreview) =>
    new Map(keys.map((key) => [key.key, hashJson(lasting(key) as unknown as Json)]))
  const [old, fresh] = [hashes(before), hashes(now)]
  const some = (names: readonly string[]) => names.slice(0, 100)
  return {
    added: some([...fresh.keys()].filter((name) => !old.has(name))),
    removed: some([...old.keys()].filter((name) => !fresh.has(name))),
    changed: some(
      [...fresh].filter(([name, hash]) => (old.get(name) ?? hash) !== hash).map(([name]) => name),
    ),
  }
}
