// `rekey approve rotation/ID`, or `plan/ID` for a plan of files: of what was seen, by its hash.

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
    .argument('<rotation>', 'rotation/ID, or plan/ID')
    .summary('approve the plan of a rotation, or of files')
    .description(
      'Approve the plan of a rotation that awaits it, or a plan of files. Nobody approves what they asked for.',
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
  if (reference.startsWith('plan/')) return approvePlan(run, reference, options)
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

const approvePlan = async (run: Run, reference: string, options: Options): Promise<void> => {
  const { showPlan } = await import('../apply-plan.ts')
  const client = await run.client()
  const path = `/v1/plans/${nameOf(reference, 'plan')}`
  const dryRun = options.dryRun === true
  const plan = objectAt((await client.send({ method: 'GET', path })).body)
  const shown = textAt(plan, 'hash')
  if (options.planHash === undefined && !dryRun) {
    mustAsk(run, shown)
    showPlan(run, plan)
    await mustSayYes(run)
  }
  const hash = options.planHash ?? shown
  const { body } = await client.send({
    method: 'POST',
    path: `${path}/approvals`,
    body: { hash },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [reference],
    text: () => `${reference}  ${dryRun ? 'would be approved' : 'approved'}\n`,
  })
  if (!dryRun) run.talk(`next: rekey apply ${reference}`)
}

/** Shows the plan and asks. Without a terminal the hash must be said: nobody approves what they have not seen. */
const planSeen = async (run: Run, path: string, dryRun: boolean): Promise<string> => {
  const client = await run.client()
  const rotation = objectAt((await client.send({ method: 'GET', path })).body)
  const planHash = textAt(rotation, 'planHash')
  if (dryRun) return planHash
  mustAsk(run, planHash)
  const lines = [
    rotationLine(rotation),
    `reason: ${textAt(rotation, 'reason')}`,
    `plan: ${planHash}`,
  ]
  run.io.stderr.write(lines.map((line) => `${plain(line)}\n`).join(''))
  await mustSayYes(run)
  return planHash
}

const mustAsk = (run: Run, hash: string): void => {
  if (run.io.interactive && run.format !== 'json') return
  throw usage('which plan is approved must be said, and there is no terminal to ask on', {
    hint: `add --plan-hash ${hash}, if this is the plan that was meant`,
  })
}

const mustSayYes = async (run: Run): Promise<void> => {
  const answer = await run.io.ask('Approve this plan? Type yes')
  if (answer === null) throw interrupted({ changed: 'nothing' })
  if (!/^y(?:es)?$/i.test(answer.trim()))
    throw usage('the answer was not yes', { code: 'cli.notConfirmed', title: 'Not confirmed' })
}
