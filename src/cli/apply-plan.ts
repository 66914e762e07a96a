// Applies a plan that somebody has looked at. New keys are registered in as many requests as it takes; each of them can be
// repeated, so that Ctrl-C, a lost reply or a crash of the server leave nothing that the same command does not finish.

import type { JsonObject } from '#domain/json.ts'
import { plain } from './human.ts'
import type { Client } from './client.ts'
import { confirmByName, confirmYes } from './confirm.ts'
import { Failure, interrupted, usage } from './failure.ts'
import { paintFor } from './paint.ts'
import { isChange, itemReference, planText } from './plan-text.ts'
import { objectAt, objectsAt, textAt } from './read-json.ts'
import type { Run } from './shell.ts'

/** On stderr, since what follows on stdout is the outcome. */
export const showPlan = (run: Run, plan: JsonObject): void => {
  if (run.format === 'json') return
  run.io.stderr.write(planText(plan, paintFor(run.io.env, run.io.stderr)))
}

/** Deletions ask for a name, typed; other changes for a yes. Without a terminal it must have been said. */
export const confirmPlan = async (run: Run, plan: JsonObject, yes: boolean): Promise<void> => {
  const changes = objectsAt(plan, 'items').filter(isChange)
  if (yes || changes.length === 0) return
  if (!run.io.interactive || run.format === 'json') {
    throw usage('this asks before it changes anything, and there is no terminal to ask on', {
      hint: 'look at it with --dry-run, then add --yes',
    })
  }
  const gone = changes.filter((item) => textAt(item, 'action') === 'delete').length
  if (gone > 0) {
    const effect = `${gone} of the owner's resources ${gone === 1 ? 'is' : 'are'} deleted.`
    return confirmByName(run, textAt(plan, 'owner'), effect, undefined)
  }
  await confirmYes(run, 'Apply this plan?')
}

/** A plan that others must approve first is not an error: it waits, and so does whoever called. */
export const mustNotWait = (plan: JsonObject): void => {
  const needed = objectsAt(objectAt(plan, 'approvals'), 'needed')
  if (needed.length === 0) return
  const reference = `plan/${textAt(plan, 'id')}`
  throw new Failure({
    code: 'cli.awaitsApproval',
    exit: 'stillWaiting',
    title: 'The plan needs an approval first',
    detail: `${plain(needed.map((need) => textAt(need, 'text')).join(' '))} Somebody else must agree.`,
    changed: 'nothing',
    next: [`rekey approve ${reference}     (somebody else)`, `rekey apply ${reference}`],
    problem: { plan },
  })
}

/** As it is in the end: with keys that are still pending only where a whole request registered none. */
export const applyPlan = async (run: Run, plan: JsonObject): Promise<JsonObject> => {
  const client = await run.client()
  let applied = await post(client, plan)
  for (let before = Infinity; ;) {
    const left = keysOf(applied, 'pending').length
    if (left === 0 || left >= before) return applied
    before = left
    run.talk(`${left} key${left === 1 ? ' is' : 's are'} still to be registered`)
    if (run.signal.aborted) throw interrupted({ next: [`rekey apply plan/${textAt(plan, 'id')}`] })
    applied = await post(client, plan) // oxlint-disable-line no-await-in-loop -- one request after the other
  }
}

const post = async (client: Client, plan: JsonObject): Promise<JsonObject> => {
  const { body } = await client.send({
    method: 'POST',
    path: `/v1/plans/${textAt(plan, 'id')}/apply`,
    body: { hash: textAt(plan, 'hash') },
  })
  return objectAt(body)
}

const keysOf = (plan: JsonObject, outcome: string): readonly JsonObject[] =>
  objectsAt(plan, 'items').filter((item) => textAt(item, 'outcome') === outcome)

export const mustBeDone = (applied: JsonObject): void => {
  const refused = keysOf(applied, 'refused')
  const open = refused.length + keysOf(applied, 'pending').length
  if (open === 0) return
  const reference = `plan/${textAt(applied, 'id')}`
  throw new Failure({
    code: 'cli.partly',
    exit: 'partly',
    title: `${open} key${open === 1 ? ' is' : 's are'} not registered yet, the rest is applied`,
    errors: refused.map((item) => ({
      pointer: itemReference(item),
      detail: plain(`${textAt(item, 'problem', 'detail')} [${textAt(item, 'problem', 'code')}]`),
    })),
    changed: 'everything but these keys',
    next: [`rekey apply ${reference}     (once the cause is gone)`],
    problem: { plan: applied },
  })
}
