// `rekey incident execute`, `watch` and `restore`: it is done at the server, and followed from here.

import type { JsonObject } from '#domain/json.ts'
import { confirmByName } from '../confirm.ts'
import { usage } from '../failure.ts'
import { plain } from '../human.ts'
import { execute, pathOf, readIncident } from '../incident-steps.ts'
import { incidentLine } from '../incident-text.ts'
import { durationOf } from '../moments.ts'
import { present } from '../present-incident.ts'
import { numberAt, objectAt, textAt } from '../read-json.ts'
import type { Run } from '../shell.ts'
import type { HashOptions } from './incident-preview.ts'

interface FollowOptions {
  readonly wait: boolean
  readonly timeout?: string
}
interface ExecuteOptions extends HashOptions, FollowOptions {
  readonly confirm?: string
}

export const executeIt = async (run: Run, id: string, options: ExecuteOptions): Promise<void> => {
  const timeoutMs = timeoutOf(options)
  const incident = await readIncident(run, id)
  const previewHash =
    options.previewHash ??
    (textAt(incident, 'execution', 'hash') || textAt(incident, 'preview', 'hash'))
  if (previewHash === '')
    throw usage('it was not previewed yet', { next: [`rekey incident preview incident/${id}`] })
  const dryRun = options.dryRun === true
  if (!dryRun) await confirmByName(run, id, effectOf(incident), options.confirm)
  const done = await execute(run, id, { previewHash, dryRun })
  if (dryRun || !options.wait) return present(run, done)
  run.talk(`executing ${incidentLine(done)}`)
  return follow(run, id, timeoutMs, 'the incident was executed and is under way')
}

export const effectOf = (incident: JsonObject): string =>
  `This does what was shown to ${numberAt(incident, 'preview', 'keys') ?? 0} keys (${textAt(incident, 'mode')}): ${plain(textAt(incident, 'title'))}`

export const follow = async (
  run: Run,
  id: string,
  timeoutMs: number | null,
  changed: string,
): Promise<void> => {
  const { watchIncident } = await import('../watch-incident.ts')
  return watchIncident(run, { id, timeoutMs, changed })
}

const longestTimerMs = 2 ** 31 - 1

export const timeoutOf = ({ timeout }: { readonly timeout?: string }): number | null => {
  if (timeout === undefined) return null
  const ms = durationOf(timeout)
  if (ms === null)
    throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m, 72h or 20d' })
  return ms > longestTimerMs ? null : ms
}

export const watchIt = (
  run: Run,
  id: string,
  options: { readonly timeout?: string },
): Promise<void> => follow(run, id, timeoutOf(options), 'nothing')

interface RestoreOptions extends FollowOptions {
  readonly reason: string
  readonly key?: readonly string[]
  readonly dryRun?: true
}

export const restore = async (run: Run, id: string, options: RestoreOptions): Promise<void> => {
  const timeoutMs = timeoutOf(options)
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/restorations`,
    body: { reason: options.reason, ...(options.key === undefined ? {} : { keys: options.key }) },
    dryRun: options.dryRun === true,
  })
  if (options.dryRun === true || !options.wait) return present(run, objectAt(body))
  run.talk(`restoring ${incidentLine(objectAt(body))}`)
  return follow(run, id, timeoutMs, 'the restoration was asked for and is under way')
}
