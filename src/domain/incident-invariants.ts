// What must be so of a key that an emergency has touched, closed since or not: a part of invariants.ts.

import { effectOf } from './contain-key.ts'
import type { IncidentFacts, KeyFacts } from './invariants.ts'
import type { Intent } from './rotation.ts'
import { isOpen } from './rotation-machine.ts'

/** What was proven refused is off still, unless an incident is at it, or another one that had disabled it too has restored it since:
 *  then no open one holds it. Its provider was asked. */
export const refusedAndOn = (facts: KeyFacts): readonly string[] =>
  facts.versions
    .filter(({ version }) => facts.refused.has(version) && !isWorkedOn(facts, version))
    .filter(({ version, state }) => state !== 'active' || isHeld(facts, version))
    .flatMap(({ version, providerVersions }) =>
      (facts.provider?.versions ?? [])
        .filter(({ id, state }) => state === 'enabled' && providerVersions.includes(id))
        .map(
          ({ id }) => `version ${version} was proven refused, and ${id} is enabled at the provider`,
        ),
    )

/** It is not at rest, or says itself that it could not be done; or nothing is ever sent that would switch it off. */
const isWorkedOn = ({ incidents }: KeyFacts, number: number): boolean =>
  incidents.some(({ key, versions }) => {
    const state = versions.find(({ version }) => version === number)?.state
    const planned = key.plan.versions.find(({ version }) => version === number)
    if (state === undefined || planned === undefined) return false
    const isRefused = state === 'refused' || state === 'refusedAfter'
    return !isRefused || key.lateUntil !== null || effectOf(planned) === null
  })

const isHeld = ({ incidents }: KeyFacts, number: number): boolean =>
  incidents.some(({ versions }) => versions.some(({ version }) => version === number))

const atRest: ReadonlySet<string> = new Set(['contained', 'partly', 'closed'])

/** An incident at rest knows what became of all that it sent; of what has failed it says so. */
export const openAtRest = ({ incidents }: KeyFacts): readonly string[] =>
  incidents
    .filter(({ key }) => atRest.has(key.incidentState) && key.restoration !== 'failed')
    .flatMap((incident) =>
      incident.intents
        .filter((intent) => !intent.closed && !hasFailed(incident, intent))
        .map(
          ({ operationId }) =>
            `${operationId} has no outcome, and its incident is ${incident.key.incidentState}`,
        ),
    )

const hasFailed = ({ versions }: IncidentFacts, { preImage }: Intent): boolean =>
  versions.some(({ version, state }) => version === preImage['version'] && state === 'failed')

/** Switched off for a while by an incident: it holds the key until it is restored, or another one has ended the version. */
export const heldByNobody = ({
  versions,
  refused,
  incidents,
  rotations,
}: KeyFacts): readonly string[] =>
  incidents.length > 0 || rotations.some(({ rotation }) => isOpen(rotation.phase))
    ? []
    : versions
        .filter(({ version, state }) => state === 'suspended' && refused.has(version))
        .map(
          ({ version }) =>
            `version ${version} was switched off by an incident, and no open one holds it`,
        )
