// `rekey freeze show | set | clear`: the one switch that holds every forward write at providers. Undo is never held.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Reply } from '../client.ts'
import { Failure, isFailure } from '../failure.ts'
import { moment, orDash } from '../human.ts'
import { momentOf } from '../moments.ts'
import { show, withOutput } from '../output.ts'
import { at, labelsText, objectAt, textAt } from '../read-json.ts'
import { matchLabels, parseSelector } from '../selector.ts'
import { sheet } from '../sheet.ts'
import type { Run, Shell } from '../shell.ts'

interface SetOptions {
  readonly until: string
  readonly reason: string
  readonly selector?: string
  readonly connection?: string
  readonly dryRun?: true
}

const path = '/v1/freeze'

export const addFreeze = (program: Command, shell: Shell): void => {
  const freeze = program
    .command('freeze')
    .summary('hold all rotations for a while')
    .description('A freeze holds every forward step that would write at a provider. Undo goes on.')
  const display = withOutput(freeze.command('show', { isDefault: true }))
    .summary('show the freeze, if there is one')
    .description('Show the freeze.')
  display.action(() => shell.act(display, { doing: 'read the freeze' }, showFreeze))

  const set = withOutput(freeze.command('set'))
    .summary('freeze')
    .description('Freeze until a moment. A new freeze replaces the one there is.')
    .requiredOption('--until <moment>', 'RFC 3339, or a duration from now such as 2h')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('-l, --selector <labels>', 'only keys with these labels: team=payments')
    .option('--connection <name>', 'only keys of this connection')
    .option('--dry-run', 'check everything and change nothing')
  set.action((options: SetOptions) =>
    shell.act(set, { doing: 'freeze', next: ['rekey freeze show'] }, (run) =>
      setFreeze(run, options),
    ),
  )

  const clear = withOutput(freeze.command('clear'))
    .summary('end the freeze')
    .description('End the freeze. What it held goes on.')
    .option('--dry-run', 'check everything and change nothing')
  clear.action((options: { readonly dryRun?: true }) =>
    shell.act(clear, { doing: 'end the freeze', next: ['rekey freeze show'] }, (run) =>
      clearFreeze(run, options.dryRun === true),
    ),
  )
}

const showFreeze = async (run: Run): Promise<void> => {
  const live = await read(run)
  if (live === null) run.talk('nothing is frozen')
  await present(run, live === null ? null : objectAt(live.body), '')
}

const setFreeze = async (run: Run, options: SetOptions): Promise<void> => {
  const until = momentOf(options.until, run.io.clock.now(), '--until').toISOString()
  const labels = parseSelector(options.selector ?? '')
  const selector = {
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(labels.length === 0 ? {} : { matchLabels: matchLabels(labels) }),
  }
  const client = await run.client()
  const live = await read(run)
  const { body } = await client.send({
    method: 'PUT',
    path,
    body: {
      until,
      reason: options.reason,
      ...(Object.keys(selector).length === 0 ? {} : { selector }),
    },
    ...precondition(live),
    dryRun: options.dryRun === true,
  })
  await present(run, objectAt(body), options.dryRun === true ? 'would be ' : '')
}

const clearFreeze = async (run: Run, dryRun: boolean): Promise<void> => {
  const client = await run.client()
  const live = await read(run)
  if (live === null) {
    throw new Failure({
      code: 'resource.notFound',
      exit: 'notFound',
      title: 'There is no such resource',
      detail: 'nothing is frozen',
      changed: 'nothing',
    })
  }
  const { body } = await client.send({ method: 'DELETE', path, ...precondition(live), dryRun })
  await show(run, {
    json: body,
    names: ['freeze'],
    text: () => (dryRun ? 'the freeze would end\n' : 'the freeze has ended\n'),
  })
}

/** Null where nothing is frozen, whichever way the server says so. */
const read = async (run: Run): Promise<Reply | null> => {
  const client = await run.client()
  try {
    const reply = await client.send({ method: 'GET', path })
    return textAt(reply.body, 'until') === '' ? null : reply
  } catch (error) {
    if (isFailure(error, 'resource.notFound')) return null
    throw error
  }
}

const precondition = (live: Reply | null): { ifMatch: string } | { ifNoneMatch: '*' } =>
  live === null ? { ifNoneMatch: '*' } : { ifMatch: live.etag ?? '*' }

const present = (run: Run, freeze: JsonObject | null, prefix: string): Promise<void> =>
  show(run, {
    json: freeze,
    names: freeze === null ? [] : ['freeze'],
    text: () => (freeze === null ? '' : `${prefix}${freezeText(run, freeze)}`),
  })

const freezeText = (run: Run, freeze: JsonObject): string =>
  sheet('frozen', [
    ['until', moment(textAt(freeze, 'until'), run.io.clock.now())],
    ['reason', orDash(textAt(freeze, 'reason'))],
    ['by', orDash(textAt(freeze, 'status', 'setBy') || textAt(freeze, 'setBy'))],
    ['keys', selected(freeze)],
  ])

const selected = (freeze: JsonObject): string => {
  const parts = [
    textAt(freeze, 'selector', 'connection'),
    textAt(freeze, 'selector', 'type'),
    labelsText(at(freeze, 'selector', 'matchLabels')),
  ].filter((part) => part !== '')
  return parts.length === 0 ? 'all' : parts.join('; ')
}
