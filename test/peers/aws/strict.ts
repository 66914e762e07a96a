// A stand-in of AWS that is stricter than moto: an HTTP server in front of it. It judges every signature by the access keys that
// exist, the rights by the policies of who signs, and adds what moto leaves out: see rules-*.ts. Effects are counted in its log.
//
// `examples.ts` has requests and answers of AWS's documentation for each route; they are replayed by strict.test.ts.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Json } from '#domain/json.ts'
import { examples } from './examples.ts'
import { startMoto } from './moto.ts'
import { isAllowed } from './policies.ts'
import { isReply, makePrincipals, newKeyId, newSecret, type AccessKey } from './principals.ts'
import { makeIdentityRules } from './rules-identity.ts'
import { makeKmsRules, type KmsRules } from './rules-kms.ts'
import type { RuleAt, Rules } from './rules.ts'
import { makeSecretRules } from './rules-secrets.ts'
import { signerOf } from './sigv4.ts'
import { isQuery, readAsked, refusal, type Asked, type Reply, type ServiceName } from './wire.ts'

export const region = 'eu-west-1'
export const account = '123456789012'

export interface Logged {
  readonly service: ServiceName
  readonly operation: string
  /** Name of the secret, user or key. */
  readonly subject: string
  readonly by: string
  readonly status: number
  readonly changes: boolean
}

export interface StrictAws {
  readonly address: string
  /** May do everything: for arranging, never for the adapter's own rights. */
  readonly admin: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** A user with exactly these policies. */
  readonly user: (documents: readonly Json[]) => AccessKey
  readonly log: () => readonly Logged[]
  /** The next n answers of describing an object of the service are from before the last write. */
  readonly stale: (answers: number, service?: 'secretsmanager' | 'iam' | 'kms') => void
  /** The next n requests that a changed access key has signed are judged as before the change. Gives what was left. */
  readonly lag: (requests: number) => number
  /** What KMS does by itself, and how fast. */
  readonly kms: Pick<KmsRules, 'slow' | 'rotateByItself' | 'staleAlias'>
  /** Roles that may be assumed by whoever sends the external id. */
  readonly role: (name: string, externalId: string, documents: readonly Json[]) => string
  /** Only these tokens are good for the role from now on. */
  readonly federate: (roleArn: string, tokens: readonly string[]) => void
  readonly endSessions: () => void
  /** What a role may do from now on. */
  readonly allow: (roleArn: string, documents: readonly Json[]) => void
  readonly deactivate: (accessKeyId: string) => void
  /** The clock of AWS is off by so much. */
  readonly skew: (ms: number) => void
  readonly stop: () => Promise<void>
}

const routes = new Set(examples.map(({ service, operation }) => `${service}:${operation}`))

const everything: Json = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
}

export const startStrictAws = async (): Promise<StrictAws> => {
  const moto = await startMoto(region)
  let skewMs = 0
  const now = (): Date => new Date(Date.now() + skewMs)
  const principals = makePrincipals(now)
  const log: Logged[] = []
  const secrets = makeSecretRules()
  const identity = makeIdentityRules(principals, now)
  const kms = makeKmsRules()
  const rules: Readonly<Record<ServiceName, Rules>> = {
    secretsmanager: secrets,
    iam: identity.iam,
    sts: identity.sts,
    kms,
  }

  const answer = async (incoming: IncomingMessage, text: string): Promise<Reply> => {
    const { headers } = incoming
    const signer = signerOf(headers)
    // What carries its own proof is not signed; of the four services STS alone knows such requests.
    const asked = readAsked(signer?.service ?? 'sts', headers, text)
    const unsigned = signer === null && asked !== null ? identity.unsigned(asked) : null
    if (unsigned !== null) {
      record(asked, 'nobody', unsigned)
      return unsigned
    }
    if (asked === null || signer === null)
      return refusal(
        'iam',
        'MissingAuthenticationToken',
        'Request is missing Authentication Token',
        403,
      )
    const { service, operation } = asked
    if (!routes.has(`${service}:${operation}`))
      return isQuery(service)
        ? refusal(service, 'InvalidAction', `Could not find operation ${operation}`)
        : refusal(service, 'UnknownOperationException', '')
    const rule = rules[service]
    const principal = principals.authenticate(service, { headers, body: text })
    if (isReply(principal)) return principal
    const at: RuleAt = { moto, principal, asked }
    const reply = await authorised(at, rule)
    record(asked, principal.arn, reply)
    return reply
  }
  const record = (asked: Asked | null, by: string, { status }: Reply): void => {
    if (asked === null) return
    const { service, operation, body } = asked
    const rule = rules[service]
    const changes = rule.writes.has(operation)
    log.push({ service, operation, subject: rule.subject(body), by, status, changes })
  }

  const authorised = async (at: RuleAt, rule: Rules): Promise<Reply> => {
    const { service, operation, text } = at.asked
    const action = `${service}:${operation}`
    const { documents, arn, tokenIssuedAt } = at.principal
    const asked = [await rule.resource(at)].flat()
    const resource = asked.find((one) => !isAllowed(documents, action, one, { tokenIssuedAt }))
    if (action !== 'sts:GetCallerIdentity' && resource !== undefined) {
      const message = `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`
      return service === 'iam' || service === 'sts'
        ? refusal(service, 'AccessDenied', message, 403)
        : refusal(service, 'AccessDeniedException', message)
    }
    const own = await rule.before(at)
    if (own !== null && 'status' in own) return own
    return rule.after(at, await moto.send(service, operation, own?.text ?? text))
  }

  const server = createServer((incoming, outgoing) => {
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    void serve(incoming, outgoing).catch((error: unknown) => {
      outgoing.writeHead(500, { 'content-type': 'text/plain' })
      outgoing.end(String(error))
    })
  })
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const reply = await answer(incoming, Buffer.concat(chunks).toString())
    outgoing.writeHead(reply.status, {
      ...reply.headers,
      date: now().toUTCString(),
      'content-length': Buffer.byteLength(reply.text),
    })
    outgoing.end(reply.text)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0

  let users = 0
  const user = (documents: readonly Json[]): AccessKey => {
    const arn = `arn:aws:iam::${account}:user/contract-${users++}`
    identity.policiesOf.set(arn, documents)
    return principals.add({
      id: newKeyId('AKIA'),
      secret: newSecret(),
      sessionToken: null,
      expiresAt: null,
      of: () => ({ arn, documents: identity.policiesOf.get(arn) ?? [], tokenIssuedAt: null }),
    })
  }
  const admin = user([everything])
  return {
    address: `http://127.0.0.1:${port}`,
    admin: { accessKeyId: admin.id, secretAccessKey: admin.secret },
    user,
    log: () => [...log],
    stale: (answers, service = 'secretsmanager') =>
      ({ secretsmanager: secrets, iam: identity, kms })[service].stale(answers),
    kms,
    lag: principals.lag,
    role: (name, externalId, documents) => {
      const arn = `arn:aws:iam::${account}:role/${name}`
      identity.policiesOf.set(arn, documents)
      identity.roles.set(arn, externalId)
      return arn
    },
    federate: (roleArn, tokens) => {
      identity.federated.set(roleArn, new Set(tokens))
    },
    endSessions: principals.endSessions,
    allow: (roleArn, documents) => {
      identity.policiesOf.set(roleArn, documents)
    },
    deactivate: (id) => principals.setActive(id, false),
    skew: (ms) => {
      skewMs = ms
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      await moto.stop()
    },
  }
}
