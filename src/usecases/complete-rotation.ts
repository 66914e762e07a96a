// The last look before a rotation is completed (I5, I7): the provider's versions are ours. A version of ours that landed after
// it had been given up is removed; one that somebody else made while the rotation ran is never touched: it stalls, named.
// What was there before the rotation began, and is not Rekey's, is nobody's business here.

import type { LedgerEvent, Tx } from '#domain/ports.ts'
import type { Described } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { call, mintOrder } from './rotation-effects.ts'
import { move, type Run, stall, type Step } from './rotation-engine.ts'
import { absentDetail } from './record-effect.ts'
import { carrier, intentsOf, type Scene } from './rotation-scene.ts'
import { materialIn, runEffect } from './run-effect.ts'
import { lastSwitch, removeNew } from './switch-effects.ts'
import { adoptCarriers, carriersIn, present } from './version-changes.ts'

export const complete = async (
  run: Run,
  rotation: Rotation,
  scene: Scene,
  also: (tx: Tx, next: Rotation) => Promise<readonly LedgerEvent[]> = async () => [],
): Promise<Step> => {
  const { to, session, object } = scene
  if (!to) return move(run, rotation, 'completed', { also })
  const orphan = await lateMint(run, rotation, scene)
  if (orphan !== null) return runEffect(run, rotation, removeNew(run, rotation, scene, orphan))

  const described = await session.describe(object, call(run))
  const current = described.versions.find((version) => version.current)
  const moved = current !== undefined && !to.providerVersions.includes(current.id)
  const internal = rotation.plan.traits.slot === 'internal'
  // Newer versions that hold the new value became its own by somebody's write beside it; of another value this throws.
  const preImage =
    moved && !internal ? (await session.prepare(object, carrier(to), call(run))).preImage : {}
  const ours = await run.ledger.read((db) => db.versions.of(rotation.keyId))
  const known = new Set([
    ...ours.flatMap(({ providerVersions }) => providerVersions),
    ...carriersIn(preImage),
  ])
  const foreign = moved && !known.has(current.id) ? current.id : null
  const made = foreign ?? (internal ? null : appearedMeanwhile(rotation, described, known))
  if (made !== null) return stall(run, rotation, notOurs(made))
  return move(run, rotation, 'completed', {
    also: async (tx, next) => {
      const events: LedgerEvent[] = [...(await also(tx, next))]
      if (carriersIn(preImage).length > 0) {
        const version = await present(tx, to.keyId, to.version)
        await adoptCarriers(tx, next, version, preImage, events)
      }
      return events
    },
  })
}

const notOurs = (version: string): string =>
  `version ${version} was made at the provider while the rotation ran, and not by Rekey: ` +
  'remove it there and resume, or abandon the rotation and adopt it'

const appearedMeanwhile = (
  { preImage }: Rotation,
  { versions }: Described,
  known: ReadonlySet<string>,
): string | null => {
  const before = preImage['enabledBefore']
  if (!Array.isArray(before)) return null
  const found = versions.find(
    ({ id, state }) => state === 'enabled' && !known.has(id) && !before.includes(id),
  )
  return found?.id ?? null
}

/** The version of a request to mint that was found absent, closed, and has had its effect since; null where there is none. */
export const lateMint = async (
  run: Run,
  rotation: Rotation,
  scene: Scene,
): Promise<string | null> => {
  const intents = await intentsOf(run, rotation)
  const absent = intents.filter(
    ({ effect, detail }) => effect === 'mint' && detail === absentDetail,
  )
  if (absent.length === 0) return null
  const versions = await run.ledger.read((db) => db.versions.of(rotation.keyId))
  const known = new Set(versions.flatMap(({ providerVersions }) => providerVersions))
  for (const intent of absent) {
    // oxlint-disable-next-line no-await-in-loop -- hardly ever more than one
    const order = mintOrder(scene, rotation, intent, await materialIn(run, intent))
    // oxlint-disable-next-line no-await-in-loop -- see above
    const answer = await scene.session.probeMint(order, call(run))
    if (answer.answer !== 'ours') continue
    const { providerVersion } = answer.value
    if (!known.has(providerVersion) && lastSwitch(intents, providerVersion) !== 'removeNew')
      return providerVersion
  }
  return null
}
