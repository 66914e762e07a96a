// What an incident would do, exactly: which keys, which versions of them, what with each. Drawn from the database alone, in a few
// reads for all keys at once, since ten thousand must be seen within two seconds; no provider is asked. The execution draws it
// again in its own transaction, and does what this says or nothing (I11).

import { type Actor, inScope } from '#domain/actor.ts'
import type { Consumer } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import { mostKeys } from '#domain/incident-schema.ts'
import type { ContainedKey, Incident, IncidentPreview, IncidentSelector } from '#domain/incident.ts'
import type { Json } from '#domain/json.ts'
import type { Key, Version } from '#domain/key.ts'
import { matchesLabels } from '#domain/names.ts'
import { planContainment, versionsMeant } from '#domain/plan-containment.ts'
import { resolveStored } from '#domain/policy.ts'
import type { Clock, HashJson, KeyChoice, Reads } from '#domain/ports.ts'
import type { KeyType } from '#domain/provider.ts'
import { type World, worldOf } from './preview-world.ts'

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
    const planned: Planned[] = []
    for (const [n, key] of keys.entries()) {
      const type = types.get(key.type)
      if (type) planned.push(...planOne(incident, world, key, type))
      if (n % pageSize === pageSize - 1) await breathe() // oxlint-disable-line no-await-in-loop -- others come in between
    }
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

/** Ten thousand keys in one go would keep everybody else of this process waiting. */
const pageSize = 500
const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

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

const planOne = (incident: Meant, world: World, key: Key, type: KeyType): readonly Planned[] => {
  const connection = world.connections.get(key.connection)
  const versions = world.versions.get(key.id) ?? []
  const refused = ({ version }: Version): boolean => world.refused.has(`${key.id}/${version}`)
  const chosen = versionsMeant(incident.selector, key, versions, refused, type.traits.slot)
  if (!connection || chosen.size === 0) return []
  const { policy, revision, consumers } = world.rulingOf(key)
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
    policyRevision: revision,
    losesAccess: world.logins.get(key.name) ?? [],
  })
  return [
    {
      plan,
      consumers: [
        ...new Set([...key.consumers, ...(world.naming.get(key.name) ?? []), ...consumers]),
      ],
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
