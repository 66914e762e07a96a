// `rekey ack rotation/ID --consumer NAME`: an application says that it uses the new version.

import type { Command } from 'commander'
import { segment } from '../segment.ts'
import { isFailure, usage } from '../failure.ts'
import { numberOf } from '../number-of.ts'
import { show, withOutput } from '../output.ts'
import { numberAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly consumer: string
  readonly version?: string
  readonly evidence?: string
  readonly dryRun?: true
}

export const addAck = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('ack'))
    .argument('<rotation>', 'rotation/ID')
    .summary('acknowledge a new version as a consumer')
    .description('Say that a consumer uses the new version (in a rollback: the old one again).')
    .requiredOption('--consumer <name>', 'the application')
    .option(
      '--version <number>',
      'the version that it uses (default: the one that the rotation waits for)',
    )
    .option('--evidence <text>', 'how it is known: a deployment, a log line')
    .option('--dry-run', 'check everything and change nothing')
  command.action((rotation: string, options: Options) =>
    shell.act(
      command,
      { doing: `acknowledge ${rotation}`, next: [`rekey describe ${rotation}`] },
      (run) => acknowledge(run, rotation, options),
    ),
  )
}

const acknowledge = async (run: Run, reference: string, options: Options): Promise<void> => {
  const id = nameOf(reference, 'rotation')
  const consumer = nameOf(`consumer/${options.consumer}`, 'consumer')
  const path = `/v1/rotations/${segment(id)}`
  const version =
    options.version === undefined ? await awaited(run, path) : numberOf(options.version, 'version')
  const dryRun = options.dryRun === true
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${path}/acknowledgements`,
    body: {
      consumer,
      version,
      ...(options.evidence === undefined ? {} : { evidence: options.evidence }),
    },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [`rotation/${id}`],
    text: () =>
      `rotation/${id}  ${dryRun ? 'would be acknowledged' : 'acknowledged'} by ${consumer} for v${version}\n`,
  })
}

/** An `ack` token may not read the rotation: it says the version. */
const awaited = async (run: Run, path: string): Promise<number> => {
  const client = await run.client()
  try {
    const { body } = await client.send({ method: 'GET', path })
    const undone =
      typeof body === 'object' &&
      body !== null &&
      'phase' in body &&
      body['phase'] === 'rollingBack'
    const version = numberAt(body, undone ? 'fromVersion' : 'toVersion')
    if (version === null) throw usage('the rotation has made no new version yet')
    return version
  } catch (error) {
    if (!isFailure(error) || error.info.exit !== 'rights') throw error
    throw error.with({ hint: 'this token may not read the rotation: add --version NUMBER' })
  }
}
