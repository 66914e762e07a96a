// `rekey approve rotation/ID`, or `plan/ID` for a plan of files: of what was seen, by its hash; or `api-key/ID`.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import { segment } from '../segment.ts'
import { confirmYes } from '../confirm.ts'
import { usage } from '../failure.ts'
import { plain } from '../human.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { rotationLine } from '../rotation-text.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly planHash?: string
  readonly confirm?: string
  readonly dryRun?: true
}

export const addApprove = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('approve'))
    .argument('<what>', 'rotation/ID, plan/ID or api-key/ID')
    .summary('approve the plan of a rotation, or of files, or a token to break glass with')
    .description(
      'Approve the plan of a rotation that awaits it, a plan of files, or, as a second admin, a token to break glass with. Nobody approves what they asked for.',
    )
    .option('--plan-hash <hash>', 'the plan that is approved; asked for where it is not given')
    .option('--confirm <name>', 'of a token: its name, instead of typing it')
    .option('--dry-run', 'check everything and change nothing')
  command.action((what: string, options: Options) =>
    shell.act(command, { doing: `approve ${what}`, next: [whereToLook(what)] }, (run) =>
      approve(run, what, options),
    ),
  )
}

const whereToLook = (what: string): string =>
  what.startsWith('api-key/') ? 'rekey get api-keys' : `rekey describe ${what}`

/** What has a plan to approve. */
interface Approvable {
  readonly reference: string
  readonly path: string
  /** Of the plan's hash: in the resource, and in what is sent. */
  readonly field: 'planHash' | 'hash'
  readonly show: (run: Run, found: JsonObject) => void
  readonly next: string | null
}

const approvable = async (reference: string): Promise<Approvable> => {
  if (reference.startsWith('plan/')) {
    const { showPlan } = await import('../apply-plan.ts')
    const path = `/v1/plans/${segment(nameOf(reference, 'plan'))}`
    return { reference, path, field: 'hash', show: showPlan, next: `rekey apply ${reference}` }
  }
  const id = nameOf(reference, 'rotation')
  return {
    reference: `rotation/${id}`,
    path: `/v1/rotations/${segment(id)}`,
    field: 'planHash',
    show: showRotation,
    next: null,
  }
}

const showRotation = (run: Run, rotation: JsonObject): void => {
  const lines = [
    rotationLine(rotation),
    `reason: ${textAt(rotation, 'reason')}`,
    `plan: ${textAt(rotation, 'planHash')}`,
  ]
  run.io.stderr.write(lines.map((line) => `${plain(line)}\n`).join(''))
}

const approve = async (run: Run, given: string, options: Options): Promise<void> => {
  if (given.startsWith('api-key/')) {
    if (options.planHash !== undefined) throw usage('a token has no plan: leave --plan-hash out')
    const { approveApiKey } = await import('../approve-api-key.ts')
    const { dryRun = false, confirm } = options
    return approveApiKey(run, nameOf(given, 'api-key'), { dryRun, confirm })
  }
  if (options.confirm !== undefined) throw usage('--confirm is about a token: give --plan-hash')
  const of = await approvable(given)
  const { reference, path, field, next } = of
  const dryRun = options.dryRun === true
  const hash = options.planHash ?? (await hashSeen(run, of, dryRun))
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `${path}/approvals`,
    body: { [field]: hash },
    dryRun,
  })
  await show(run, {
    json: body,
    names: [reference],
    text: () => `${reference}  ${dryRun ? 'would be approved' : 'approved'}\n`,
  })
  if (!dryRun && next !== null) run.talk(`next: ${next}`)
}

/** Shows the plan and asks. Without a terminal the hash must be said: nobody approves what they have not seen. */
const hashSeen = async (
  run: Run,
  { path, field, show: showIt }: Approvable,
  dryRun: boolean,
): Promise<string> => {
  const client = await run.client()
  const found = objectAt((await client.send({ method: 'GET', path })).body)
  const hash = textAt(found, field)
  if (dryRun) return hash
  if (!run.io.interactive || run.format === 'json') {
    throw usage('which plan is approved must be said, and there is no terminal to ask on', {
      hint: `add --plan-hash ${hash}, if this is the plan that was meant`,
    })
  }
  showIt(run, found)
  await confirmYes(run, 'Approve this plan?')
  return hash
}
