// A plan of files in full: what it changes and leads to, who must agree, and what is run next.

import type { JsonObject } from '#domain/json.ts'
import { segment } from './segment.ts'
import type { Described } from './commands/describe.ts'
import { moment, orDash } from './human.ts'
import { paintFor } from './paint.ts'
import { planText } from './plan-text.ts'
import { at, objectAt, objectsAt, textAt } from './read-json.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'

export const describePlan = async (run: Run, id: string): Promise<Described> => {
  const client = await run.client()
  const reply = await client.send({ method: 'GET', path: `/v1/plans/${segment(id)}` })
  const plan = objectAt(reply.body)
  const now = run.io.clock.now()
  const text = [
    sheet(`plan/${id}`, [
      ['state', textAt(plan, 'state')],
      ['owner', orDash(textAt(plan, 'owner'))],
      ['prune', at(plan, 'prune') === true ? 'yes' : 'no'],
      ['author', orDash(textAt(plan, 'author', 'name'))],
      ['created', moment(textAt(plan, 'createdAt'), now)],
      ['applied', moment(textAt(plan, 'appliedAt'), now)],
      ['applied by', orDash(textAt(plan, 'appliedBy'))],
      ['approved by', orDash(approvers(plan))],
      ['hash', textAt(plan, 'hash')],
    ]),
    section('changes', planText(plan, paintFor(run.io.env, run.io.stdout))),
    section('next', nextFor(plan).join('\n')),
  ].join('')
  return { json: plan, text }
}

const approvers = (plan: JsonObject): string =>
  objectsAt(plan, 'approvals', 'given')
    .map((given) => textAt(given, 'principal'))
    .join(', ')

const nextFor = (plan: JsonObject): readonly string[] => {
  const reference = `plan/${textAt(plan, 'id')}`
  const needsOthers = objectsAt(plan, 'approvals', 'needed').length > 0
  switch (textAt(plan, 'state')) {
    case 'applied':
      return []
    case 'applying':
      return [`rekey apply ${reference}     (goes on with its keys)`]
    default:
      return [
        ...(needsOthers ? [`rekey approve ${reference}     (somebody else)`] : []),
        `rekey apply ${reference}`,
      ]
  }
}
