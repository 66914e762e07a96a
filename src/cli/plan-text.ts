// A plan as a person reads it: one block a change, its fields before and after, and what it leads to.

import type { Json, JsonObject } from '#domain/json.ts'
import { plain } from './human.ts'
import type { Paint } from './paint.ts'
import { at, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'

const signs = { create: '+', update: '~', delete: '-', unchanged: '=' } as const

const nouns: Readonly<Record<string, string>> = {
  Connection: 'connection',
  Consumer: 'consumer',
  Key: 'key',
  Playbook: 'playbook',
  RotationPolicy: 'policy',
}

/** `policy/monthly` */
export const itemReference = (item: JsonObject): string => {
  const kind = textAt(item, 'kind')
  return plain(`${nouns[kind] ?? kind}/${textAt(item, 'name')}`)
}

export const isChange = (item: JsonObject): boolean => textAt(item, 'action') !== 'unchanged'

export const planText = (plan: JsonObject, paint: Paint): string => {
  const items = objectsAt(plan, 'items')
  const blocks = items
    .filter((item) => isChange(item) || objectsAt(item, 'effects').length > 0)
    .map((item) => block(item, paint))
  return [...blocks, `${summary(items)}\n`, ...asks(plan, paint)].join('')
}

const block = (item: JsonObject, paint: Paint): string => {
  const action = textAt(item, 'action')
  const sign = isAction(action) ? signs[action] : '?'
  const head = paint(colourOf(action), `${sign} ${itemReference(item)}`)
  const fields = objectsAt(item, 'diff').map((change) => `    ${fieldText(change)}\n`)
  const effects = objectsAt(item, 'effects').map(
    (effect) => `  ${paint(effectColour(effect), `! ${plain(textAt(effect, 'text'))}`)}\n`,
  )
  return [`${head}\n`, ...fields, ...effects].join('')
}

const isAction = (action: string): action is keyof typeof signs => Object.hasOwn(signs, action)

const colourOf = (action: string) =>
  action === 'create' ? 'green' : action === 'delete' ? 'red' : 'yellow'

const effectColour = (effect: JsonObject) =>
  ['overdue', 'dueAtOnce', 'loosened', 'keysLost'].includes(textAt(effect, 'type'))
    ? 'yellow'
    : 'dim'

const fieldText = (change: JsonObject): string => {
  const path = plain(textAt(change, 'pointer').slice(1).replaceAll('/', '.').replaceAll('~1', '/'))
  const [before, after] = [at(change, 'before'), at(change, 'after')]
  if (before === undefined) return `+ ${path}: ${valueText(after)}`
  if (after === undefined) return `- ${path}: ${valueText(before)}`
  return `~ ${path}: ${valueText(before)} → ${valueText(after)}`
}

const longest = 100

const valueText = (value: Json | undefined): string => {
  const text = plain(typeof value === 'string' ? value : JSON.stringify(value ?? null))
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

const summary = (items: readonly JsonObject[]): string => {
  const count = (action: string) => items.filter((item) => textAt(item, 'action') === action).length
  return `plan: ${count('create')} to create, ${count('update')} to update, ${count('delete')} to delete, ${count('unchanged')} unchanged`
}

const flags: Readonly<Record<string, string>> = {
  massRotation: '--allow-mass-rotation',
  policyDeletion: '--allow-policy-deletion',
  ownerChange: '--allow-owner-change',
}

/** The flag of the command line that sends this allowance. */
export const flagOf = (allowance: string): string => flags[allowance] ?? allowance

const asks = (plan: JsonObject, paint: Paint): readonly string[] => [
  ...objectsAt(plan, 'needs').map((need) => {
    const allowance = textAt(need, 'allowance')
    return `${paint('yellow', `needs ${flagOf(allowance)}:`)} ${plain(textAt(need, 'text'))}\n`
  }),
  ...objectsAt(objectAt(plan, 'approvals'), 'needed').map((need) => {
    const count = textAt(need, 'required')
    const who = textsAt(need, 'roles')
    const whom = `${count} approval${count === '1' ? '' : 's'} by ${who.join(' or ')}`
    return `${paint('yellow', `needs ${plain(whom)}:`)} ${plain(textAt(need, 'text'))}\n`
  }),
]
