// `rekey incident confirm`: what people have switched off where Rekey has no way to.

import type { JsonObject } from '#domain/json.ts'
import { usage } from '../failure.ts'
import { plain } from '../human.ts'
import { pathOf } from '../incident-steps.ts'
import { numberOf } from '../number-of.ts'
import { show } from '../output.ts'
import { numberAt, objectAt, objectsAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run } from '../shell.ts'

interface Options {
  readonly key: string
  readonly evidence: string
  readonly version?: string
  readonly notDone?: true
  readonly on?: true
  readonly dryRun?: true
}

export const confirmByHand = async (run: Run, id: string, options: Options): Promise<void> => {
  const { evidence, notDone, on, dryRun = false } = options
  const key = nameOf(options.key.includes('/') ? options.key : `key/${options.key}`, 'key')
  const version =
    options.version === undefined
      ? await onlyVersion(run, id, key)
      : numberOf(options.version, 'version')
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/confirmations`,
    body: {
      key,
      version,
      ...(on === true ? { step: 'on' } : {}),
      outcome: notDone === true ? 'notDone' : 'done',
      evidence,
    },
    dryRun,
  })
  const confirmed = objectsAt(body, 'versions').find((of) => numberAt(of, 'version') === version)
  await show(run, {
    json: body,
    names: [`key/${key}`],
    text: () =>
      dryRun
        ? `key/${key} v${version}  would be confirmed\n`
        : `key/${key} v${version}  ${textAt(confirmed, 'state')}: ${plain(on === true ? textAt(body, 'detail') : textAt(confirmed, 'detail'))}\n`,
  })
  if (dryRun) return
  run.talk(
    on === true
      ? `next: rekey incident restore incident/${id} --key ${key} --reason "…"`
      : `next: rekey describe incident/${id}`,
  )
}

/** Where there is one, it is meant. */
const onlyVersion = async (run: Run, id: string, key: string): Promise<number> => {
  const client = await run.client()
  let row: JsonObject | null = null
  for await (const item of client.list(`${pathOf(id)}/keys`, {}))
    if (textAt(item, 'key') === key) row = objectAt(item)
  if (row === null)
    throw usage(`${key} is not in what was executed`, {
      next: [`rekey describe incident/${id}`],
    })
  const asked = objectsAt(row, 'versions').filter((of) => textAt(of, 'containment') === 'byHand')
  const [only, ...more] = asked.map((of) => numberAt(of, 'version') ?? 0)
  if (only === undefined) throw usage(`${key} is not switched off by hand: Rekey does it`)
  if (more.length > 0)
    throw usage('it has several versions: say which', {
      hint: [only, ...more].map((number) => `--version ${number}`).join(', '),
    })
  return only
}
