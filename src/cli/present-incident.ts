// An incident after a command has changed it: one line, and what comes next.

import type { JsonObject } from '#domain/json.ts'
import { nextOf } from './describe-incident.ts'
import { countsText, incidentLine } from './incident-text.ts'
import { show } from './output.ts'
import { textAt } from './read-json.ts'
import type { Run } from './shell.ts'

export const present = (run: Run, incident: JsonObject): Promise<void> => {
  const counts = countsText(incident)
  return show(run, {
    json: incident,
    names: [`incident/${textAt(incident, 'id')}`],
    text: () => `${incidentLine(incident)}${counts === '' ? '' : `  ${counts}`}\n`,
  })
}

export const sayNext = (run: Run, incident: JsonObject): void =>
  nextOf(incident).forEach((command, i) => run.talk(`${i === 0 ? 'next: ' : '      '}${command}`))
