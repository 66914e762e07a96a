// The resources of Rekey on a database of its own: real store, sessions, credentials and egress rules; the built-in vault.

import type { Actor, Role, Scope } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { ConnectionBody } from '#domain/connection-schema.ts'
import type { ConsumerBody } from '#domain/consumer-schema.ts'
import { isRekeyError, type RekeyError } from '#domain/errors.ts'
import type { KeyBody, Registration } from '#domain/key-schema.ts'
import { noPrecondition, type Precondition } from '#domain/precondition.ts'
import type { Labels } from '#domain/names.ts'
import type { PlaybookBody } from '#domain/playbook-schema.ts'
import type { Ledger, Sessions } from '#domain/ports.ts'
import type { Provider, Session } from '#domain/provider.ts'
import type { Tracer } from '#domain/telemetry.ts'
import { libraryEnvironment } from '#src/config.ts'
import { keyTypes, providers as registered } from '#providers/registry.ts'
import { makeCredentials } from '#runtime/credentials.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSessions } from '#runtime/sessions.ts'
import { adoptVersion } from '#usecases/adopt-version.ts'
import { deleteConnection } from '#usecases/delete-connection.ts'
import { deleteKey } from '#usecases/delete-key.ts'
import { deletePolicy } from '#usecases/delete-policy.ts'
import { getKey, listKeys } from '#usecases/list-keys.ts'
import { putConnection } from '#usecases/put-connection.ts'
import { putConsumer } from '#usecases/put-consumer.ts'
import { type FreezeBody, putFreeze } from '#usecases/put-freeze.ts'
import { putKey } from '#usecases/put-key.ts'
import { putPlaybook } from '#usecases/put-playbook.ts'
import { putPolicy } from '#usecases/put-policy.ts'
import { putSink, type SinkBody } from '#usecases/put-sink.ts'
import { registerKey } from '#usecases/register-key.ts'
import { makeTally } from '#usecases/tally.ts'
import { operateKey, readValue } from '#usecases/use-key.ts'
import { openTestDatabase } from './db.ts'

export const actorOf = (
  name: string,
  roles: readonly Role[],
  more: Partial<Actor> = {},
): Actor => ({
  type: 'user',
  id: `user:${name}`,
  name,
  roles,
  scope: null,
  consumer: null,
  keys: null,
  ...more,
})
export const admin = actorOf('ada', ['admin'])
export const operator = actorOf('olga', ['operator'])
export const scoped = (scope: Scope, ...roles: readonly Role[]): Actor =>
  actorOf(`scoped-${JSON.stringify(scope)}`, roles.length > 0 ? roles : ['operator'], { scope })

export interface HouseOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly credentialsDir?: string
  readonly publishDir?: string
  readonly nativeModules?: readonly string[]
  readonly defaults?: boolean
  readonly allow?: readonly string[]
  readonly providers?: readonly Provider[]
  /** Puts faults between Rekey and a session. */
  readonly wrap?: (session: Session) => Session
  readonly trace?: Pick<Tracer, 'current'>
}

export type House = Awaited<ReturnType<typeof openHouse>>

