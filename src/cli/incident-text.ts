// Incidents and their previews in words.

import { halfEffects } from '#domain/incident.ts'
import { modeText } from '#domain/incident-words.ts'
import type { JsonObject } from '#domain/json.ts'
import { halfText } from '#domain/pair-halves.ts'
import { moment, plain } from './human.ts'
import {
  at,
  isObject,
  listAt,
  numberAt,
  objectAt,
  objectsAt,
  textAt,
  textsAt,
} from './read-json.ts'
import { section } from './sheet.ts'
import { table, type Column } from './table.ts'

export const incidentLine = (incident: JsonObject): string =>
  [
    `incident/${textAt(incident, 'id')}`,
    textAt(incident, 'severity'),
    textAt(incident, 'mode'),
    textAt(incident, 'state'),
    plain(textAt(incident, 'title')),
  ].join('  ')

export const modeIn = (mode: string): string =>
  Object.hasOwn(modeText, mode) ? modeText[mode as keyof typeof modeText] : ''

/** `2 refused, 1 failed` */
export const countsText = (incident: JsonObject): string => {
  const counts = at(incident, 'counts')
  const told = Object.entries(isObject(counts) ? counts : {}).map(
    ([state, count]) => `${textAt(count)} ${state}`,
  )
  return told.join(', ')
}

const done: Readonly<Record<string, string>> = {
  suspend: 'switched off',
  destroy: 'destroyed',
  switchOffKey: 'whole key off',
  replace: 'replaced',
  byHand: 'by hand',
  none: 'nothing',
}

const next: Readonly<Record<string, string>> = {
  none: 'nothing serves',
  new: 'a new version',
  existing: 'goes on with',
  openRotation: 'its rotation ends at',
}

/** What has leaked comes back in the mode `disable` only, whatever its provider could. */
const columnsIn = (mode: string): readonly Column<JsonObject>[] => [
  { title: 'KEY', text: (row) => textAt(row, 'key') },
  { title: 'VERSION', text: (row) => `v${textAt(row, 'version', 'version')}` },
  {
    title: 'WHAT',
    text: (row) => {
      const containment = textAt(row, 'version', 'containment')
      return done[containment] ?? containment
    },
  },
  {
    title: 'COMES-BACK',
    text: (row) =>
      mode === 'disable' && textAt(row, 'version', 'reversible') === 'true' ? 'yes' : 'no',
  },
  { title: 'PROOF', text: (row) => textAt(row, 'version', 'expect') },
  { title: 'AFTERWARDS', text: (row) => afterwards(row) },
]

const afterwards = (row: JsonObject): string => {
  const version = textAt(row, 'replacementVersion')
  const replacement = textAt(row, 'replacement')
  return `${next[replacement] ?? replacement}${version === '' ? '' : ` v${version}`}`
}

/** Of keys that are pairs: which half first, and what is done to it. */
const halvesText = (keys: readonly JsonObject[]): string =>
  keys
    .flatMap((key) => {
      const steps = objectsAt(key, 'halves').map((half) =>
        halfText({
          half: textAt(half, 'half'),
          does: halfEffects.find((word) => word === textAt(half, 'does')) ?? 'nothing',
          step: numberAt(half, 'step'),
          versions: listAt(half, 'versions').map(Number),
        }),
      )
      return steps.length === 0
        ? []
        : [`${textAt(key, 'key')}`, ...steps.map((step) => `  ${step}`)]
    })
    .map(plain)
    .join('\n')

/** The first so many keys whole; of the rest only how many. */
const mostShown = 40

export const previewText = (preview: JsonObject, mode: string, now: Date): string => {
  const keys = objectsAt(preview, 'keys')
  const rows = keys
    .slice(0, mostShown)
    .flatMap((key) =>
      objectsAt(key, 'versions').map((version) => ({ ...key, version: objectAt(version) })),
    )
  const rest = keys.length - mostShown
  const needed = numberAt(preview, 'approvalsNeeded') ?? 0
  const warnings = [
    ...textsAt(preview, 'warnings'),
    ...(keys.length > 3
      ? []
      : keys.flatMap((key) =>
          textsAt(key, 'warnings').map((text) => `${textAt(key, 'key')}: ${text}`),
        )),
  ]
  return [
    `${keys.length} key${keys.length === 1 ? '' : 's'}, ${mode}: ${modeIn(mode)}\n`,
    table(columnsIn(mode), rows, now),
    rest > 0 ? `… and ${rest} keys more: see them all with -o json\n` : '',
    section('halves of pairs, in this order', halvesText(keys.slice(0, mostShown))),
    section('what that means', [...new Set(warnings)].map((text) => plain(text)).join('\n')),
    section('used by', textsAt(preview, 'consumers').map(plain).join(', ')),
    section('differs from the preview before', differsText(preview)),
    section('playbooks for it', textsAt(preview, 'playbooks').map(plain).join(', ')),
    `hash       ${textAt(preview, 'hash')}\n`,
    `holds      until ${moment(textAt(preview, 'expiresAt'), now)}\n`,
    `approvals  ${needed === 0 ? 'none needed' : `${needed} needed, by somebody who neither opened nor previewed it`}\n`,
    'so far     nothing was done; whoever stops here leaves everything as it is\n',
  ].join('')
}

const differsText = (preview: JsonObject): string =>
  (['added', 'removed', 'changed'] as const)
    .map((word) => [word, textsAt(preview, 'differs', word)] as const)
    .filter(([, names]) => names.length > 0)
    .map(([word, names]) => `${word}: ${names.map(plain).join(', ')}`)
    .join('\n')

const stepColumns: readonly Column<JsonObject>[] = [
  { title: 'STEP', text: (row) => textAt(row, 'step') },
  {
    title: 'STATE',
    text: (row) =>
      `${textAt(row, 'state') === 'notDone' ? 'not done' : textAt(row, 'state')}${textAt(row, 'late') === 'true' ? ', late' : ''}`,
  },
  { title: 'WHAT', text: (row) => textAt(row, 'title') },
  { title: 'WHO', text: (row) => textAt(row, 'by') || textAt(row, 'owner') },
  {
    title: 'WHEN',
    text: (row, now) => {
      const [at, due] = [textAt(row, 'at'), textAt(row, 'dueAt')]
      if (at !== '') return moment(at, now)
      return due === '' ? '–' : `by ${moment(due, now)}`
    },
  },
]

/** The steps of its playbook, with text and command of those that are not done. */
export const stepsText = (incident: JsonObject, now: Date): string => {
  const steps = objectsAt(incident, 'playbook', 'steps')
  if (steps.length === 0) return ''
  const how = steps
    .filter((step) => textAt(step, 'state') !== 'done')
    .flatMap((step) => {
      const [text, command] = [textAt(step, 'text'), textAt(step, 'command')]
      const lines = [
        ...(text === '' ? [] : [plain(text)]),
        ...(command === '' ? [] : [`$ ${plain(command)}`]),
      ]
      return lines.length === 0 ? [] : [`${textAt(step, 'step')}. ${lines.join('\n   ')}`]
    })
  const head = `playbook ${plain(textAt(incident, 'playbook', 'name'))}, revision ${textAt(incident, 'playbook', 'revision')}${textAt(incident, 'playbook', 'reviewOverdue') === 'true' ? ', whose review was overdue: it may be wrong' : ''}${textAt(incident, 'playbook', 'revisionReviewed') === 'false' ? ', which nobody has reviewed as it is' : ''}`
  return section(head, `${table(stepColumns, steps, now)}${how.join('\n')}`.trimEnd())
}
