// What `get` can list: where each kind is found, which filters the server takes, and its columns. One entry a kind.

import type { JsonObject } from '#domain/json.ts'
import { specOf } from '#domain/resource-document.ts'
import type { FilterName } from './get-filters.ts'
import { age, moment, orDash, stamp } from './human.ts'
import { at, labelsText, listAt, numberAt, objectsAt, textAt, textsAt } from './read-json.ts'
import type { Plural } from './reference.ts'
import type { Column } from './table.ts'

export interface KindView {
  readonly path: string
  /** How one of them is read: by a path of its own, from the list, or not at all. */
  readonly one: 'path' | 'list' | 'none'
  /** `key/payments-db` */
  readonly reference: (item: JsonObject) => string
  /** Options that narrow it. */
  readonly filters: readonly FilterName[]
  /** Of a list without end: how many, the newest, where no limit is said. */
  readonly most?: number
  /** It is one reply, without pages. */
  readonly whole?: true
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

const named =
  (kind: string, by: 'name' | 'id' = 'name') =>
  (item: JsonObject): string =>
    `${kind}/${textAt(item, by)}`

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
  const drift = textAt(item, 'status', 'drift', 'state')
  if (drift !== '') return drift === 'unreachable' ? drift : `drifted (${drift})`
  return textAt(item, 'status', 'overdue') === 'true' ? 'overdue' : 'ready'
}

const waiting: Text = (item) => {
  const gate = textAt(item, 'waitingFor', 'gate')
  const missing = textsAt(item, 'waitingFor', 'missing').join(',')
  return gate === '' ? '–' : missing === '' ? gate : `${gate} (${missing})`
}

/** `+2 ~1 -1`; a plan that is read by itself has its items instead. */
const planChanges: Text = (item) => {
  const items = objectsAt(item, 'items')
  const count = (action: string): number =>
    numberAt(item, 'changes', action) ??
    items.filter((one) => textAt(one, 'action') === action).length
  return `+${count('create')} ~${count('update')} -${count('delete')}`
}

const planNeeds = (item: JsonObject): string => {
  const required = objectsAt(item, 'approvals', 'needed').map(
    (need) => numberAt(need, 'required') ?? 0,
  )
  const most = Math.max(0, ...required)
  const given = listAt(item, 'approvals', 'given').length
  return most === 0 ? '' : `${given} of ${most} approvals`
}

/** Of a token to break glass with: who said yes, or who is waited for. */
const glassApproval: Text = (item) =>
  at(item, 'breakGlass') === null || at(item, 'breakGlass') === undefined
    ? orDash('')
    : textAt(item, 'breakGlass', 'approvedBy') || 'waits for an admin who did not make it'

const stamped = (text: string): string => {
  const instant = new Date(text)
  return Number.isNaN(instant.getTime()) ? orDash(text) : stamp(instant)
}

