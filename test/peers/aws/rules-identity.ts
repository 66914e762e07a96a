// IAM and STS, where moto is lax. From the API references of IAM and STS and the IAM User Guide:
//
//   GetCallerIdentity          the principal that signed, and nobody for an access key that is unknown or inactive
//   AssumeRole                 only with the external id that the role's trust policy asks for; the session has the role's rights
//   AssumeRoleWithWebIdentity  unsigned; only with a token of an issuer that the role's trust policy names
//   GetSessionToken            a session of the user that signed, with its rights; it outlives the key
//   SimulatePrincipalPolicy    by the policies of the principal, action by action
//
// Users and their keys: rules-users.ts.

import type { Json } from '#domain/json.ts'
import { isAllowed } from './policies.ts'
import { newKeyId, newSecret, type Principals } from './principals.ts'
import type { Rules } from './rules.ts'
import { makeUserRules } from './rules-users.ts'
import {
  escaped,
  membersOf,
  refusal,
  textIn,
  xml,
  type Asked,
  type Body,
  type Reply,
} from './wire.ts'

export interface IdentityRules {
  readonly iam: Rules
  readonly sts: Rules
  /** Of what is told of access keys. */
  readonly stale: (answers: number) => void
  /** By ARN of a user or role. */
  readonly policiesOf: Map<string, readonly Json[]>
  /** The external id that a role's trust policy asks for. */
  readonly roles: Map<string, string>
  /** Tokens of a trusted issuer that are good now, by role. */
  readonly federated: Map<string, Set<string>>
  /** Of a request that nobody has signed. */
  readonly unsigned: (asked: Asked) => Reply | null
}

const simulatedAtOnce = 4

export const makeIdentityRules = (principals: Principals, now: () => Date): IdentityRules => {
  const policiesOf = new Map<string, readonly Json[]>()
  const roles = new Map<string, string>()
  const federated = new Map<string, Set<string>>()
  const users = makeUserRules(principals, policiesOf)

  const simulated = (body: Body): Reply => {
    const source = textIn(body, 'PolicySourceArn')
    const documents = policiesOf.get(source)
    if (documents === undefined)
      return refusal('iam', 'NoSuchEntity', `There is no principal ${source}.`, 404)
    const results = membersOf(body, 'ActionNames').flatMap((action) =>
      membersOf(body, 'ResourceArns').map((resource) => {
        const decision = isAllowed(documents, action, resource) ? 'allowed' : 'implicitDeny'
        return `<member><EvalActionName>${action}</EvalActionName><EvalResourceName>${escaped(resource)}</EvalResourceName><EvalDecision>${decision}</EvalDecision><MatchedStatements/><MissingContextValues/></member>`
      }),
    )
    // "IAM might return fewer than MaxItems results even when there are more": it does here.
    const from = Number(textIn(body, 'Marker') || 0)
    const more = from + simulatedAtOnce < results.length
    return xml(
      'iam',
      'SimulatePrincipalPolicy',
      `<IsTruncated>${more}</IsTruncated>${more ? `<Marker>${from + simulatedAtOnce}</Marker>` : ''}<EvaluationResults>${results.slice(from, from + simulatedAtOnce).join('')}</EvaluationResults>`,
    )
  }

  const assumed = (body: Body): Reply => {
    const role = textIn(body, 'RoleArn')
    if (roles.get(role) === undefined || roles.get(role) !== body['ExternalId'])
      return refusal(
        'sts',
        'AccessDenied',
        `not authorized to perform: sts:AssumeRole on ${role}`,
        403,
      )
    return roleSession('AssumeRole', body, '')
  }

  const assumedByToken = (body: Body): Reply => {
    const trusted = federated.get(textIn(body, 'RoleArn'))
    if (trusted === undefined)
      return refusal(
        'sts',
        'AccessDenied',
        'Not authorized to perform sts:AssumeRoleWithWebIdentity',
        403,
      )
    if (!trusted.has(textIn(body, 'WebIdentityToken')))
      return refusal('sts', 'InvalidIdentityToken', 'The ID Token provided is not a valid JWT.')
    return roleSession(
      'AssumeRoleWithWebIdentity',
      body,
      '<SubjectFromWebIdentityToken>system:serviceaccount:rekey</SubjectFromWebIdentityToken>',
    )
  }

  const roleSession = (operation: string, body: Body, more: string): Reply => {
    const role = textIn(body, 'RoleArn')
    const session = textIn(body, 'RoleSessionName')
    const arn = role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/') + `/${session}`
    return xml(
      'sts',
      operation,
      `${sessionOf(arn, role)}<AssumedRoleUser><Arn>${arn}</Arn><AssumedRoleId>AROA:${session}</AssumedRoleId></AssumedRoleUser>${more}`,
    )
  }

  /** With the rights that `of` has at each request. */
  const sessionOf = (arn: string, of: string): string => {
    const tokenIssuedAt = now()
    const expiresAt = new Date(tokenIssuedAt.getTime() + 3_600_000)
    const key = principals.add({
      id: newKeyId('ASIA'),
      secret: newSecret(),
      sessionToken: newSecret(),
      expiresAt,
      of: () => ({ arn, documents: policiesOf.get(of) ?? [], tokenIssuedAt }),
    })
    return `<Credentials><AccessKeyId>${key.id}</AccessKeyId><SecretAccessKey>${key.secret}</SecretAccessKey><SessionToken>${key.sessionToken}</SessionToken><Expiration>${expiresAt.toISOString()}</Expiration></Credentials>`
  }

  const sts: Rules = {
    writes: new Set(),
    resource: async ({ asked }) => textIn(asked.body, 'RoleArn') || '*',
    subject: (body) => textIn(body, 'RoleArn'),
    before: async ({ asked, principal }) => {
      if (asked.operation === 'GetCallerIdentity') {
        const account = principal.arn.split(':')[4] ?? ''
        return xml(
          'sts',
          'GetCallerIdentity',
          `<Arn>${principal.arn}</Arn><UserId>AIDA${account}</UserId><Account>${account}</Account>`,
        )
      }
      if (asked.operation === 'GetSessionToken')
        return xml('sts', 'GetSessionToken', sessionOf(principal.arn, principal.arn))
      if (asked.operation === 'AssumeRole') return assumed(asked.body)
      return asked.operation === 'AssumeRoleWithWebIdentity' ? assumedByToken(asked.body) : null
    },
    after: async (_at, reply) => reply,
  }

  const iam: Rules = {
    ...users,
    resource: async (at) => textIn(at.asked.body, 'PolicySourceArn') || users.resource(at),
    before: async (at) =>
      at.asked.operation === 'SimulatePrincipalPolicy'
        ? simulated(at.asked.body)
        : users.before(at),
  }
  return {
    iam,
    sts,
    policiesOf,
    roles,
    federated,
    stale: users.stale,
    unsigned: ({ service, operation, body }) =>
      service === 'sts' && operation === 'AssumeRoleWithWebIdentity' ? assumedByToken(body) : null,
  }
}
