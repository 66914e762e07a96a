import {
  ProviderError,
  type Call,
  type ConnectArgs,
  type ObjectAddress,
  type Session,
} from '#domain/provider.ts'
import { sessionByType, type ObjectSession } from '../session-by-type.ts'
import { makeAccessKey } from './access-key.ts'
import { check } from './check.ts'
import { makeClients, type Ask, type Answer, type ServiceName } from './clients.ts'
import { makeIdentity, type Identity } from './identity.ts'
import { inventory } from './inventory.ts'
import { missingRights, type Right } from './rights.ts'
import { makeAlias } from './kms-alias.ts'
import { makeSymmetric } from './kms-symmetric.ts'
import { makeSecret } from './secret.ts'
import { readSettings, type AwsSettings } from './settings.ts'

/** What a connection is to AWS. */
export interface Caller {
  readonly account: string
  readonly arn: string
  /** The user or role whose policies count; null where they cannot be asked about. */
  readonly principal: string | null
}

type Send<S extends ServiceName, T> = Ask<S, T>['send']

/** Requests of one connection. All throw ProviderError. */
export interface Aws {
  readonly settings: AwsSettings
  readonly read: <S extends ServiceName, T>(
    service: S,
    of: string,
    send: Send<S, T>,
    call: Call,
  ) => Promise<T>
  /** A read, with the time on AWS's clock. */
  readonly ask: <S extends ServiceName, T>(
    service: S,
    of: string,
    send: Send<S, T>,
    call: Call,
  ) => Promise<Answer<T>>
  /** Goes out once. */
  readonly write: Aws['read']
  /** Asked once for a session; `precondition` in another account than the connection's. */
  readonly identity: (call: Call) => Promise<Caller>
  /** Asks anew, and what AWS's clock says. */
  readonly whoAmI: (call: Call) => Promise<{ readonly caller: Caller; readonly date: Date | null }>
  /** The id of the access key that the connection signs with now. */
  readonly signsWith: (call: Call) => Promise<string>
  /** The ARN of the principal of another access key, which is tried by asking; `auth` where it is refused. `canary`: it
   *  should be. */
  readonly whoIs: (key: Identity, canary: boolean, call: Call) => Promise<string>
  readonly simulator: { refused: boolean }
}

/** A key type of AWS's. */
export interface ObjectType extends ObjectSession {
  /** By the ARN that the object has; without the right to see it, by the one that it must have. */
  readonly rights: (object: ObjectAddress, call: Call) => Promise<readonly Right[]>
}

export const connect = (args: ConnectArgs): Session => {
  const settings = readSettings(args.settings)
  const aws = makeAws(settings, args)
  const types: Readonly<Record<string, ObjectType>> = {
    'aws.secretsmanager.secret': makeSecret(aws),
    'aws.iam.accessKey': makeAccessKey(aws),
    'aws.kms.symmetric': makeSymmetric(aws),
    'aws.kms.alias': makeAlias(aws, args.ports.random),
  }
  const of = (type: string): ObjectType => {
    const found = types[type]
    if (found !== undefined) return found
    throw new ProviderError('unsupported', 'none', 'the aws provider has no such key type')
  }
  const rightsOf: ObjectType['rights'] = async (object, call) =>
    of(object.type).rights(object, call)
  return {
    check: (call, objects = []) => check({ aws, now: args.ports.now, rightsOf }, objects, call),
    missingRights: async (object, call) => missingRights(aws, await rightsOf(object, call), call),
    inventory: async (type, cursor, call) => inventory(aws, args.settings, type, cursor, call),
    ...sessionByType(of),
    // No timers, and the sockets are those of `ports.fetch`.
    close: async () => undefined,
  }
}

const makeAws = (settings: AwsSettings, args: ConnectArgs): Aws => {
  const own = makeIdentity({ ...args, settings })
  const clients = makeClients(settings, args.ports, own)
  let known: Caller | null = null

  const whoAmI: Aws['whoAmI'] = async (call) => {
    const { value, date } = await clients.send(
      {
        service: 'sts',
        of: 'the connection itself',
        writes: false,
        send: (sts, options) => sts.getCallerIdentity({}, options),
      },
      call,
    )
    const { Account: account = '', Arn: arn = '' } = value
    if (account !== settings.account)
      throw new ProviderError(
        'precondition',
        'none',
        'the credential is of another account than the connection',
        {
          hint: `the connection is for account ${settings.account}, the credential is of ${/^\d{12}$/.test(account) ? account : 'none'}`,
        },
      )
    known = { account, arn, principal: principalOf(arn, settings) }
    return { caller: known, date }
  }
  const identity = async (call: Call): Promise<Caller> => known ?? (await whoAmI(call)).caller

  const sender =
    (writes: boolean): Aws['ask'] =>
    async (service, of, send, call) => {
      await identity(call)
      return clients.send({ service, of, writes, send }, call)
    }
  const [ask, write] = [sender(false), sender(true)]
  return {
    settings,
    ask,
    read: async (...asked) => (await ask(...asked)).value,
    write: async (...asked) => (await write(...asked)).value,
    identity,
    whoAmI,
    signsWith: async (call) => (await clients.signer(call)).accessKeyId,
    whoIs: async (key, canary, call) => {
      const source = { get: async () => key, renew: () => false }
      const other = makeClients(settings, args.ports, source, canary ? 'rekey-canary' : 'rekey')
      const { value } = await other.send(
        {
          service: 'sts',
          of: key.accessKeyId,
          writes: false,
          send: (sts, options) => sts.getCallerIdentity({}, options),
        },
        call,
      )
      return value.Arn ?? ''
    },
    simulator: { refused: false },
  }
}

/** A session of a role is told without the role's path: where the connection names the role, that is it. */
const principalOf = (arn: string, settings: AwsSettings): string | null => {
  if (/^arn:[\w-]+:iam::\d{12}:user\//.test(arn)) return arn
  const role = /^arn:[\w-]+:sts::\d{12}:assumed-role\/([^/]+)\//.exec(arn)?.[1]
  if (role === undefined) return null
  return (
    settings.assumeRole?.roleArn ??
    `arn:${settings.partition}:iam::${settings.account}:role/${role}`
  )
}
