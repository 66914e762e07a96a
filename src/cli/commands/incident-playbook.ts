// What people do beside an execution: `rekey incident step`, and `rekey incident change`, which gives it a playbook.

import type { JsonObject } from '#domain/json.ts'
import { usage } from '../failure.ts'
import { moment } from '../human.ts'
import { pathOf } from '../incident-steps.ts'
import { countsText, incidentLine, stepsText } from '../incident-text.ts'
import { show } from '../output.ts'
import { objectAt, objectsAt, textAt } from '../read-json.ts'
import type { Run } from '../shell.ts'

interface ChangeOptions {
  readonly title?: string
  readonly severity?: string
  readonly commander?: string
  readonly playbook?: string
  readonly dryRun?: true
}

export const changeIncident = async (
  run: Run,
  id: string,
  { dryRun, ...said }: ChangeOptions,
): Promise<void> => {
  const { title, severity, commander, playbook } = said
  const change: JsonObject = {
    ...(title === undefined ? {} : { title }),
    ...(severity === undefined ? {} : { severity }),
    ...(commander === undefined ? {} : { commander }),
    ...(playbook === undefined ? {} : { playbook }),
  }
  if (Object.keys(change).length === 0)
    throw usage('say what is changed', {
      hint: '--title, --severity, --commander or --playbook',
    })
  const client = await run.client()
  const { body } = await client.send({
    method: 'PATCH',
    path: pathOf(id),
    body: change,
    // Only what is said is written: what others changed meanwhile stays.
    ifMatch: '*',
    dryRun: dryRun === true,
  })
  await presentSteps(run, objectAt(body))
}

interface StepOptions {
  readonly notDone?: true
  readonly note?: string
  readonly dryRun?: true
}

export const tickStep = async (
  run: Run,
  id: string,
  { notDone, note, dryRun }: StepOptions,
  number: string,
): Promise<void> => {
  if (!/^[1-9]\d?$/.test(number))
    throw usage(`"${number}" is not the number of a step`, {
      next: [`rekey describe incident/${id}`],
    })
  if (notDone === true && note === undefined)
    throw usage('say why it is not done', { hint: 'add --note "…"' })
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/steps`,
    body: {
      step: Number(number),
      outcome: notDone === true ? 'notDone' : 'done',
      ...(note === undefined ? {} : { note }),
    },
    dryRun: dryRun === true,
  })
  await presentSteps(run, objectAt(body))
}

const presentSteps = async (run: Run, incident: JsonObject): Promise<void> => {
  const counts = countsText(incident)
  const now = run.io.clock.now()
  await show(run, {
    json: incident,
    names: [`incident/${textAt(incident, 'id')}`],
    text: () =>
      `${incidentLine(incident)}${counts === '' ? '' : `  ${counts}`}\n${stepsText(incident, now)}`,
  })
  const next = objectsAt(incident, 'playbook', 'steps').find(
    (step) => textAt(step, 'state') === 'open',
  )
  if (next !== undefined)
    run.talk(
      `next: rekey incident step incident/${textAt(incident, 'id')} ${textAt(next, 'step')}${textAt(next, 'dueAt') === '' ? '' : `   # by ${moment(textAt(next, 'dueAt'), now)}`}`,
    )
}
