// A key in full: its versions, its open rotation, and why it is not rotating.

import type { JsonObject } from '#domain/json.ts'
import type { Client } from './client.ts'
import { segment } from './segment.ts'
import type { Described } from './commands/describe.ts'
import { isFailure } from './failure.ts'
import { age, moment, orDash, plain } from './human.ts'
import { version } from './kinds.ts'
import { adviceFor, type Advice } from './next-command.ts'
import { at, labelsText, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { waitingSince } from './rotation-text.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'
import { table, type Column } from './table.ts'

const versionColumns: readonly Column<JsonObject>[] = [
  { title: 'VERSION', text: (item) => version(textAt(item, 'version')) },
  { title: 'STATE', text: (item) => textAt(item, 'state') },
  { title: 'PRIMARY', text: (item) => (textAt(item, 'primary') === 'true' ? 'primary' : '–') },
  {
    title: 'AGE',
    text: (item, now) => age(textAt(item, 'activatedAt') || textAt(item, 'createdAt'), now),
  },
  {
    title: 'MATERIAL',
    text: (item) => (textAt(item, 'materialKnown') === 'true' ? 'known' : 'unknown'),
  },
  { title: 'AT-PROVIDER', text: (item) => orDash(textsAt(item, 'providerVersions').join(',')) },
]

export const describeKey = async (run: Run, name: string): Promise<Described> => {
  const client = await run.client()
  const path = `/v1/keys/${segment(name)}`
  const [key, versions] = await Promise.all([
    client.send({ method: 'GET', path }).then(({ body }) => objectAt(body)),
    client
      .send({ method: 'GET', path: `${path}/versions` })
      .then(({ body }) => objectsAt(body, 'items')),
  ])
  const rotation = await openRotation(client, key)
  const now = run.io.clock.now()
  return {
    json: { ...key, versions, ...(rotation === null ? {} : { rotation }) },
    text: keySheet(key, versions, rotation, now),
  }
}

const keySheet = (
  key: JsonObject,
  versions: readonly JsonObject[],
  rotation: JsonObject | null,
  now: Date,
): string => {
  const advice = rotation === null ? restingAdvice(key) : adviceFor(rotation, now)
  const waits = rotation === null ? '' : waitingSince(rotation, now)
  const why = [textAt(key, 'status', 'why'), waits, rotation === null ? '' : advice.text].filter(
    (text) => text !== '',
  )
  return [
    sheet(`key/${textAt(key, 'name')}`, [
      ['type', textAt(key, 'type')],
      ['connection', textAt(key, 'connection')],
      ['object', orDash(labelsText(at(key, 'ref')))],
      ['purpose', orDash(textAt(key, 'purpose'))],
      ['owner', orDash(textAt(key, 'owner'))],
      ['environment', orDash(textAt(key, 'environment'))],
      ['labels', orDash(labelsText(at(key, 'labels')))],
      ['consumers', orDash(textsAt(key, 'consumers').join(', '))],
      ['policy', orDash(textAt(key, 'status', 'policy'))],
      ['primary', version(textAt(key, 'status', 'primaryVersion'))],
      ['next', moment(textAt(key, 'status', 'nextRotationAt'), now)],
      ['overdue', textAt(key, 'status', 'overdue') === 'true' ? 'yes' : 'no'],
      [
        'rotation',
        rotation === null ? '–' : `rotation/${textAt(rotation, 'id')} ${textAt(rotation, 'phase')}`,
      ],
    ]),
    section('why', why.map(plain).join('\n')),
    section('at the provider', driftText(key, now)),
    section('versions', versions.length === 0 ? '' : table(versionColumns, versions, now)),
    section('next', advice.commands.map(plain).join('\n')),
  ].join('')
}

const driftText = (key: JsonObject, now: Date): string => {
  const drift = (name: string): string => textAt(key, 'status', 'drift', name)
  if (drift('state') === '') return ''
  const since = `${drift('state')} since ${moment(drift('since'), now)}`
  return [since, drift('detail'), drift('help')].map(plain).join('\n')
}

const restingAdvice = (key: JsonObject): Advice => {
  const name = textAt(key, 'name')
  return {
    text: '',
    commands: [
      // A key whose object is still being made has nothing that could be rotated.
      ...(textAt(key, 'status', 'primaryVersion') === ''
        ? []
        : [`rekey rotate key/${name} --reason "…"`]),
      ...(textAt(key, 'status', 'policy') === ''
        ? []
        : [`rekey describe policy/${textAt(key, 'status', 'policy')}`]),
      `rekey logs --key ${name}`,
    ],
  }
}

const openRotation = async (client: Client, key: JsonObject): Promise<JsonObject | null> => {
  const id = textAt(key, 'status', 'openRotation')
  if (id === '') return null
  try {
    return objectAt(
      (await client.send({ method: 'GET', path: `/v1/rotations/${segment(id)}` })).body,
    )
  } catch (error) {
    // It may have ended between the two reads.
    if (isFailure(error, 'resource.notFound')) return null
    throw error
  }
}