export const kinds: Readonly<Record<Plural, KindView>> = {
  policies: {
    path: '/v1/policies',
    one: 'path',
    reference: named('policy'),
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
    one: 'path',
    reference: named('key'),
    filters: ['connection', 'type', 'policy', 'overdue', 'drifted'],
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
    one: 'path',
    reference: named('rotation', 'id'),
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
  incidents: {
    path: '/v1/incidents',
    one: 'path',
    reference: named('incident', 'id'),
    filters: ['state'],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('SEVERITY', field('severity')),
      column('STATE', field('state')),
      column('MODE', field('mode')),
      column('KEYS', (item) => orDash(textAt(item, 'preview', 'keys'))),
      column('TITLE', field('title')),
      column('AGE', (item, now) => age(textAt(item, 'createdAt'), now)),
      wide('COMMANDER', field('commander')),
      wide('OPENED-BY', field('openedBy', 'name')),
      wide('EXECUTED', when('execution', 'at')),
      wide('REASON', field('reason')),
    ],
  },
  connections: {
    path: '/v1/connections',
    one: 'path',
    reference: named('connection'),
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
    one: 'path',
    reference: named('consumer'),
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
  playbooks: {
    path: '/v1/playbooks',
    one: 'path',
    reference: named('playbook'),
    filters: [],
    labels: 'here',
    columns: [
      column('NAME', field('name')),
      column('OWNER', field('owner')),
      column('STEPS', (item) => String(listAt(item, 'steps').length)),
      column(
        'REVIEW',
        (item, now) =>
          `${textAt(item, 'status', 'overdue') === 'true' ? 'overdue since' : 'due'} ${moment(textAt(item, 'status', 'reviewDueAt'), now)}`,
      ),
      column('TITLE', field('title')),
      wide('REVIEWED-BY', field('status', 'review', 'by')),
      wide('REVISION', field('status', 'revision')),
      wide('LABELS', labels),
    ],
  },
  sinks: {
    path: '/v1/sinks',
    one: 'path',
    reference: named('sink'),
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
    one: 'list',
    reference: named('api-key', 'id'),
    filters: [],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('NAME', field('name')),
      column('TYPE', field('type')),
      column('ROLES', listed('roles')),
      column('EXPIRES', when('expiresAt')),
      column('LAST-USED', when('lastUsedAt')),
      column('APPROVAL', glassApproval),
      wide('MADE-BY', field('createdBy')),
      wide('CONSUMER', field('consumer')),
      wide('SCOPE', (item) => labelsText(at(item, 'scope', 'matchLabels'))),
      wide('CREATED', when('createdAt')),
    ],
  },
  plans: {
    path: '/v1/plans',
    one: 'path',
    reference: named('plan', 'id'),
    filters: ['state'],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('OWNER', field('owner')),
      column('STATE', field('state')),
      column('CHANGES', planChanges),
      column('NEEDS', (item) => orDash(planNeeds(item))),
      column('AUTHOR', field('author', 'name')),
      column('AGE', (item, now) => age(textAt(item, 'createdAt'), now)),
      wide('APPROVED-BY', (item) =>
        orDash(
          objectsAt(item, 'approvals', 'given')
            .map((one) => textAt(one, 'principal'))
            .join(','),
        ),
      ),
      wide('APPLIED', when('appliedAt')),
      wide('APPLIED-BY', field('appliedBy')),
      wide('HASH', field('hash')),
    ],
  },
  providers: {
    path: '/v1/providers',
    one: 'list',
    reference: named('provider', 'id'),
    filters: [],
    labels: 'none',
    columns: [
      column('ID', field('id')),
      column('TITLE', field('title')),
      column('TYPES', (item) =>
        objectsAt(item, 'types')
          .map((type) => textAt(type, 'type'))
          .join(','),
      ),
    ],
  },
  'audit-events': {
    path: '/v1/audit/events',
    one: 'none',
    reference: named('audit-event', 'id'),
    filters: ['key', 'rotation', 'actor', 'action', 'outcome', 'since', 'until'],
    most: 100,
    labels: 'none',
    columns: [
      column('AT', (item) => stamped(textAt(item, 'at'))),
      column('ACTION', field('action')),
      column(
        'TARGET',
        (item) =>
          `${textAt(item, 'target', 'kind')}/${textAt(item, 'target', 'name') || textAt(item, 'target', 'id')}`,
      ),
      column('OUTCOME', field('outcome')),
      column('ACTOR', field('actor', 'name')),
      column('REASON', field('reason')),
      wide('REQUEST', field('requestId')),
      wide('CORRELATION', field('correlationId')),
      wide('LEAF-HASH', field('receipt', 'leafHash')),
      wide('ID', field('id')),
    ],
  },
  compliance: {
    path: '/v1/compliance',
    one: 'none',
    reference: (item) => textAt(item, 'group'),
    filters: ['by', 'policy'],
    whole: true,
    labels: 'server',
    columns: [
      column('GROUP', field('group')),
      column('KEYS', field('keys')),
      column('PERCENT', field('percent')),
      column('COMPLIANT', field('compliant')),
      column('OVERDUE', field('overdue')),
      column('STALLED', field('stalled')),
      column('UNRULED', field('unruled')),
    ],
  },
  'compliance-keys': {
    path: '/v1/compliance/keys',
    one: 'none',
    reference: (item) => `key/${textAt(item, 'key')}`,
    filters: ['policy'],
    labels: 'server',
    columns: [
      column('KEY', field('key')),
      column('VERDICT', field('verdict')),
      column('POLICY', field('policy')),
      column('OWNER', field('owner')),
      column('ACTIVATED', when('activatedAt')),
      column('OVERDUE-SINCE', when('overdueSince')),
      column('NEXT', when('nextRotationAt')),
      wide('ENVIRONMENT', field('environment')),
      wide('CONNECTION', field('connection')),
      wide('TYPE', field('type')),
      wide('ROTATION', field('openRotation')),
      wide('LABELS', labels),
    ],
  },
}
