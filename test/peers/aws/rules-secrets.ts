// Secrets Manager, where moto is lax. From the API reference (docs.aws.amazon.com/secretsmanager/latest/apireference) and the
// user guide:
//
//   PutSecretValue            a token that is known does nothing for the same content and is refused for another
//   UpdateSecretVersionStage  a label on another version moves only where RemoveFromVersionId names that one; AWSCURRENT is
//                             moved, never removed; at most 20 labels
//   DescribeSecret            tells only of versions with a label
//   ListSecretVersionIds      those without one only for IncludeDeprecated; with the date of making
//   GetSecretValue            without version and label: AWSCURRENT (moto forgets to follow it)
//   all                       lengths of ids; nothing but reading its description for a secret that is scheduled for deletion
//
// `stale(n)`: the next n answers of DescribeSecret are from before the last write, as eventual consistency has it.
// Not there: the pruning of versions beyond a hundred, KMS keys of the secret's own, resource policies.

import { json, refusal, textIn, textsIn, type Body, type Reply } from './wire.ts'
import type { RuleAt, Rules } from './rules.ts'

const service = 'secretsmanager'
const writes = new Set([
  'CreateSecret',
  'PutSecretValue',
  'UpdateSecret',
  'UpdateSecretVersionStage',
  'DeleteSecret',
  'RestoreSecret',
  'TagResource',
])
const ofLiving = new Set(['PutSecretValue', 'UpdateSecretVersionStage', 'GetSecretValue'])

type Stages = Readonly<Record<string, readonly string[]>>

export const makeSecretRules = (): Rules & { readonly stale: (answers: number) => void } => {
  const createdAt = new Map<string, number>()
  const before = new Map<string, string>()
  let stale = 0

  const describe = async ({ moto, asked }: RuleAt): Promise<Body | null> => {
    const id = textIn(asked.body, 'SecretId') || textIn(asked.body, 'Name')
    const reply = await moto.send(service, 'DescribeSecret', JSON.stringify({ SecretId: id }))
    return reply.status === 200 ? labelled(JSON.parse(reply.text) as Body) : null
  }

  return {
    writes,
    stale: (answers) => {
      stale = answers
    },
    subject: (body) => textIn(body, 'SecretId') || textIn(body, 'Name'),
    resource: async (at) => {
      if (at.asked.operation === 'ListSecrets') return '*'
      const told = await describe(at)
      const name = textIn(at.asked.body, 'SecretId') || textIn(at.asked.body, 'Name')
      return told === null
        ? `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${name}-AbCdEf`
        : textIn(told, 'ARN')
    },
    before: async (at) => {
      const { asked } = at
      const { operation, body } = asked
      for (const name of [
        'ClientRequestToken',
        'VersionId',
        'MoveToVersionId',
        'RemoveFromVersionId',
      ])
        if (body[name] !== undefined && !isId(textIn(body, name)))
          return refusal(service, 'ValidationException', `1 validation error: ${name} is too short`)
      const told = await describe(at)
      if (typeof told?.['DeletedDate'] === 'number' && ofLiving.has(operation))
        return refusal(
          service,
          'InvalidRequestException',
          "You can't perform this operation on the secret because it was marked for deletion.",
        )
      if (writes.has(operation) && told !== null)
        before.set(textIn(told, 'Name'), JSON.stringify(told))
      if (operation === 'DescribeSecret' && told !== null && stale > 0) {
        stale -= 1
        const old = before.get(textIn(told, 'Name'))
        if (old !== undefined) return json(JSON.parse(old))
      }
      if (told === null) return null
      if (operation === 'PutSecretValue' || operation === 'CreateSecret')
        return knownToken(at, operation)
      if (operation === 'UpdateSecretVersionStage') return refusedMove(body, stagesOf(told))
      if (operation === 'GetSecretValue' && !('VersionId' in body) && !('VersionStage' in body))
        return { text: JSON.stringify({ ...body, VersionStage: 'AWSCURRENT' }) }
      return null
    },
    after: async ({ moto, principal, asked }, reply) => {
      if (reply.status !== 200) return reply
      const answer = JSON.parse(reply.text) as Body
      const made = textIn(answer, 'VersionId')
      if (writes.has(asked.operation) && made !== '' && !createdAt.has(made))
        createdAt.set(made, Date.now() / 1000)
      if (asked.operation === 'DescribeSecret') return json(labelled(answer))
      if (asked.operation !== 'ListSecretVersionIds') return reply
      const versions = (answer['Versions'] as readonly Body[])
        .map((row) => {
          const { VersionStages: stages, ...rest } = row
          return {
            ...rest,
            CreatedDate: createdAt.get(textIn(row, 'VersionId')) ?? row['CreatedDate'],
            ...(textsIn(stages).length === 0 ? {} : { VersionStages: stages }),
          }
        })
        .filter((row) => 'VersionStages' in row || asked.body['IncludeDeprecated'] === true)
      const { NextToken: _none, ...others } = answer
      // moto writes the name.
      const told = await describe({ moto, principal, asked })
      return json({ ...others, ARN: told?.['ARN'], Versions: versions })
    },
  }
}

const isId = (id: string): boolean => id.length >= 32 && id.length <= 64

const stagesOf = (told: Body): Stages => Object(told['VersionIdsToStages']) as Stages

const labelled = (told: Body): Body => ({
  ...told,
  VersionIdsToStages: Object.fromEntries(
    Object.entries(stagesOf(told)).filter(([, stages]) => stages.length > 0),
  ),
})

const knownToken = async (
  { moto, asked: { body } }: RuleAt,
  operation: string,
): Promise<Reply | null> => {
  const id = textIn(body, 'SecretId') || textIn(body, 'Name')
  const token = textIn(body, 'ClientRequestToken')
  const asking = JSON.stringify({ SecretId: id, VersionId: token })
  const reply = await moto.send(service, 'GetSecretValue', asking)
  if (reply.status !== 200) return null
  const held = JSON.parse(reply.text) as Body
  if (
    held['SecretString'] !== body['SecretString'] ||
    held['SecretBinary'] !== body['SecretBinary']
  )
    return refusal(
      service,
      'ResourceExistsException',
      `You can't use ClientRequestToken ${token} because that value is already in use for a version of secret ${textIn(held, 'ARN')}.`,
    )
  const { ARN, Name, VersionId, VersionStages } = held
  return json({
    ARN,
    Name,
    VersionId,
    ...(operation === 'CreateSecret' ? {} : { VersionStages }),
  })
}

const refusedMove = (body: Body, stages: Stages): Reply | null => {
  const refuse = (message: string): Reply => refusal(service, 'InvalidParameterException', message)
  const name = textIn(body, 'VersionStage')
  const [from, to] = [textIn(body, 'RemoveFromVersionId'), textIn(body, 'MoveToVersionId')]
  const holder = Object.entries(stages).find(([, of]) => of.includes(name))?.[0]
  if (from === '' && to === '')
    return refuse('You must specify RemoveFromVersionId, MoveToVersionId, or both.')
  if (holder !== undefined && holder !== from && holder !== to)
    return refuse(
      `The parameter RemoveFromVersionId can't be empty. Staging label ${name} is currently attached to version ${holder}, so you must explicitly reference that version in RemoveFromVersionId.`,
    )
  if (name === 'AWSCURRENT' && to === '')
    return refuse("You can't remove the staging label AWSCURRENT, only move it to another version.")
  const all = new Set(Object.values(stages).flat())
  return to !== '' && !all.has(name) && all.size >= 20
    ? refusal(service, 'LimitExceededException', 'The secret has 20 staging labels already.')
    : null
}
