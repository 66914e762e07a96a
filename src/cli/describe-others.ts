// Policies, connections, consumers and sinks in full.

import type { JsonObject } from '#domain/json.ts'
import { specOf } from '#domain/resource-document.ts'
import type { Client, Query } from './client.ts'
import { segment } from './segment.ts'
import type { Described } from './commands/describe.ts'
import { moment, orDash, plain, plainLines } from './human.ts'
import { kinds } from './kinds.ts'
import { at, isObject, labelsText, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'
import { table } from './table.ts'

/** Enough to see what is meant; the command for all of them stands below. */
const most = 20

export const describePolicy = async (run: Run, name: string): Promise<Described> => {
  const client = await run.client()
  const policy = await one(client, `/v1/policies/${segment(name)}`)
  const keys = await some(client, '/v1/keys', { policy: name })
  const rotations = await some(client, '/v1/rotations', { policy: name })
  const now = run.io.clock.now()
  const open = rotations.filter((rotation) => textAt(rotation, 'endedAt') === '')
  const { stringify } = await import('yaml')
  const spec = specOf(policy)
  const text = [
    sheet(`policy/${name}`, [
      ['description', orDash(textAt(spec, 'description'))],
      ['enabled', textAt(spec, 'enabled') || 'true'],
      ['labels', orDash(labelsText(at(policy, 'labels')))],
      ['revision', orDash(textAt(policy, 'status', 'revision'))],
      ['updated', moment(textAt(policy, 'status', 'updatedAt'), now)],
      ['keys', count(keys)],
    ]),
    section('why', policyWhy(policy, keys, now)),
    section('spec', plainLines(stringify(spec, { lineWidth: 0 }))),
    section('next fire times', await firesText(spec, now)),
    section('keys', tableOf('keys', keys, now)),
    section('open rotations', tableOf('rotations', open, now)),
    section(
      'next',
      [
        `rekey get keys --policy ${name}`,
        `rekey get policy/${name} -o yaml`,
        ...open.map((r) => `rekey describe rotation/${textAt(r, 'id')}`),
      ]
        .map(plain)
        .join('\n'),
    ),
  ].join('')
  return { json: { ...policy, keys, openRotations: open }, text }
}

const policyWhy = (policy: JsonObject, keys: readonly JsonObject[], now: Date): string => {
  const spec = specOf(policy)
  const until = textAt(spec, 'pause', 'until')
  if (textAt(spec, 'enabled') === 'false') return 'it is disabled: nothing rotates by it'
  if (until !== '' && new Date(until) > now)
    return plain(`it is paused until ${until}: ${textAt(spec, 'pause', 'reason')}`)
  if (keys.length === 0) return 'it selects no key'
  return ''
}

/** The next five, in the policy's own zone; computed as the server does. Blackouts and pauses are not left out. */
const firesText = async (spec: JsonObject, now: Date): Promise<string> => {
  const [cron, timezone] = [textAt(spec, 'schedule', 'cron'), textAt(spec, 'schedule', 'timezone')]
  if (cron === '') return ''
  const { nextFires } = await import('#domain/fires.ts')
  const schedule = { cron, timezone, jitterMs: 0, windowMs: null, missed: 'skip' } as const
  try {
    return nextFires({ schedule }, null, now, 5)
      .map((fire) => fire.text)
      .join('\n')
  } catch {
    // A zone or a form of cron that only a newer server knows.
    return ''
  }
}

export const describeConnection = async (
  run: Run,
  name: string,
  { check }: { readonly check: boolean },
): Promise<Described> => {
  const client = await run.client()
  const connection = await one(client, `/v1/connections/${segment(name)}`)
  const checks = check ? await checked(client, name) : null
  const keys = await some(client, '/v1/keys', { connection: name })
  const now = run.io.clock.now()
  const text = [
    sheet(`connection/${name}`, [
      ['provider', textAt(connection, 'provider')],
      ['settings', orDash(labelsText(at(connection, 'settings')))],
      ['credential', orDash(labelsText(at(connection, 'credential')))],
      ['labels', orDash(labelsText(at(connection, 'labels')))],
      ['grants', orDash(objectsAt(connection, 'grants').map(grantText).join('; '))],
      ...statusRows(connection, now),
      ['keys', count(keys)],
    ]),
    section('rights', checks === null ? '' : checksText(checks, now)),
    section('keys', tableOf('keys', keys, now)),
    section(
      'next',
      [
        ...(check ? [] : [`rekey describe connection/${name} --check`]),
        `rekey get keys --connection ${name}`,
      ]
        .map(plain)
        .join('\n'),
    ),
  ].join('')
  return { json: { ...connection, ...(checks === null ? {} : { checks }), keys }, text }
}

const checksText = (checks: JsonObject, now: Date): string =>
  table(
    [
      { title: 'OUTCOME', text: (item) => textAt(item, 'outcome') },
      { title: 'RIGHT', text: (item) => textAt(item, 'name') },
      {
        title: 'DETAIL',
        text: (item) =>
          [textAt(item, 'detail'), textAt(item, 'hint')].filter((part) => part !== '').join('; '),
      },
    ],
    objectsAt(checks, 'items'),
    now,
  )

const checked = async (client: Client, name: string): Promise<JsonObject> => {
  const path = `/v1/connections/${segment(name)}/checks`
  return objectAt((await client.send({ method: 'POST', path, body: {} })).body)
}

const grantText = (grant: JsonObject): string =>
  `${labelsText(at(grant, 'matchLabels')) || 'all keys'} may use ${textsAt(grant, 'refs').join(', ')}`

export const describeConsumer = async (run: Run, name: string): Promise<Described> => {
  const client = await run.client()
  const consumer = await one(client, `/v1/consumers/${segment(name)}`)
  const text = [
    sheet(`consumer/${name}`, [
      ['owner', orDash(textAt(consumer, 'owner'))],
      ['labels', orDash(labelsText(at(consumer, 'labels')))],
      ['keys', orDash(textsAt(consumer, 'keys').join(', '))],
      ['reload', orDash(textAt(consumer, 'reload', 'webhook'))],
      ...statusRows(consumer, run.io.clock.now()),
    ]),
    section('next', plain(`rekey ack rotation/ID --consumer ${name}`)),
  ].join('')
  return { json: consumer, text }
}

export const describeSink = async (run: Run, name: string): Promise<Described> => {
  const client = await run.client()
  const sink = await one(client, `/v1/sinks/${segment(name)}`)
  const text = sheet(`sink/${name}`, [
    ['type', textAt(sink, 'type')],
    ['url', orDash(textAt(sink, 'url'))],
    ['events', textsAt(sink, 'events').join(', ') || 'all'],
    ...statusRows(sink, run.io.clock.now()),
  ])
  return { json: sink, text }
}

/** Whatever the server says about it, field by field. */
const statusRows = (resource: JsonObject, now: Date): (readonly [string, string])[] =>
  Object.entries(objectAt(resource, 'status')).map(([field, value]) => {
    const text = textAt(value) || (isObject(value) ? labelsText(value) : textsAt(value).join(', '))
    return [field, /^\d{4}-\d\d-\d\dT/.test(text) ? moment(text, now) : orDash(text)]
  })

const one = async (client: Client, path: string): Promise<JsonObject> =>
  objectAt((await client.send({ method: 'GET', path })).body)

const some = async (client: Client, path: string, query: Query): Promise<readonly JsonObject[]> => {
  const items: JsonObject[] = []
  for await (const item of client.list(path, query)) {
    items.push(item)
    if (items.length > most) break
  }
  return items
}

const count = (items: readonly JsonObject[]): string =>
  items.length > most ? `more than ${most}` : String(items.length)

const tableOf = (kind: 'keys' | 'rotations', items: readonly JsonObject[], now: Date): string => {
  if (items.length === 0) return ''
  const columns = kinds[kind].columns.filter((column) => column.wide !== true)
  const rest = items.length > most ? '…\n' : ''
  return `${table(columns, items.slice(0, most), now)}${rest}`
}
