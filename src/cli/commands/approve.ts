// `rekey approve rotation/ID`: of the plan that was seen, by its hash.

import type { Command } from 'commander'
import { segment } from '../segment.ts'
import { interrupted, usage } from '../failure.ts'
import { plain } from '../human.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { rotationLine } from '../rotation-text.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly planHash?: string
  readonly dryRun?: true
}

export const addApprove = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('approve'))
    .argument('<rotation>', 'rotation/ID')
    .summary('approve the plan of a rotation')
    .description(
      'Approve the plan of a rotation that awaits it. Nobody approves what they asked for.',
    )
    .option('--plan-hash <hash>', 'the plan that is approved; asked for where it is not given')
    .option('--dry-run', 'check everything and change nothing')
  command.action((rotation: string, options: Options) =>
    shell.act(
      command,
      { doing: `approve ${rotation}`, next: [`rekey describe ${rotation}`] },
      (run) => approve(run, rotation, options),
    ),
  )
}

const approve = async (run: Run, reference: string, options: Options): Promise<void> => {
  const id = nameOf(reference, 'rotation')
  const dryRun = options.dryRun === true
  const client = await run.client()
  const path = `/v1/rotations/${segment(id)}`
  const planHash = options.planHash ?? (await planSeen(run, path, dryRun))
  const { body } = await client.send({
    method: 'POST',
    path: `${path}/approvals`,
    body: { planHash },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [`rotation/${id}`],
    text: () => `rotation/${id}  ${dryRun ? 'would be approved' : 'approved'}\n`,
  })
}

/** Shows the plan and asks. Without a terminal the hash must be said: nobody approves what they have not seen. */
const planSeen = async (run: Run, path: string, dryRun: boolean): Promise<string> => {
  const client = await run.client()
  const rotation = objectAt((await client.send({ method: 'GET', path })).body)
  const planHash = textAt(rotation, 'planHash')
  if (dryRun) return planHash
  if (!run.io.interactive || run.format === 'json') {
    throw usage('which plan is approved must be said, and there is no terminal to ask on', {
      hint: `add --plan-hash ${planHash}, if this is the plan that was meant`,
    })
  }
  const lines = [
    rotationLine(rotation),
    `reason: ${textAt(rotation, 'reason')}`,
    `plan: ${planHash}`,
  ]
  run.io.stderr.write(lines.map((line) => `${plain(line)}\n`).join(''))
  const answer = await run.io.ask('Approve this plan? Type yes')
  if (answer === null) throw interrupted({ changed: 'nothing' })
  if (!/^y(?:es)?$/i.test(answer.trim()))
    throw usage('the answer was not yes', { code: 'cli.notConfirmed', title: 'Not confirmed' })
  return planHash
}
