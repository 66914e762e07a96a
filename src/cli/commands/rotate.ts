// `rekey rotate key/NAME --reason …`: starts a rotation now, and follows it if asked to.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Client } from '../client.ts'
import { isFailure, usage, type Failure } from '../failure.ts'
import { durationOf } from '../moments.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { rotationLine } from '../rotation-text.ts'
import type { Run, Shell } from '../shell.ts'

const longestTimerMs = 2 ** 31 - 1

interface Options {
  readonly reason: string
  readonly wait?: true
  readonly follow?: true
  readonly timeout?: string
  readonly dryRun?: true
  readonly idempotencyKey?: string
}

export const addRotate = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('rotate'))
    .argument('<key>', 'key/NAME')
    .summary('rotate a key now')
    .description(
      'Start a rotation of a key now. Windows of its policy do not bind it; freezes, pauses and blackouts do.\n' +
        'With --wait or --follow the exit code tells how it ended: 0 completed, 1 otherwise, 7 still waiting at --timeout.',
    )
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('--wait', 'wait until it ends or needs a person')
    .option('--follow', 'the same, and show every step')
    .option(
      '--timeout <duration>',
      'how long to wait (default: 10m with --wait, no end with --follow)',
    )
    .option(
      '--dry-run',
      'show what it would do, call by call, and what the provider says; change nothing',
    )
    .option('--idempotency-key <key>', 'repeat an earlier call whose reply was lost')
  command.action((key: string, options: Options) =>
    shell.act(command, { doing: `rotate ${key}`, next: [`rekey describe ${key}`] }, (run) =>
      rotate(run, key, options),
    ),
  )
}

const rotate = async (run: Run, key: string, options: Options): Promise<void> => {
  const name = nameOf(key, 'key')
  const waits = options.wait === true || options.follow === true
  if (options.dryRun === true && waits) throw usage('a dry run starts nothing to wait for')
  if (options.timeout !== undefined && !waits) throw usage('--timeout goes with --wait or --follow')
  const timeoutMs = timeoutOf(options)
  const started = await start(run, name, options)
  if (options.dryRun === true) return presentPreview(run, started)
  if (!waits) {
    await present(run, started, rotationLine(started))
    run.talk(`next: rekey get rotation/${textAt(started, 'id')} --watch`)
    return
  }
  // Where every step is drawn, the first frame says it.
  if (options.follow !== true || run.io.stderr.size() === null)
    run.talk(`started ${rotationLine(started)}`)
  const { watchRotation } = await import('../watch-rotation.ts')
  await watchRotation(run, {
    id: textAt(started, 'id'),
    timeoutMs,
    steps: options.follow === true,
    changed: 'the rotation was started and is under way',
    from: started,
  })
}

const start = async (run: Run, key: string, options: Options): Promise<JsonObject> => {
  const client = await run.client()
  const idempotencyKey = options.idempotencyKey ?? run.io.ids.next()
  try {
    const { body } = await client.send({
      method: 'POST',
      path: '/v1/rotations',
      body: { key, reason: options.reason },
      idempotencyKey,
      dryRun: options.dryRun === true,
    })
    return objectAt(body)
  } catch (error) {
    if (!isFailure(error)) throw error
    if (error.info.code === 'idempotency.replyLost')
      return newest(client, key, options.reason, error)
    const rotation = textAt(error.info.problem as JsonObject | undefined, 'rotation')
    if (error.info.code === 'rotation.inProgress' && rotation !== '') {
      throw error.with({ next: [`rekey describe rotation/${rotation}`] })
    }
    const unknown = error.info.changed?.startsWith('unknown') === true && options.dryRun !== true
    if (!unknown) throw error
    throw error.with({
      next: [
        `rekey rotate key/${key} --reason "…" --idempotency-key ${idempotencyKey}`,
        `rekey get rotations --key ${key}`,
      ],
      hint: 'repeating with this key starts it once, whatever became of the first request; say the same reason',
    })
  }
}

/** It was started, and the server stopped before it could say so: the newest one of the key, if it has our reason. */
const newest = async (
  client: Client,
  key: string,
  reason: string,
  lost: Failure,
): Promise<JsonObject> => {
  for await (const rotation of client.list('/v1/rotations', { key })) {
    if (textAt(rotation, 'reason') === reason) return rotation
    break
  }
  throw lost.with({ changed: 'a rotation was started', next: [`rekey get rotations --key ${key}`] })
}

const timeoutOf = ({ timeout, follow }: Options): number | null => {
  if (timeout === undefined) return follow === true ? null : 10 * 60_000
  const ms = durationOf(timeout)
  if (ms === null)
    throw usage(`"${timeout}" is not a duration`, { hint: 'write 90s, 15m, 72h or 20d' })
  // A timer holds 31 bits of milliseconds and fires at once beyond.
  return ms > longestTimerMs ? null : ms
}

/** No rotation has this id: it is told with `-o json` only. */
const presentPreview = async (run: Run, rotation: JsonObject): Promise<void> => {
  const { previewText } = await import('../rotation-preview.ts')
  await show(run, {
    json: rotation,
    names: [`key/${textAt(rotation, 'key')}`],
    text: () => previewText(rotation, run.io.clock.now()),
  })
}

const present = (run: Run, rotation: JsonObject, text: string): Promise<void> =>
  show(run, {
    json: rotation,
    names: [`rotation/${textAt(rotation, 'id')}`],
    text: () => `${text}\n`,
  })
