// What a rotation would do, as `rekey rotate --dry-run` prints it: nothing was written anywhere.

import type { JsonObject } from '#domain/json.ts'
import { moment, orDash, plain } from './human.ts'
import { at, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { versions } from './rotation-text.ts'
import { section, sheet } from './sheet.ts'
import { type Column, table } from './table.ts'

const callColumns: readonly Column<JsonObject>[] = [
  { title: 'PHASE', text: (call) => textAt(call, 'phase') },
  { title: 'CALL', text: (call) => textAt(call, 'call') },
  { title: 'OBJECT', text: (call) => textAt(call, 'object') },
  { title: 'OVER', text: (call) => `connection/${textAt(call, 'connection')}` },
  { title: 'UNDO-FROM-THERE', text: (call) => textsAt(call, 'undo').join(', ') },
]

export const previewText = (rotation: JsonObject, now: Date): string => {
  const key = `key/${textAt(rotation, 'key')}`
  if (at(rotation, 'preview') === undefined)
    return `${plain(`${key}  ${versions(rotation)}`)}  would be rotated; nothing was changed\n`
  const preview = objectAt(rotation, 'preview')
  const hold = objectAt(preview, 'hold')
  const approvals = objectAt(preview, 'approvals')
  const asked = Number(textAt(approvals, 'required')) > 0
  const checks = objectsAt(preview, 'checks')
  const wrong = checks.filter((check) => textAt(check, 'outcome') !== 'ok')
  return [
    sheet(`${key}  ${versions(rotation)}  would be rotated; nothing was changed`, [
      ['policy', orDash(textAt(rotation, 'policy'))],
      ['plan', textAt(rotation, 'planHash')],
      ['phases', textsAt(rotation, 'phases').join(' → ')],
      [
        'approvals',
        asked
          ? `${textAt(approvals, 'required')} of ${textsAt(approvals, 'roles').join(', ')}`
          : 'none',
      ],
      ['slot', slotText(preview)],
      ['gap', at(preview, 'gap') === true ? 'yes: readers are without a version' : 'no'],
      ['held', textAt(hold, 'text') === '' ? 'no' : heldText(hold, now)],
    ]),
    section('calls', table(callColumns, objectsAt(preview, 'calls'), now)),
    section(
      'waits',
      objectsAt(preview, 'waits')
        .map((wait) => plain(`${textAt(wait, 'phase')}: ${textAt(wait, 'text')}`))
        .join('\n'),
    ),
    section('consumers', consumersText(objectsAt(preview, 'consumers'), now)),
    section(
      'provider',
      wrong.length === 0
        ? checks.length === 0
          ? 'nothing could be checked'
          : 'every right that it needs is there'
        : wrong.map((check) => plain(checkText(check))).join('\n'),
    ),
    section('object', factsText(objectAt(preview, 'facts'))),
    section('risks', textsAt(preview, 'risks').map(plain).join('\n')),
    section('next occurrences', textsAt(preview, 'next').map(plain).join('\n')),
    section('next', `rekey rotate ${plain(key)} --reason "…"`),
  ].join('')
}

const slots: Readonly<Record<string, string>> = {
  multi: 'several versions side by side',
  pair: 'two, in turns',
  single: 'one place: minting writes over what is there',
  internal: 'the provider keeps the old ones by itself',
}

/** With what is left of the type's own limit. */
const slotText = (preview: JsonObject): string => {
  const slot = textAt(preview, 'slot')
  const said = slots[slot] ?? slot
  const living = textAt(preview, 'versions', 'living')
  const most = textAt(preview, 'versions', 'most')
  if (living === '') return said
  return `${said}; ${living}${most === '' ? '' : ` of at most ${most}`} there now`
}

/** What the provider tells of it: limits left, rotation by the provider itself. */
const factsText = (facts: JsonObject): string =>
  Object.entries(facts)
    .map(([name, value]) =>
      plain(`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`),
    )
    .join('\n')

const heldText = (hold: JsonObject, now: Date): string => {
  const until = textAt(hold, 'until')
  return `${textAt(hold, 'text')}${until === '' ? '' : `, until ${moment(until, now)}`}`
}

const consumersText = (consumers: readonly JsonObject[], now: Date): string =>
  consumers
    .map((consumer) => {
      const at = textAt(consumer, 'acknowledged')
      const said = at === '' ? 'did not acknowledge' : `acknowledged ${moment(at, now)}`
      return plain(`consumer/${textAt(consumer, 'name')}: ${said} the version before`)
    })
    .join('\n')

const checkText = (check: JsonObject): string => {
  const hint = textAt(check, 'hint')
  const outcome = textAt(check, 'outcome')
  return `${textAt(check, 'name')} ${outcome}: ${textAt(check, 'detail')}${hint === '' ? '' : ` (${hint})`}`
}
