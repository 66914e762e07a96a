// `kind/name` on the command line. A mistake is answered before anything is sent, with what was probably meant.

import { suggest } from '#domain/suggest.ts'
import { usage } from './failure.ts'

/** Kinds by their plural, as paths and `get` have them. */
export const kindNames = {
  policies: 'policy',
  keys: 'key',
  rotations: 'rotation',
  connections: 'connection',
  consumers: 'consumer',
  playbooks: 'playbook',
  sinks: 'sink',
  'api-keys': 'api-key',
  incidents: 'incident',
  plans: 'plan',
  providers: 'provider',
  'audit-events': 'audit-event',
  compliance: 'group',
  'compliance-keys': 'key-compliance',
} as const

/** Those whose things have an id and no name. */
const byId: ReadonlySet<Plural> = new Set([
  'rotations',
  'incidents',
  'api-keys',
  'plans',
  'audit-events',
])

export type Plural = keyof typeof kindNames
export type Kind = (typeof kindNames)[Plural]

const plurals = Object.keys(kindNames) as readonly Plural[]

export interface Reference {
  readonly kind: Plural
  /** Null where a whole kind is meant. */
  readonly name: string | null
}

/** The same pattern as the server's names; loading its schemas takes longer than a whole command. A test keeps both equal. */
export const namePattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
const name = new RegExp(namePattern)
const id = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export const parseReference = (text: string): Reference => {
  const slash = text.indexOf('/')
  const kind = kindOf(slash < 0 ? text : text.slice(0, slash))
  if (slash < 0) return { kind, name: null }
  const called = text.slice(slash + 1)
  const hasId = byId.has(kind)
  if (!(hasId ? id : name).test(called)) {
    throw usage(`"${called}" is not ${hasId ? 'an id' : 'a name'} of a ${kindNames[kind]}`, {
      hint: hasId
        ? `see \`rekey get ${kind} -o name\``
        : 'a name is at most 63 lower-case letters, digits and inner hyphens',
    })
  }
  return { kind, name: called }
}

/** How to find what there is, when a thing is not there. */
export const listing = (text: string): readonly string[] => {
  const singular = text.split('/')[0]
  const kind = plurals.find((plural) => kindNames[plural] === singular)
  return kind === undefined || !text.includes('/') ? [] : [`rekey get ${kind}`]
}

/** For verbs that act on one thing of one kind. */
export const nameOf = (text: string, kind: Kind): string => {
  const example = `${kind}/${['rotation', 'incident', 'plan', 'api-key'].includes(kind) ? 'ID' : 'NAME'}`
  if (!text.includes('/')) {
    throw usage(`"${text}" names no kind`, { hint: `write ${kind}/${text}` })
  }
  const found = parseReference(text)
  if (kindNames[found.kind] !== kind || found.name === null) {
    throw usage(`this takes ${example}, not ${text}`)
  }
  return found.name
}

const kindOf = (text: string): Plural => {
  const found = plurals.find((plural) => plural === text || kindNames[plural] === text)
  if (found !== undefined) return found
  const meant = suggest(text, [...plurals, ...Object.values(kindNames)])
  throw usage(`there is no kind "${text}"`, {
    hint: meant === null ? `kinds: ${plurals.join(', ')}` : `did you mean ${meant}?`,
  })
}