export const openHouse = async (options: HouseOptions = {}) => {
  const db = await openTestDatabase(options.trace ? { trace: options.trace } : {})
  const { ledger, clock, ids, vault, paces, logins, hashJson } = db
  const providers = new Map(
    [...registered, ...(options.providers ?? [])].map((one) => [one.id, one]),
  )
  const types = new Map([
    ...keyTypes,
    ...(options.providers ?? []).flatMap((p) => p.types.map((t) => [t.type, t] as const)),
  ])
  const credentials = makeCredentials({
    env: options.env ?? {},
    directory: options.credentialsDir ?? null,
    defaults: options.defaults ?? false,
  })
  const egress = makeEgress({ allow: options.allow ?? [] })
  const real = makeSessions({
    ledger,
    providers,
    credentials,
    egress,
    host: {
      clock,
      ids,
      vault,
      paces,
      keyring: db.keyring,
      logins,
      native: { modules: options.nativeModules ?? [], env: () => libraryEnvironment() },
      publishDir: options.publishDir ?? null,
    },
  })
  const { wrap } = options
  const sessions: Sessions = wrap
    ? { ...real, open: async (connection: Connection) => wrap(await real.open(connection)) }
    : real
  const deps = {
    ledger,
    providers,
    types,
    sessions,
    credentials,
    egress,
    clock,
    ids,
    hashJson,
    tally: makeTally(clock, 60_000),
  }
  const withLedger = (dryRun: boolean) => ({
    ...deps,
    ledger: dryRun ? rehearsing(ledger) : ledger,
  })

  const house = {
    ...db,
    deps,
    sessions,
    connection: (
      name: string,
      body: Partial<ConnectionBody> = {},
      actor = admin,
      precondition: Precondition = noPrecondition,
    ) => putConnection(deps)(actor, { name, body: { provider: 'local', ...body }, precondition }),
    dropConnection: (name: string, actor = admin) =>
      deleteConnection(deps)(actor, { name, precondition: { match: 'any', absent: false } }),
    register: (name: string, more: Partial<Registration> = {}, actor = admin, dryRun = false) =>
      registerKey(withLedger(dryRun))(actor, {
        registration: { ...keyDefaults, name, ...more },
        dryRun,
      }),
    putKey: async (
      name: string,
      change: (body: KeyBody) => KeyBody,
      actor = admin,
      dryRun = false,
    ) => {
      const key = await ledger.read((reads) => reads.keys.byName(name))
      if (!key) throw new Error(`no key ${name}`)
      const {
        connection,
        type,
        ref,
        purpose,
        owner,
        environment,
        labels,
        consumers,
        usableBy,
        observe,
        generate,
      } = key
      const body = change({
        connection,
        type,
        ref,
        purpose,
        owner,
        environment,
        labels,
        consumers,
        usableBy,
        observe,
        generate,
      })
      return putKey(withLedger(dryRun))(actor, {
        name,
        body,
        precondition: { match: [key.revision], absent: false },
      })
    },
    deleteKey: (name: string, actor = admin) =>
      deleteKey(deps)(actor, { name, precondition: { match: 'any', absent: false } }),
    adopt: (name: string, providerVersion: string, actor = admin) =>
      adoptVersion(deps)(actor, { name, providerVersion }),
    policy: (
      name: string,
      spec: Readonly<Record<string, unknown>>,
      actor = admin,
      precondition: Precondition = { match: null, absent: false },
    ) => putPolicy(deps)(actor, { name, body: spec, precondition }),
    replacePolicy: (name: string, spec: Readonly<Record<string, unknown>>, actor = admin) =>
      putPolicy(deps)(actor, { name, body: spec, precondition: { match: 'any', absent: false } }),
    dropPolicy: (name: string, actor = admin) =>
      deletePolicy(deps)(actor, { name, precondition: { match: 'any', absent: false } }),
    consumer: (
      name: string,
      body: Partial<ConsumerBody> = {},
      actor = admin,
      precondition: Precondition = noPrecondition,
    ) => putConsumer(deps)(actor, { name, body: { owner: 'team', ...body }, precondition }),
    playbook: (name: string, labels: Labels, body: Partial<PlaybookBody> = {}, actor = operator) =>
      putPlaybook(deps)(actor, {
        name,
        body: {
          title: 'A test',
          owner: 'team',
          steps: [{ title: 'Look' }],
          reviewEvery: '180d',
          labels,
          ...body,
        },
        precondition: noPrecondition,
      }),
    sink: (name: string, body: SinkBody, precondition: Precondition = noPrecondition) =>
      putSink(deps)(admin, { name, body, precondition }),
    freeze: (body: FreezeBody, actor = admin, precondition: Precondition = noPrecondition) =>
      putFreeze(deps)(actor, { body, precondition }),
    value: (name: string, actor: Actor, version?: number) =>
      readValue(deps)(actor, { name, ...(version === undefined ? {} : { version }) }),
    operate: operateKey(deps),
    key: (name: string, actor = admin) => getKey(deps)(actor, name),
    keys: (actor = admin, filter = {}, limit = 200, after: string | null = null) =>
      listKeys(deps)(actor, filter, { limit, after }),
    versions: (id: string) => ledger.read((reads) => reads.versions.of(id)),
    events: (
      filter: Parameters<Parameters<Parameters<Ledger['read']>[0]>[0]['audit']['list']>[0] = {},
    ) =>
      ledger.read(async (reads) =>
        (await reads.audit.list(filter, { limit: 200, after: null })).items.map(
          (item) => item.body,
        ),
      ),
    shut: async () => {
      await sessions.close()
      await db.close()
    },
  }
  return house
}

const keyDefaults = {
  connection: 'vault',
  type: 'local.secret',
  purpose: 'tests',
  owner: 'team',
  environment: 'test',
  create: true,
}

/** What the door does on `?dryRun=all`. */
export const rehearsing = (ledger: Ledger): Ledger => ({ ...ledger, commit: ledger.rehearse })

/** The RekeyError that a promise rejects with. */
export const refusal = async (promise: Promise<unknown>): Promise<RekeyError> => {
  try {
    await promise
  } catch (error) {
    if (isRekeyError(error)) return error
    throw error
  }
  throw new Error('it was not refused')
}
export const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  (await refusal(promise)).code
