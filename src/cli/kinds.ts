// What `get` can list: where each kind is found, which filters the server takes, and its columns. One entry a kind.

import type { JsonObject } from '#domain/json.ts'
import { specOf } from '#domain/resource-document.ts'
import { age, moment, orDash } from './human.ts'
import { at, labelsText, listAt, textAt, textsAt } from './read-json.ts'
import { kindNames, type Plural } from './reference.ts'
import type { Column } from './table.ts'

export interface KindView {
  readonly path: string
  /** Whether one of them can be read by itself. */
  readonly single: boolean
  /** Query parameters beside `limit` and `cursor`. */
  readonly filters: readonly string[]
  /** Where `-l` is answered: by the server, by reading all, or not at all. */
  readonly labels: 'server' | 'here' | 'none'
  readonly columns: readonly Column<JsonObject>[]
}

type Text = (item: JsonObject, now: Date) => string

const column = (title: string, text: Text): Column<JsonObject> => ({ title, text })
const wide = (title: string, text: Text): Column<JsonObject> => ({ title, text, wide: true })
const field =
  (...path: readonly string[]): Text =>
  (item) =>
    orDash(textAt(item, ...path))
const when =
  (...path: readonly string[]): Text =>
  (item, now) =>
    moment(textAt(item, ...path), now)
const listed =
  (...path: readonly string[]): Text =>
  (item) =>
    orDash(textsAt(item, ...path).join(','))
const labels: Text = (item) => orDash(labelsText(at(item, 'labels')))

const identifier = (kind: Plural, item: JsonObject): string =>
  kind === 'rotations' || kind === 'api-keys' ? textAt(item, 'id') : textAt(item, 'name')

/** `key/payments-db` */
export const referenceOf = (kind: Plural, item: JsonObject): string =>
  `${kindNames[kind]}/${identifier(kind, item)}`

export const version = (number: string): string => (number === '' ? '–' : `v${number}`)

const scheduleText: Text = (item) => {
  const spec = specOf(item)
  const cron = textAt(spec, 'schedule', 'cron')
  const maxAge = textAt(spec, 'maxAge')
  const parts = [
    ...(cron === '' ? [] : [`${cron} ${textAt(spec, 'schedule', 'timezone')}`]),
    ...(maxAge === '' ? [] : [`maxAge ${maxAge}`]),
    ...(textAt(spec, 'manual') === 'true' ? ['manual'] : []),
  ]
  return orDash(parts.join('; '))
}

const policyState: Text = (item, now) => {
  const spec = specOf(item)
  if (textAt(spec, 'enabled') === 'false') return 'disabled'
  const until = textAt(spec, 'pause', 'until')
  return until !== '' && new Date(until) > now ? 'paused' : 'enabled'
}

const keyState: Text = (item) => {
  if (textAt(item, 'status', 'incident') !== '') return 'incident'
  if (textAt(item, 'status', 'openRotation') !== '') return 'rotating'
  return textAt(item, 'status', 'overdue') === 'true' ? 'overdue' : 'ready'
}

const waiting: Text = (item) => {
  const gate = textAt(item, 'waitingFor', 'gate')
  const missing = textsAt(item, 'waitingFor', 'missing').join(',')
  return gate === '' ? '–' : missing === '' ? gate : `${gate} (${missing})`
}

export const kinds: Readonly<Record<Plural, KindView>> = {
  policies: {
    path: '/v1/policies',
    single: true,
    filters: [],
    labels: 'here',
    columns: [
      column('NAME', field('name')),
      column('STATE', policyState),
      column('SCHEDULE', scheduleText),
      column('RETIRE', (item) => textAt(specOf(item), 'retire') || 'disable'),
      wide('PRIORITY', (item) => textAt(specOf(item), 'priority') || '0'),
      wide('OWNER', field('status', 'owner')),
      wide('REVISION', field('status', 'revision')),
      wide('LABELS', labels),
    ],
  },
  keys: {
    path: '/v1/keys',
    single: true,
    filters: ['connection', 'type', 'policy', 'overdue'],
    labels: 'server',
    columns: [
      column('NAME', field('name')),
      column('TYPE', field('type')),
      column('CONNECTION', field('connection')),
      column('STATE', keyState),
      column('PRIMARY', (item) => version(textAt(item, 'status', 'primaryVersion'))),
      column('POLICY', field('status', 'policy')),
      column('NEXT', when('status', 'nextRotationAt')),
      wide('OWNER', field('owner')),
      wide('ENVIRONMENT', field('environment')),
      wide('PURPOSE', field('purpose')),
      wide('LABELS', labels),
      wide('WHY', field('status', 'why')),
    ],
  },
  rotations: {
    path: '/v1/rotations',
    single: true,
    filters: ['key', 'policy', 'phase', 'trigger'],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('KEY', field('key')),
      column('PHASE', field('phase')),
      column('TRIGGER', field('trigger')),
      column('FROM', (item) => version(textAt(item, 'fromVersion'))),
      column('TO', (item) => version(textAt(item, 'toVersion'))),
      column('WAITING', waiting),
      column('AGE', (item, now) => age(textAt(item, 'createdAt'), now)),
      wide('POLICY', field('policy')),
      wide('EPOCH', field('epoch')),
      wide('CREATED', when('createdAt')),
      wide('ENDED', when('endedAt')),
      wide('REASON', field('reason')),
    ],
  },
  connections: {
    path: '/v1/connections',
    single: true,
    filters: [],
    labels: 'here',
    columns: [
      column('NAME', field('name')),
      column('PROVIDER', field('provider')),
      column('CREDENTIAL', field('credential', 'from')),
      column('GRANTS', (item) => String(listAt(item, 'grants').length)),
      wide('LABELS', labels),
      wide('SETTINGS', (item) => labelsText(at(item, 'settings'))),
    ],
  },
  consumers: {
    path: '/v1/consumers',
    single: true,
    filters: [],
    labels: 'here',
    columns: [
      column('NAME', field('name')),
      column('OWNER', field('owner')),
      column('KEYS', listed('keys')),
      column('RELOAD', field('reload', 'webhook')),
      wide('LABELS', labels),
    ],
  },
  sinks: {
    path: '/v1/sinks',
    single: true,
    filters: [],
    labels: 'none',
    columns: [
      column('NAME', field('name')),
      column('TYPE', field('type')),
      column('URL', field('url')),
      column('EVENTS', (item) => textsAt(item, 'events').join(',') || 'all'),
      column('DISABLED', field('status', 'disabledReason')),
    ],
  },
  'api-keys': {
    path: '/v1/api-keys',
    single: false,
    filters: [],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('NAME', field('name')),
      column('TYPE', field('type')),
      column('ROLES', listed('roles')),
      column('EXPIRES', when('expiresAt')),
      column('LAST-USED', when('lastUsedAt')),
      wide('CONSUMER', field('consumer')),
      wide('SCOPE', (item) => labelsText(at(item, 'scope', 'matchLabels'))),
      wide('CREATED', when('createdAt')),
    ],
  },
}
