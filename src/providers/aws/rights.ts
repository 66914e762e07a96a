// The rights that Rekey needs, as one table: the policy that an administrator copies, the checks, and the preflight before a
// write are all read from it. What the connection may do is asked of IAM's own simulator: it knows identity policies,
// boundaries and organisation policies, and of resource policies nothing.

import type { Json, JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type Check } from '#domain/provider.ts'
import type { Aws } from './session.ts'

export interface Right {
  /** What it is for: `rotate`, `describe`, … */
  readonly name: string
  readonly actions: readonly string[]
  /** ARN, or `*` where IAM knows no narrower one. */
  readonly resource: string
  readonly condition?: JsonObject
  /** Not asked of the simulator: it hangs on something that only the call itself has. */
  readonly unasked?: boolean
}

/** To see its own rights. Narrow it to the connection's own user or role. */
export const checkRight: Right = {
  name: 'check',
  actions: ['iam:SimulatePrincipalPolicy'],
  resource: '*',
}

/** What a rotating connection must not have: whoever has it can give itself the rest. */
const powers: readonly string[] = [
  'iam:AttachUserPolicy',
  'iam:PutUserPolicy',
  'iam:AttachRolePolicy',
  'iam:PutRolePolicy',
  'iam:CreatePolicyVersion',
  'iam:UpdateAssumeRolePolicy',
]

/** IAM policies by name of the right; rights of one name stand in one document. */
export const policiesByName = (rights: readonly Right[]): Readonly<Record<string, Json>> =>
  Object.fromEntries(
    [...Map.groupBy(rights, ({ name }) => name)].map(([name, of]) => [
      name,
      { Version: '2012-10-17', Statement: of.map(statementOf) },
    ]),
  )

const statementOf = ({ actions, resource, condition }: Right): JsonObject => ({
  Effect: 'Allow',
  Action: [...actions],
  Resource: resource,
  ...(condition === undefined ? {} : { Condition: condition }),
})

interface Answer {
  readonly action: string
  readonly resource: string
  readonly allowed: boolean
}

interface AskedRight {
  readonly action: string
  readonly resource: string
  readonly condition?: JsonObject | undefined
}

/** The simulator knows neither aliases nor tags: it is told what the conditions of the rights ask for. */
const contextOf = (asked: readonly AskedRight[]) => {
  const values = new Map(
    asked.flatMap(({ condition = {} }) =>
      Object.values(condition).flatMap((of) => Object.entries(Object(of) as JsonObject)),
    ),
  )
  return [...values].map(([ContextKeyName, value]) => ({
    ContextKeyName,
    ContextKeyType: Array.isArray(value) ? ('stringList' as const) : ('string' as const),
    ContextKeyValues: [value].flat().map((one) => (typeof one === 'string' ? one : '')),
  }))
}

/** Null: the connection may not ask, or its principal cannot be simulated. A read. */
const simulate = async (
  aws: Aws,
  asked: readonly AskedRight[],
  call: Call,
): Promise<readonly Answer[] | null> => {
  const { principal } = await aws.identity(call)
  if (principal === null || aws.simulator.refused) return null
  const answers: Answer[] = []
  // One question for each resource: IAM answers every action for every resource of a question.
  for (const [resource, of] of Map.groupBy(asked, (one) => one.resource)) {
    const question = {
      PolicySourceArn: principal,
      ActionNames: [...new Set(of.map(({ action }) => action))],
      ResourceArns: [resource],
      ContextEntries: contextOf(of),
    }
    try {
      let marker: string | undefined
      do {
        const page = { ...question, ...(marker === undefined ? {} : { Marker: marker }) }
        // oxlint-disable-next-line no-await-in-loop -- IAM answers a handful of these a second
        const reply = await aws.read(
          'iam',
          principal,
          (iam, options) => iam.simulatePrincipalPolicy(page, options),
          call,
        )
        for (const { EvalActionName: action, EvalDecision: decision } of reply.EvaluationResults ??
          [])
          if (action !== undefined)
            answers.push({ action, resource, allowed: decision === 'allowed' })
        // A page may be shorter than was asked for, and what is not on it is not refused.
        marker = reply.IsTruncated === true ? reply.Marker : undefined
      } while (marker !== undefined)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      if (error.kind !== 'forbidden' && error.kind !== 'notFound') throw error
      // Refusals are in CloudTrail and may alarm somebody: it is not asked again.
      aws.simulator.refused = true
      return null
    }
  }
  return answers
}

const asksOf = (rights: readonly Right[]) =>
  rights
    .filter(({ unasked }) => unasked !== true)
    .flatMap(({ actions, resource, condition }) =>
      actions.map((action) => ({ action, resource, condition })),
    )

/** Throws `forbidden` naming the first right that is missing. Where the connection may not ask, nothing is thrown: then the
 *  call itself will tell. */
export const requireRights = async (
  aws: Aws,
  rights: readonly Right[],
  call: Call,
): Promise<void> => {
  const [hint] = await missingRights(aws, rights, call)
  if (hint !== undefined)
    throw new ProviderError(
      'forbidden',
      'none',
      'the policies of the connection’s principal do not allow it',
      { hint },
    )
}

/** What is missing of them, each a sentence; empty where the connection may not ask. */
export const missingRights = async (
  aws: Aws,
  rights: readonly Right[],
  call: Call,
): Promise<readonly string[]> => {
  const answers = await simulate(aws, asksOf(rights), call)
  return answers === null ? [] : rights.flatMap((right) => missingOf(right, answers))
}

/** One sentence, or none. */
const missingOf = (
  { actions, resource, unasked }: Right,
  answers: readonly Answer[],
): readonly string[] => {
  const missing = actions.filter(
    (action) => !answers.some((a) => a.action === action && a.resource === resource && a.allowed),
  )
  return missing.length === 0 || unasked === true
    ? []
    : [`needs ${missing.join(' and ')} on ${resource}`]
}

/** A row a right, and a row for each power beyond the least. */
export const checkRights = async (
  aws: Aws,
  rights: readonly Right[],
  call: Call,
): Promise<readonly Check[]> => {
  const { principal } = await aws.identity(call)
  // Whoever asks for the checks may have granted it meanwhile.
  aws.simulator.refused = false
  const answers = await simulate(
    aws,
    [...asksOf(rights), ...powers.map((action) => ({ action, resource: '*' }))],
    call,
  )
  if (answers === null)
    return [
      {
        name: 'rights',
        outcome: 'unknown',
        detail: 'the connection may not ask for its own rights',
        hint: `needs iam:SimulatePrincipalPolicy on ${principal ?? 'its own user or role'}`,
      },
    ]
  const rows = rights
    .filter(({ unasked }) => unasked !== true)
    .map((right): Check => {
      const [hint] = missingOf(right, answers)
      const base = { name: right.name, detail: `${right.actions.join(', ')} on ${right.resource}` }
      return hint === undefined ? { ...base, outcome: 'ok' } : { ...base, outcome: 'missing', hint }
    })
  const beyond = powers
    .filter((power) => answers.some((a) => a.action === power && a.allowed))
    .map((power): Check => ({
      name: 'beyondLeast',
      outcome: 'beyondLeast',
      detail: `the connection may do ${power}: it can give itself every right`,
      hint: 'give the connection a policy of its own with the least rights',
    }))
  return [...rows, ...beyond]
}
