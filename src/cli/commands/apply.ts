// `rekey apply -f policies/`: makes a plan, shows it, asks, and applies exactly that. `rekey apply plan/ID` applies one that
// was made before: after an approval, or to go on with its keys.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import { usage } from '../failure.ts'
import { show, withOutput } from '../output.ts'
import { allowedBy, type FileOptions, planFiles, withAllowances, withFiles } from '../plan-files.ts'
import { isChange, itemReference, planText } from '../plan-text.ts'
import { objectAt, objectsAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'
import { lines } from '../table.ts'
import { paintFor } from '../paint.ts'

interface Options extends FileOptions {
  readonly dryRun?: true
  readonly yes?: true
}

export const addApply = (program: Command, shell: Shell): void => {
  const command = withAllowances(withFiles(withOutput(program.command('apply'))))
    .argument('[plan]', 'plan/ID: a plan that was made before')
    .summary('do what files say')
    .description(
      'Make a plan of files, show it, ask, and do exactly that, all of it or nothing. New keys are registered afterwards, one by one.\n' +
        'Exit code 6: some keys were refused, the rest is done. 7: somebody else must approve the plan first.',
    )
    .option('--dry-run', 'show the plan and change nothing')
    .option('-y, --yes', 'do not ask')
  command.action((plan: string | undefined, options: Options) =>
    shell.act(
      command,
      {
        doing: `apply ${plan ?? options.file?.join(' ') ?? ''}`.trim(),
        detached: 'what was begun at the server goes on; run the same command to see and finish it',
      },
      (run) => apply(run, plan, options),
    ),
  )
}

const apply = async (run: Run, reference: string | undefined, options: Options): Promise<void> => {
  if ((reference === undefined) === (options.file === undefined)) {
    throw usage('say either which files (-f) or which plan (plan/ID)')
  }
  const steps = await import('../apply-plan.ts')
  const dryRun = options.dryRun === true
  const { plan, fileOf } =
    reference === undefined
      ? await planFiles(run, options, { allow: allowedBy(options), dryRun })
      : { plan: await planNamed(run, nameOf(reference, 'plan')), fileOf: new Map<string, string>() }
  if (dryRun) return showDry(run, plan)
  steps.showPlan(run, plan)
  if (reference === undefined) steps.mustNotWait(plan)
  await steps.confirmPlan(run, plan, options.yes === true)
  const idle = reference === undefined && !objectsAt(plan, 'items').some(hasWork)
  const applied = idle ? plan : await steps.applyPlan(run, plan)
  await showApplied(run, applied, fileOf)
  steps.mustBeDone(applied)
}

/** Also a key that is unchanged, and whose object is still being made. */
const hasWork = (item: JsonObject): boolean =>
  isChange(item) || objectsAt(item, 'effects').length > 0

const planNamed = async (run: Run, id: string): Promise<JsonObject> => {
  const client = await run.client()
  return objectAt((await client.send({ method: 'GET', path: `/v1/plans/${id}` })).body)
}

const showDry = (run: Run, plan: JsonObject): Promise<void> =>
  show(run, {
    json: plan,
    names: objectsAt(plan, 'items').filter(isChange).map(itemReference),
    text: () => planText(plan, paintFor(run.io.env, run.io.stdout)),
  })

const results: Readonly<Record<string, string>> = {
  create: 'created',
  update: 'changed',
  delete: 'deleted',
  unchanged: 'unchanged',
}

const showApplied = (
  run: Run,
  plan: JsonObject,
  fileOf: ReadonlyMap<string, string>,
): Promise<void> => {
  const rows = objectsAt(plan, 'items').map((item) => {
    const outcome = textAt(item, 'outcome')
    return {
      reference: itemReference(item),
      result:
        outcome === 'refused' || outcome === 'pending'
          ? outcome
          : (results[textAt(item, 'action')] ?? textAt(item, 'action')),
      file: fileOf.get(`${textAt(item, 'kind')} ${textAt(item, 'name')}`) ?? '',
    }
  })
  return show(run, {
    json: plan,
    names: rows.map(({ reference }) => reference),
    text: () => lines(rows.map(({ reference, result, file }) => [reference, result, file])),
  })
}
