// An incident in full: where it stands, what is left to do, and the command to run next.

import { selectorText } from '#domain/incident-words.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Described } from './commands/describe.ts'
import { moment, orDash, plain } from './human.ts'
import { countsText, modeIn, stepsText } from './incident-text.ts'
import { numberAt, objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { segment } from './segment.ts'
import { section, sheet } from './sheet.ts'
import type { Run } from './shell.ts'

export const describeIncident = async (run: Run, id: string): Promise<Described> => {
  const client = await run.client()
  const path = `/v1/incidents/${segment(id)}/report`
  const report = objectAt((await client.send({ method: 'GET', path })).body)
  const incident = objectAt(report, 'incident')
  const now = run.io.clock.now()
  const mode = textAt(incident, 'mode')
  const by = (name: string): string =>
    textAt(incident, name, 'at') === ''
      ? '–'
      : `${textAt(incident, name, 'by', 'name') || textAt(incident, name, 'by')}, ${moment(textAt(incident, name, 'at'), now)}`
  return {
    json: report,
    text: [
      sheet(`incident/${id}`, [
        ['title', textAt(incident, 'title')],
        ['state', textAt(incident, 'state')],
        ['severity', textAt(incident, 'severity')],
        ['mode', `${mode}: ${modeIn(mode)}`],
        ['reason', textAt(incident, 'reason')],
        ['commander', orDash(textAt(incident, 'commander'))],
        [
          'opened',
          `${textAt(incident, 'openedBy', 'name')}, ${moment(textAt(incident, 'createdAt'), now)}`,
        ],
        ['means', selectorText(objectAt(incident, 'selector'))],
        ['previewed', by('preview')],
        ['approved', approvals(incident)],
        ['executed', by('execution')],
        ['keys', orDash(countsText(incident))],
        ['reviewed', by('review')],
        ['closed', by('closed')],
      ]),
      stepsText(incident, now),
      section('left to do', textsAt(report, 'open').map(plain).join('\n')),
      section('next', nextOf(incident).map(plain).join('\n')),
    ].join(''),
  }
}

const approvals = (incident: JsonObject): string => {
  const given = objectsAt(incident, 'approvals').map((one) => textAt(one, 'principal'))
  const needed = numberAt(incident, 'preview', 'approvalsNeeded')
  return needed === null
    ? '–'
    : `${given.length} of ${needed}${given.length === 0 ? '' : `: ${given.join(', ')}`}`
}

/** The commands that lead on from where it stands. */
export const nextOf = (incident: JsonObject): readonly string[] => {
  const about = `incident/${textAt(incident, 'id')}`
  switch (textAt(incident, 'state')) {
    case 'draft':
      return [`rekey incident preview ${about}`]
    case 'awaitingApproval':
      return [
        `rekey incident approve ${about}   # somebody who neither opened nor previewed it`,
        `rekey incident execute ${about}`,
      ]
    case 'previewed':
      return [`rekey incident execute ${about}`]
    case 'executing':
      return [`rekey incident watch ${about}`]
    case 'closed':
      return [`rekey incident report ${about}`]
    default:
      return [
        `rekey incident report ${about}`,
        ...(textAt(incident, 'mode') === 'disable'
          ? [`rekey incident restore ${about} --reason "…"`]
          : []),
        ...(textAt(incident, 'state') === 'partly'
          ? [`rekey incident execute ${about}   # tries what failed once more`]
          : []),
        ...(textAt(incident, 'breakGlass') === 'true' && textAt(incident, 'review', 'at') === ''
          ? [`rekey incident review ${about} --text "…"   # somebody else`]
          : [`rekey incident close ${about} --reason "…"`]),
      ]
  }
}
