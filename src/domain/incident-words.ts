// What an incident means and what became of it, in words: for reports that are read by people who have never seen Rekey.

import type { IncidentMode, IncidentSelector } from './incident.ts'

export const modeText: Readonly<Record<IncidentMode, string>> = {
  disable: 'switched off; one call brings it back',
  rotateFast: 'a new version first, then the old one is revoked for good',
  revokeFirst: 'revoked for good and proven refused, then a new version: an outage',
  revokeOnly: 'revoked for good and proven refused, and nothing takes its place',
}

const mostNamed = 5
const some = (names: readonly string[]): string =>
  names.length > mostNamed
    ? `${names.slice(0, mostNamed).join(', ')} and ${names.length - mostNamed} more`
    : names.join(', ')

/** All of these hold of what is meant. */
export const selectorText = (selector: IncidentSelector): string => {
  const { keys, matchLabels, connections, providers, versions } = selector
  const labels = Object.entries(matchLabels ?? {}).map(([label, value]) => `${label}=${value}`)
  const one = ['owner', 'environment', 'consumer', 'policy'] as const
  return [
    ...(keys ? [`keys ${some(keys)}`] : []),
    ...(versions
      ? [`versions ${some(versions.map(({ key, version }) => `${key} v${version}`))}`]
      : []),
    ...(labels.length > 0 ? [`labels ${labels.join(', ')}`] : []),
    ...(connections ? [`connections ${some(connections)}`] : []),
    ...(providers ? [`providers ${some(providers)}`] : []),
    ...one.flatMap((name) => (selector[name] === undefined ? [] : [`${name} ${selector[name]}`])),
    ...(selector.createdAfter === undefined ? [] : [`made since ${selector.createdAfter}`]),
    ...(selector.createdBefore === undefined ? [] : [`made before ${selector.createdBefore}`]),
    ...(selector.pairs === 'meant' ? ['of pairs only the half that is meant'] : []),
  ].join('; ')
}

const words: Readonly<Record<string, string>> = {
  'incident.opened': 'opened',
  'incident.changed': 'changed',
  'incident.previewed': 'looked at what would be done',
  'incident.approved': 'agreed to it',
  'incident.executed': 'had it done',
  'incident.contained': 'came to rest, contained',
  'incident.partly': 'came to rest; something is left to do',
  'incident.restoring': 'had it switched on again',
  'incident.noted': 'noted',
  'incident.stepTicked': 'step of the playbook',
  'incident.stepConfirmed': 'said what was done by hand',
  'incident.reviewed': 'reviewed',
  'incident.closed': 'closed',
}
/** What happened, as a timeline says it after a name; another action as it is called. */
export const momentText = (action: string): string => words[action] ?? action

/** Of a key or a version: what its state means to somebody outside. */
export const stateMeanings: Readonly<Record<string, string>> = {
  refused: 'the old credential was tried, and refused',
  refusedAfter: 'caches may accept the old credential until the time that is said',
  replaced: 'the old credential was tried and refused, and a new one is in use',
  unproven: 'it was switched off as far as that is possible, and nobody could try it',
  failed: 'it was not switched off, or is accepted still',
  restored: 'it was switched off, and is on again',
}
