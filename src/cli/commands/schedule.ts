// `rekey schedule`: what will rotate when.

import { Option, type Command } from 'commander'
import { usage } from '../failure.ts'
import { moment, orDash } from '../human.ts'
import { momentOf } from '../moments.ts'
import { formats, show } from '../output.ts'
import { listAt, textAt, textsAt } from '../read-json.ts'
import type { Run, Shell } from '../shell.ts'
import { table, type Column } from '../table.ts'
import type { JsonObject } from '#domain/json.ts'

interface Options {
  readonly from?: string
  readonly to?: string
  readonly output: string
}

export const addSchedule = (program: Command, shell: Shell): void => {
  const command = program
    .command('schedule')
    .summary('show what rotates when')
    .description(
      'Show the rotations that are due, from now on for 30 days where nothing else is said; of each key the first eleven.',
    )
    .option('--from <moment>', 'RFC 3339, or a duration from now')
    .option('--to <moment>', 'RFC 3339, or a duration from now')
    .addOption(
      new Option('-o, --output <format>', 'form of what is printed; ical for calendars')
        .choices([...formats, 'ical'])
        .default('table'),
    )
  command.action((options: Options) =>
    shell.act(command, { doing: 'read the schedule' }, (run) => schedule(run, options)),
  )
}

const columns: readonly Column<JsonObject>[] = [
  { title: 'AT', text: (item, now) => moment(textAt(item, 'at') || textAt(item, 'dueAt'), now) },
  { title: 'KEY', text: (item) => orDash(textAt(item, 'key')) },
  { title: 'POLICY', text: (item) => orDash(textAt(item, 'policy')) },
  { title: 'TRIGGER', text: (item) => orDash(textAt(item, 'trigger')) },
]

const schedule = async (run: Run, options: Options): Promise<void> => {
  const now = run.io.clock.now()
  const from = options.from === undefined ? now : momentOf(options.from, now, '--from')
  const to =
    options.to === undefined
      ? new Date(from.getTime() + 30 * 86_400_000)
      : momentOf(options.to, now, '--to')
  if (to <= from) throw usage('--to lies before --from')
  const query = { from: from.toISOString(), to: to.toISOString() }
  const client = await run.client()
  if (options.output === 'ical') {
    run.print(await client.text('/v1/schedule', query, 'text/calendar'))
    return
  }
  const items = await Array.fromAsync(client.list('/v1/schedule', query))
  const rows = items
    .flatMap(eachOf)
    .toSorted((a, b) => (textAt(a, 'at') < textAt(b, 'at') ? -1 : 1))
  if (items.some((item) => listAt(item, 'following').length >= mostFollowing))
    run.talk(`of a key ${mostFollowing + 1} are shown at most: a later --from shows more`)
  if (items.length === 0) run.talk(`nothing rotates between ${query.from} and ${query.to}`)
  await show(run, {
    json: { items },
    names: items.map((item) => `key/${textAt(item, 'key')}`),
    text: () => (items.length === 0 ? '' : table(columns, rows, now)),
  })
}

/** As many as the server tells of one key, beside its first. */
const mostFollowing = 10

/** A line for each time: the server tells the first of a key, and those that follow. */
const eachOf = (item: JsonObject): readonly JsonObject[] => [
  item,
  ...textsAt(item, 'following').map((at) => ({ ...item, at, trigger: 'schedule' })),
]
