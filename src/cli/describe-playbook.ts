// A playbook as whoever follows or reviews it reads it.

import type { JsonObject } from '#domain/json.ts'
import type { Described } from './commands/describe.ts'
import { moment, orDash, plain, plainLines } from './human.ts'
import { at, labelsText, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { segment } from './segment.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'

export const readPlaybook = async (run: Run, name: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt(
    (await client.send({ method: 'GET', path: `/v1/playbooks/${segment(name)}` })).body,
  )
}

export const describePlaybook = async (run: Run, name: string): Promise<Described> => {
  const playbook = await readPlaybook(run, name)
  return { json: playbook, text: playbookText(playbook, run.io.clock.now()) }
}

export const playbookText = (playbook: JsonObject, now: Date): string => {
  const name = textAt(playbook, 'name')
  const overdue = textAt(playbook, 'status', 'overdue') === 'true'
  const due = moment(textAt(playbook, 'status', 'reviewDueAt'), now)
  return [
    sheet(`playbook/${name}`, [
      ['title', textAt(playbook, 'title')],
      ['owner', textAt(playbook, 'owner')],
      ['labels', orDash(labelsText(at(playbook, 'labels')))],
      ['for', appliesText(objectAt(playbook, 'appliesTo'))],
      [
        'revision',
        `${textAt(playbook, 'status', 'revision')}, by ${textAt(playbook, 'status', 'author')}`,
      ],
      [
        'review',
        `every ${textAt(playbook, 'reviewEvery')}; ${overdue ? `overdue since ${due}` : `due ${due}`}`,
      ],
      ['reviewed', reviewText(playbook, now)],
    ]),
    section('steps', objectsAt(playbook, 'steps').map(stepText).join('\n')),
    section(
      'next',
      [
        `rekey incident open --playbook ${name} …`,
        ...(overdue
          ? [`rekey review playbook/${name} --text "…"   # somebody else than its author`]
          : []),
      ].join('\n'),
    ),
  ].join('')
}

const appliesText = (wanted: JsonObject): string => {
  const parts = [
    ...textsAt(wanted, 'modes').map((mode) => `mode ${mode}`),
    ...textsAt(wanted, 'types').map((type) => `type ${type}`),
    ...[labelsText(at(wanted, 'matchLabels'))].filter((text) => text !== '' && text !== '–'),
  ]
  return parts.length === 0 ? 'incidents that name it' : parts.join(', ')
}

const reviewText = (playbook: JsonObject, now: Date): string => {
  const by = textAt(playbook, 'status', 'review', 'by')
  if (by === '') return 'by nobody yet'
  const revision = textAt(playbook, 'status', 'review', 'revision')
  const changed = revision === textAt(playbook, 'status', 'revision') ? '' : ', changed since'
  return `by ${by}, ${moment(textAt(playbook, 'status', 'review', 'at'), now)}, revision ${revision}${changed}: ${textAt(playbook, 'status', 'review', 'text')}`
}

const stepText = (step: JsonObject, i: number): string => {
  const [owner, within] = [textAt(step, 'owner'), textAt(step, 'within')]
  const who = [...(owner === '' ? [] : [owner]), ...(within === '' ? [] : [`within ${within}`])]
  const lines = [
    `${i + 1}. ${plain(textAt(step, 'title'))}${who.length === 0 ? '' : ` (${plain(who.join(', '))})`}`,
    ...plainLines(textAt(step, 'text'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => `   ${line}`),
    ...(textAt(step, 'command') === '' ? [] : [`   $ ${plain(textAt(step, 'command'))}`]),
  ]
  return lines.join('\n')
}
