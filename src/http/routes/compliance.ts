// Whether keys are rotated as they should be: in groups for whoever looks after them, key by key for whoever must prove it.

import { Type } from 'typebox'
import type { Scope } from '#domain/actor.ts'
import {
  complianceGroups,
  type ComplianceGroup,
  type GroupCompliance,
  type KeyCompliance,
  keysIn,
  percentOf,
  verdictNames,
} from '#domain/compliance.ts'
import { labelKeyPattern, nameSchema } from '#domain/names.ts'
import type { Clock, KeyFilter } from '#domain/ports.ts'
import { csvMediaType, csvOf, wantsCsv } from '../csv.ts'
import { type Route, route } from '../route.ts'
import { listOf, momentSchema, nullable, strict } from '../schemas.ts'
import { labelQuery, labelsOf, shownLabels } from './resource.ts'

export interface ComplianceRoutesDeps {
  readonly clock: Clock
}

const count = Type.Integer({ minimum: 0, examples: [12] })

const groupSchema = strict({
  group: nullable(
    Type.String({ description: 'null: the keys that have none', examples: ['monthly'] }),
  ),
  keys: count,
  percent: Type.Integer({
    minimum: 0,
    maximum: 100,
    description: 'of them compliant, rounded down',
    examples: [91],
  }),
  compliant: Type.Integer({ minimum: 0, examples: [11] }),
  overdue: Type.Integer({ minimum: 0, examples: [1] }),
  stalled: Type.Integer({ minimum: 0, examples: [0] }),
  unruled: Type.Integer({ minimum: 0, examples: [0] }),
})

const keySchema = strict({
  key: nameSchema,
  verdict: Type.Enum([...verdictNames], { examples: ['compliant'] }),
  policy: nullable(Type.String()),
  owner: Type.String(),
  environment: Type.String(),
  connection: Type.String(),
  type: Type.String(),
  labels: shownLabels,
  primaryVersion: nullable(Type.Integer()),
  activatedAt: nullable(momentSchema),
  overdueSince: nullable(momentSchema, { examples: [null] }),
  nextRotationAt: nullable(momentSchema),
  openRotation: nullable(Type.String()),
})

const presentGroup = (found: GroupCompliance) => ({
  group: found.group,
  keys: keysIn(found),
  percent: percentOf(found),
  ...found.counts,
})

const presentKey = ({ activatedAt, overdueSince, nextRotationAt, ...row }: KeyCompliance) => ({
  ...row,
  activatedAt: activatedAt?.toISOString() ?? null,
  overdueSince: overdueSince?.toISOString() ?? null,
  nextRotationAt: nextRotationAt?.toISOString() ?? null,
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const groupPattern = `^(?:${complianceGroups.join('|')}|label:${labelKeyPattern.slice(1, -1)})$`

export const complianceRoutes = ({ clock }: ComplianceRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/compliance',
    operationId: 'getCompliance',
    tag: 'compliance',
    summary: 'How many keys are rotated as they should be, by policy or label',
    description:
      'Each key counts once, by the worst that is true of it: overdue, stalled, unruled (no policy rotates it), compliant. With `Accept: text/csv` as CSV.',
    access: [...readers],
    query: strict({
      by: Type.Optional(
        Type.String({
          pattern: groupPattern,
          maxLength: 400,
          default: 'policy',
          description: `what to group by: ${complianceGroups.join(', ')} or label:NAME`,
        }),
      ),
      policy: Type.Optional(nameSchema),
      label: labelQuery,
    }),
    replies: { 200: strict({ at: momentSchema, items: Type.Array(groupSchema) }) },
    mediaTypes: [csvMediaType],
    examples: [{ query: { by: 'label:team' } }],
    handler: async ({ ledger, actor, query, header }) => {
      const now = clock.now()
      const found = await ledger.read((db) =>
        db.compliance.groups(filterOf(query, actor.scope), groupOf(query.by ?? 'policy'), now),
      )
      const items = found.map(presentGroup)
      if (!wantsCsv(header('accept')))
        return { status: 200, body: { at: now.toISOString(), items } }
      const rows = items.map((item) => [item.group, ...groupColumns.map((name) => item[name])])
      return asCsv(csvOf(['group', ...groupColumns], rows))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/compliance/keys',
    operationId: 'listComplianceKeys',
    tag: 'compliance',
    summary: 'Each key, and whether it is rotated as it should be',
    description:
      'With `Accept: text/csv` as CSV; the header `Link` then leads to the next page, where there is one.',
    access: [...readers],
    list: true,
    query: strict({ policy: Type.Optional(nameSchema), label: labelQuery }),
    replies: { 200: listOf(keySchema) },
    mediaTypes: [csvMediaType],
    handler: async ({ ledger, actor, query, page, pageReply, header }) => {
      const found = await ledger.read((db) =>
        db.compliance.keys(filterOf(query, actor.scope), clock.now(), page),
      )
      const body = pageReply(found, presentKey)
      if (!wantsCsv(header('accept'))) return { status: 200, body }
      const rows = body.items.map((item) => [
        ...keyColumns.map((name) => item[name]),
        Object.entries(item.labels)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ])
      const next = new URLSearchParams([
        ...pairs('policy', query.policy === undefined ? [] : [query.policy]),
        ...pairs('label', query.label ?? []),
        ...pairs('limit', [String(page.limit)]),
        ...pairs('cursor', [body.nextCursor ?? '']),
      ])
      return asCsv(
        csvOf([...keyColumns, 'labels'], rows),
        body.nextCursor === null
          ? {}
          : { Link: `</v1/compliance/keys?${next.toString()}>; rel="next"` },
      )
    },
  }),
]

const groupColumns = ['keys', 'percent', 'compliant', 'overdue', 'stalled', 'unruled'] as const

const keyColumns = [
  'key',
  'verdict',
  'policy',
  'owner',
  'environment',
  'connection',
  'type',
  'primaryVersion',
  'activatedAt',
  'overdueSince',
  'nextRotationAt',
  'openRotation',
] as const satisfies readonly (keyof ReturnType<typeof presentKey>)[]

const pairs = (name: string, values: readonly string[]): [string, string][] =>
  values.map((value) => [name, value])

const groupOf = (by: string): ComplianceGroup => {
  const plain = complianceGroups.find((name) => name === by)
  return plain === undefined ? { by: 'label', label: by.slice('label:'.length) } : { by: plain }
}

const filterOf = (
  query: { readonly policy?: string; readonly label?: readonly string[] },
  scope: Scope | null,
): KeyFilter => {
  const labels = labelsOf(query.label)
  return {
    scope,
    ...(query.policy === undefined ? {} : { policy: query.policy }),
    ...(labels === null ? {} : { labels }),
  }
}

/** The declaration's `mediaTypes` let the body be text. */
const asCsv = (text: string, headers: Readonly<Record<string, string>> = {}) => ({
  status: 200 as const,
  body: text as never,
  mediaType: `${csvMediaType}; charset=utf-8; header=present`,
  headers,
})
