// What the verbs that act on an open rotation share: `VERB rotation/ID --reason …`, with a typed id where it is dangerous.

import type { Command } from 'commander'
import { segment } from './segment.ts'
import { confirmByName } from './confirm.ts'
import { show, withOutput } from './output.ts'
import { objectAt } from './read-json.ts'
import { nameOf } from './reference.ts'
import { isRotation, rotationLine } from './rotation-text.ts'
import type { Run, Shell } from './shell.ts'

export interface SteeringVerb {
  readonly verb: string
  readonly summary: string
  readonly description: string
  /** Under `/v1/rotations/{id}/`. */
  readonly action: string
  /** What it does, for the person who types the id; null: nothing is asked. */
  readonly danger: string | null
  /** Printed when it is done and the reply is no rotation. */
  readonly done: string
}

interface Options {
  readonly reason: string
  readonly confirm?: string
  readonly dryRun?: true
}

export const addSteering = (program: Command, shell: Shell, steering: SteeringVerb): void => {
  const command = withOutput(program.command(steering.verb))
    .argument('<rotation>', 'rotation/ID')
    .summary(steering.summary)
    .description(steering.description)
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('--dry-run', 'check everything and change nothing')
  if (steering.danger !== null)
    command.option('--confirm <id>', 'the id again, instead of typing it')
  command.action((rotation: string, options: Options) =>
    shell.act(
      command,
      { doing: `${steering.verb} ${rotation}`, next: [`rekey describe ${rotation}`] },
      (run) => steer(run, steering, rotation, options),
    ),
  )
}

const steer = async (
  run: Run,
  steering: SteeringVerb,
  reference: string,
  options: Options,
): Promise<void> => {
  const id = nameOf(reference, 'rotation')
  const dryRun = options.dryRun === true
  if (steering.danger !== null && !dryRun)
    await confirmByName(run, id, steering.danger, options.confirm)
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `/v1/rotations/${segment(id)}/${steering.action}`,
    body: { reason: options.reason },
    dryRun,
  })
  const result = objectAt(body)
  await show(run, {
    json: result,
    names: [`rotation/${id}`],
    text: () =>
      `${dryRun ? 'would be: ' : ''}${isRotation(result) ? rotationLine(result) : `rotation/${id}  ${steering.done}`}\n`,
  })
  if (!dryRun) run.talk(`next: rekey describe rotation/${id}`)
}
