// `rekey confirm rotation/ID`: a person says that a step which has no API is done, or that it was not. The new value itself
// never leaves this process: what is sent is its SHA-256.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import { segment } from '../segment.ts'
import { confirmYes } from '../confirm.ts'
import { usage } from '../failure.ts'
import { plain } from '../human.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, objectsAt, textAt, textsAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { rotationLine } from '../rotation-text.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly step?: string
  readonly notDone?: true
  readonly valueFrom?: string
  readonly fingerprint?: string
  readonly evidence?: string
  readonly dryRun?: true
}

export const addConfirm = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('confirm'))
    .argument('<rotation>', 'rotation/ID')
    .summary('say that a step by hand is done')
    .description(
      'Say that the step which a rotation waits for is done, or that it was not. Of a new value only the SHA-256 is sent.',
    )
    .option(
      '--step <operation>',
      'the step; the one that is asked for is shown where it is not given',
    )
    .option(
      '--value-from <file>',
      'a file with the new value, - for standard input: its SHA-256 is sent; a newline at its end does not count',
    )
    .option('--fingerprint <digest>', 'sha256: and the hex digest of the new value, made elsewhere')
    .option('--evidence <text>', 'how it is known: a ticket, what the old credential was answered')
    .option('--not-done', 'it was not done; --evidence says why')
    .option('--dry-run', 'check everything and change nothing')
  command.action((rotation: string, options: Options) =>
    shell.act(
      command,
      { doing: `confirm a step of ${rotation}`, next: [`rekey describe ${rotation}`] },
      (run) => confirm(run, rotation, options),
    ),
  )
}

const confirm = async (run: Run, reference: string, options: Options): Promise<void> => {
  const id = nameOf(reference, 'rotation')
  const { evidence, notDone, dryRun = false } = options
  const path = `/v1/rotations/${segment(id)}`
  const fingerprint = await fingerprintOf(run, options)
  const operationId = options.step ?? (await stepSeen(run, path, dryRun))
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${path}/confirmations`,
    body: {
      operationId,
      outcome: notDone ? 'notDone' : 'done',
      ...(fingerprint === null ? {} : { fingerprint }),
      ...(evidence === undefined ? {} : { evidence }),
    },
    dryRun,
  })
  const said = notDone ? 'said not to be done' : 'confirmed'
  await show(run, {
    json: body,
    names: [`rotation/${id}`],
    text: () => `rotation/${id}  ${dryRun ? 'would be ' : ''}${said}: ${plain(operationId)}\n`,
  })
  if (!dryRun) run.talk(`next: rekey describe rotation/${id}`)
}

const fingerprintOf = async (run: Run, options: Options): Promise<string | null> => {
  const { valueFrom, fingerprint } = options
  if (valueFrom !== undefined && fingerprint !== undefined)
    throw usage('--value-from and --fingerprint say the same: give one of them')
  if (fingerprint !== undefined) {
    if (/^sha256:[0-9a-f]{64}$/.test(fingerprint)) return fingerprint
    throw usage('--fingerprint takes sha256: and 64 hex digits', {
      hint: 'never the value itself: --value-from FILE makes the digest here',
    })
  }
  if (valueFrom === undefined) return null
  const text = valueFrom === '-' ? await run.io.readInput() : await textOf(run, valueFrom)
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw usage('there is no value in it: the digest of nothing proves nothing')
  return `sha256:${createHash('sha256').update(value, 'utf8').digest('hex')}`
}

const textOf = async (run: Run, file: string): Promise<string> => {
  try {
    return await readFile(resolve(run.io.cwd, file), 'utf8')
  } catch {
    throw usage(`${file} cannot be read`)
  }
}

/** Shows the step and asks. Without a terminal it must be named: nobody confirms what they have not read. */
const stepSeen = async (run: Run, path: string, dryRun: boolean): Promise<string> => {
  const client = await run.client()
  const rotation = objectAt((await client.send({ method: 'GET', path })).body)
  const step = objectsAt(rotation, 'steps').find((of) => textAt(of, 'endedAt') === '')
  const operation = textAt(step, 'operationId')
  if (operation === '') throw usage('it waits for no step of a person')
  if (dryRun) return operation
  if (!run.io.interactive || run.format === 'json') {
    throw usage('which step is done must be said, and there is no terminal to ask on', {
      hint: `add --step ${operation}, if this is the step that was done`,
    })
  }
  showStep(run, rotation)
  await confirmYes(run, 'Was this done, or not, as you say?')
  return operation
}

const showStep = (run: Run, rotation: JsonObject): void => {
  const lines = [
    rotationLine(rotation),
    textAt(rotation, 'waitingFor', 'text'),
    ...textsAt(rotation, 'waitingFor', 'missing').map((line) => `  - ${line}`),
  ]
  run.io.stderr.write(lines.map((line) => `${plain(line)}\n`).join(''))
}
