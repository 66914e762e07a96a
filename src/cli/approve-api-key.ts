// `rekey approve api-key/ID`: the word of a second admin for a token to break glass with. There is no plan and no hash: a token
// is never changed, so what was seen is what is approved.

import type { JsonObject } from '#domain/json.ts'
import { confirmByName } from './confirm.ts'
import { Failure } from './failure.ts'
import { moment, plain } from './human.ts'
import { show } from './output.ts'
import { objectAt, objectsAt, textAt, textsAt } from './read-json.ts'
import { segment } from './segment.ts'
import type { Run } from './shell.ts'

export const approveApiKey = async (
  run: Run,
  id: string,
  { dryRun, confirm }: { readonly dryRun: boolean; readonly confirm: string | undefined },
): Promise<void> => {
  const client = await run.client()
  const reference = `api-key/${id}`
  const found = await keyWithId(run, id)
  if (!dryRun) {
    run.io.stderr.write(
      shown(found, run.io.clock.now())
        .map((line) => `${plain(line)}\n`)
        .join(''),
    )
    await confirmByName(
      run,
      textAt(found, 'name'),
      'From then on it opens incidents for whoever holds it.',
      confirm,
    )
  }
  const { body } = await client.send({
    method: 'POST',
    path: `/v1/api-keys/${segment(id)}/approvals`,
    body: {},
    dryRun,
  })
  await show(run, {
    json: body,
    names: [reference],
    text: () => `${reference}  ${dryRun ? 'would be approved' : 'approved'}\n`,
  })
}

const keyWithId = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  for await (const item of client.list('/v1/api-keys')) if (textAt(item, 'id') === id) return item
  throw new Failure({
    code: 'resource.notFound',
    exit: 'notFound',
    title: `There is no api-key/${id}`,
    hint: 'see `rekey get api-keys`',
  })
}

const shown = (key: JsonObject, now: Date): readonly string[] => [
  `${textAt(key, 'name')}: ${textAt(key, 'type')}, ${textsAt(key, 'roles').join(', ')}`,
  `made by ${textAt(key, 'createdBy')}, ${moment(textAt(key, 'createdAt'), now)}; ends ${moment(textAt(key, 'expiresAt'), now)}`,
  `told to ${
    objectsAt(objectAt(key, 'breakGlass'), 'sinks')
      .map((sink) => textAt(sink, 'name'))
      .join(', ') || 'no sink: there was none when it was made'
  }`,
]
