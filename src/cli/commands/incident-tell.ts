// `rekey incident note`, `timeline`, `report`, `review` and `close`: what is known, what happened, and the end.

import { momentText } from '#domain/incident-words.ts'
import type { JsonObject } from '#domain/json.ts'
import { moment, plain } from '../human.ts'
import { pathOf } from '../incident-steps.ts'
import { show } from '../output.ts'
import { present } from '../present-incident.ts'
import { objectAt, textAt } from '../read-json.ts'
import type { Run } from '../shell.ts'

interface NoteOptions {
  readonly text: string
  readonly kind: string
  readonly corrects?: string
  readonly dryRun?: true
}

export const note = async (
  run: Run,
  id: string,
  { dryRun, ...said }: NoteOptions,
): Promise<void> => {
  const { text, kind, corrects } = said
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/notes`,
    body: { text, kind, ...(corrects === undefined ? {} : { corrects }) },
    dryRun: dryRun === true,
  })
  await show(run, {
    json: body,
    names: [textAt(body, 'id')],
    text: () => `${textAt(body, 'kind')} ${textAt(body, 'id')}  ${plain(textAt(body, 'text'))}\n`,
  })
}

export const timeline = async (
  run: Run,
  id: string,
  { all }: { readonly all?: true },
): Promise<void> => {
  const client = await run.client()
  const query = all === true ? { detail: 'all' } : {}
  const items = await Array.fromAsync(client.list(`${pathOf(id)}/timeline`, query))
  const now = run.io.clock.now()
  await show(run, {
    json: { items },
    names: items.map((item) => `audit-event/${textAt(item, 'id')}`),
    text: () =>
      items
        .map((item) => {
          const said = textAt(item, 'note', 'text')
          const what =
            said === ''
              ? `${momentText(textAt(item, 'action'))}${textAt(item, 'outcome') === 'succeeded' ? '' : ` (${textAt(item, 'outcome')})`}${textAt(item, 'reason') === '' ? '' : `: ${textAt(item, 'reason')}`}`
              : `${textAt(item, 'note', 'kind')}: ${said}`
          const target =
            textAt(item, 'target', 'kind') === 'incident'
              ? ''
              : `  ${textAt(item, 'target', 'name')}`
          return `${moment(textAt(item, 'at'), now)}  ${textAt(item, 'byRekey') === 'true' ? 'Rekey' : plain(textAt(item, 'actor'))}  ${plain(what)}${plain(target)}\n`
        })
        .join(''),
  })
}

export const report = async (run: Run, id: string): Promise<void> => {
  const client = await run.client()
  const path = `${pathOf(id)}/report`
  if (run.format === 'table' || run.format === 'wide') {
    run.print(await client.text(path, {}, 'text/markdown'))
    return
  }
  const { body } = await client.send({ method: 'GET', path })
  await show(run, { json: body, names: [`incident/${id}`], text: () => '' })
}

export interface Said {
  readonly text?: string
  readonly reason?: string
  readonly dryRun?: true
}

export const end = async (
  run: Run,
  id: string,
  path: 'closures' | 'reviews',
  body: JsonObject,
  { dryRun }: Said,
): Promise<void> => {
  const client = await run.client()
  const reply = await client.send({
    method: 'POST',
    path: `${pathOf(id)}/${path}`,
    body,
    dryRun: dryRun === true,
  })
  await present(run, objectAt(reply.body))
}
