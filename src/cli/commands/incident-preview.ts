// `rekey incident preview` and `approve`: what would be done, and that somebody else has seen it.

import type { JsonObject } from '#domain/json.ts'
import { confirmYes } from '../confirm.ts'
import { usage } from '../failure.ts'
import { plain } from '../human.ts'
import { drawPreview, pathOf, readIncident } from '../incident-steps.ts'
import { incidentLine, previewText } from '../incident-text.ts'
import { show } from '../output.ts'
import { sayNext } from '../present-incident.ts'
import { objectAt, textAt } from '../read-json.ts'
import type { Run } from '../shell.ts'

export const preview = async (run: Run, id: string): Promise<void> => {
  const drawn = await drawPreview(run, id)
  const incident = await readIncident(run, id)
  await show(run, {
    json: drawn,
    names: [`incident/${id}`],
    text: () => previewText(drawn, textAt(incident, 'mode'), run.io.clock.now()),
  })
  sayNext(run, incident)
}

export interface HashOptions {
  readonly previewHash?: string
  readonly dryRun?: true
}

export const approve = async (run: Run, id: string, options: HashOptions): Promise<void> => {
  const dryRun = options.dryRun === true
  const previewHash = options.previewHash ?? (await hashSeen(run, id, dryRun))
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/approvals`,
    body: { previewHash },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [`incident/${id}`],
    text: () =>
      `incident/${id}  ${dryRun ? 'would be approved' : `approved: ${textAt(body, 'state')}`}\n`,
  })
  if (!dryRun) run.talk(`next: rekey incident execute incident/${id}`)
}

const lastPreview = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt((await client.send({ method: 'GET', path: `${pathOf(id)}/preview` })).body)
}

/** Shows what is approved, and asks. Without a terminal the hash must be said. */
const hashSeen = async (run: Run, id: string, dryRun: boolean): Promise<string> => {
  const shown = await lastPreview(run, id)
  const hash = textAt(shown, 'hash')
  if (dryRun) return hash
  if (!run.io.interactive || run.format === 'json')
    throw usage('which preview is approved must be said, and there is no terminal to ask on', {
      hint: `add --preview-hash ${hash}, if this is the preview that was meant`,
    })
  const incident = await readIncident(run, id)
  run.io.stderr.write(
    `${plain(incidentLine(incident))}\nreason: ${plain(textAt(incident, 'reason'))}\n${previewText(shown, textAt(incident, 'mode'), run.io.clock.now())}`,
  )
  await confirmYes(run, 'Approve exactly this?')
  return hash
}
