// `rekey logs`: audit events, oldest first. `--follow` asks again and again from the last moment that it has seen, with an
// overlap, and drops what it has shown: events of one moment may be committed in any order.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Client, Query } from '../client.ts'
import { interrupted, isFailure, usage } from '../failure.ts'
import { momentBefore } from '../moments.ts'
import { eventLine } from '../event-line.ts'
import { withOutput } from '../output.ts'
import { textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly follow?: true
  readonly rotation?: string
  readonly key?: string
  readonly actor?: string
  readonly action?: string
  readonly outcome?: string
  readonly since?: string
  readonly until?: string
  readonly tail?: string
}

const everyMs = 1_000
/** Transactions that began earlier may commit later; none lives longer. */
const overlapMs = 30_000
const outageMs = 120_000

export const addLogs = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('logs'))
    .summary('show audit events')
    .description(
      'Show audit events, oldest first; the last day where nothing else is said.\n' +
        'With --follow they are shown as they come; with --rotation it ends when the rotation does. -o json prints one event a line.',
    )
    .option('-f, --follow', 'go on with what happens')
    .option('--rotation <id>', 'of one rotation, from its beginning')
    .option('--key <name>', 'of one key')
    .option('--actor <id>', 'of one actor')
    .option('--action <action>', 'of one action, such as rotation.promoted')
    .option('--outcome <outcome>', 'intent, succeeded, failed, denied or unknown')
    .option('--since <moment>', 'RFC 3339, or a duration back from now')
    .option('--until <moment>', 'RFC 3339, or a duration back from now')
    .option('--tail <count>', 'only the last ones of those that are there')
  command.action((options: Options) =>
    shell.act(
      command,
      { doing: 'read the audit log', detached: 'run the same command again to go on' },
      (run) => logs(run, options),
    ),
  )
}

const logs = async (run: Run, options: Options): Promise<void> => {
  if (options.follow === true && options.until !== undefined)
    throw usage('--follow has no end: leave --until out')
  const tail =
    options.tail === undefined ? Infinity : Number(/^\d{1,6}$/.exec(options.tail)?.[0] ?? 'none')
  if (Number.isNaN(tail)) throw usage('--tail takes a number')
  if (options.follow === true && isOnlyRotation(options)) {
    const { followEvents } = await import('../follow-events.ts')
    return followEvents(run, rotationOf(options.rotation), (event) =>
      run.print(eventLine(run, event)),
    )
  }
  const filter = filterOf(run, options)
  const client = await run.client()
  const seen = new Set<string>()
  const first = await read(client, filter, seen, options.follow === true ? Infinity : tail)
  const shown = tail === 0 ? [] : tail === Infinity ? first : first.slice(-tail)
  for (const event of shown) run.print(eventLine(run, event))
  if (options.follow !== true) {
    if (first.length === 0)
      run.talk('there are no such events in that time: --since looks further back')
    return
  }
  await follow(run, client, filter, seen, first.at(-1))
}

const follow = async (
  run: Run,
  client: Client,
  filter: Query,
  seen: Set<string>,
  newest: JsonObject | undefined,
): Promise<void> => {
  let from = newest === undefined ? run.io.clock.now() : new Date(textAt(newest, 'at'))
  let awayMs = 0
  for (;;) {
    await run.io.clock.pause(everyMs, run.signal)
    if (run.signal.aborted) throw interrupted({ title: 'Detached', changed: 'nothing' })
    try {
      const events = await read(
        client,
        { ...filter, from: new Date(from.getTime() - overlapMs).toISOString() },
        seen,
      )
      awayMs = 0
      for (const event of events) run.print(eventLine(run, event))
      const last = events.at(-1)
      if (last !== undefined)
        from = new Date(Math.max(from.getTime(), new Date(textAt(last, 'at')).getTime()))
    } catch (error) {
      if (!isFailure(error) || error.info.exit !== 'unreachable' || awayMs > outageMs) throw error
      if (awayMs === 0) run.talk('the server is away; still trying')
      awayMs += everyMs
    }
  }
}

/** Those that were not seen before, oldest first. */
const read = async (
  client: Client,
  filter: Query,
  seen: Set<string>,
  count = Infinity,
): Promise<readonly JsonObject[]> => {
  const events: JsonObject[] = []
  for await (const event of client.list('/v1/audit/events', filter)) {
    const id = textAt(event, 'id')
    if (seen.has(id)) continue
    seen.add(id)
    events.push(event)
    // The newest come first.
    if (events.length >= count) break
  }
  return events.toSorted(
    (a, b) =>
      compare(textAt(a, 'at'), textAt(b, 'at')) || compare(textAt(a, 'id'), textAt(b, 'id')),
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const filterOf = (run: Run, options: Options): Query => {
  const now = run.io.clock.now()
  const rotation = options.rotation === undefined ? undefined : rotationOf(options.rotation)
  const key = options.key === undefined ? undefined : nameOf(prefixed(options.key, 'key'), 'key')
  const dayAgo = rotation === undefined ? new Date(now.getTime() - 86_400_000) : undefined
  const from = options.since === undefined ? dayAgo : momentBefore(options.since, now, '--since')
  return {
    rotation,
    key,
    actor: options.actor,
    action: options.action,
    outcome: options.outcome,
    from: from?.toISOString(),
    to:
      options.until === undefined
        ? undefined
        : momentBefore(options.until, now, '--until').toISOString(),
  }
}

const rotationOf = (text: string): string => nameOf(prefixed(text, 'rotation'), 'rotation')

/** Then the rotation's own stream says it all. */
const isOnlyRotation = (options: Options): options is Options & { readonly rotation: string } =>
  options.rotation !== undefined &&
  [options.key, options.actor, options.action, options.outcome, options.since, options.tail].every(
    (filter) => filter === undefined,
  )

/** Both `ID` and `rotation/ID`, as other verbs have it. */
const prefixed = (text: string, kind: string): string =>
  text.includes('/') ? text : `${kind}/${text}`
