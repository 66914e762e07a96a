// Keys and their versions, and what consumers do with them.

import { Type } from 'typebox'
import type { Key, Version } from '#domain/key.ts'
import { driftStates, findings } from '#domain/drift.ts'
import { versionStates } from '#domain/key.ts'
import { keyFields, keyPlace, registrationFields } from '#domain/key-schema.ts'
import { nameSchema, typeNameSchema } from '#domain/names.ts'
import type { Clock, HashJson, Ids, Sessions } from '#domain/ports.ts'
import type { CryptoOperation, KeyType, Provider } from '#domain/provider.ts'
import { adoptVersion } from '#usecases/adopt-version.ts'
import { deleteKey } from '#usecases/delete-key.ts'
import type { KeyStatus } from '#usecases/key-status.ts'
import { getKey, listKeys, listVersions, type SeenKey } from '#usecases/list-keys.ts'
import { putKey } from '#usecases/put-key.ts'
import { registerKey } from '#usecases/register-key.ts'
import type { Tally } from '#usecases/tally.ts'
import { operateKey, readValue } from '#usecases/use-key.ts'
import { type Route, route } from '../route.ts'
import {
  listOf,
  momentSchema,
  nameParams,
  nullable,
  strict,
  versionNumberSchema,
} from '../schemas.ts'
import { base64Schema, shownValue } from './encoding.ts'
import {
  deletedBody,
  deletedSchema,
  ignored,
  labelQuery,
  labelsOf,
  mustBeNamed,
  putBody,
  shownLabels,
  shownObject,
  timesOf,
  ownedTimes,
} from './resource.ts'

export interface KeyRoutesDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly types: ReadonlyMap<string, KeyType>
  readonly sessions: Sessions
  readonly clock: Clock
  readonly ids: Ids
  readonly hashJson: HashJson
  /** Of uses: one event a minute. */
  readonly tally: Tally
}

const driftSchema = strict(
  {
    state: Type.Enum([...driftStates], {
      description: Object.entries({ ...findings, unreachable: { about: 'no answer' } })
        .map(([state, { about }]) => `${state}: ${about}`)
        .join('; '),
    }),
    detail: Type.String({
      examples: ['The object does not exist at the provider.'],
    }),
    facts: shownObject,
    primary: Type.Boolean({ description: 'whether it is about the version that is handed out' }),
    since: momentSchema,
    lookedAt: nullable(momentSchema),
    help: Type.String({ examples: ['Bring it back at the provider.'] }),
  },
  {
    $id: 'Drift',
    description: 'what the key is at its provider, where that is not what it is here',
  },
)

const statusFields = {
  primaryVersion: nullable(Type.Integer()),
  policy: nullable(Type.String()),
  nextRotationAt: nullable(momentSchema),
  overdue: Type.Boolean(),
  openRotation: nullable(Type.String({ description: 'its id' })),
  incident: nullable(Type.String({ description: 'the id of one that is not closed' })),
  drift: nullable(driftSchema),
  why: Type.String({ description: 'why it is not rotating now' }),
}

const keySchema = strict(
  {
    name: nameSchema,
    connection: Type.String(),
    type: Type.String(),
    ref: shownObject,
    purpose: Type.String(),
    owner: Type.String(),
    environment: Type.String(),
    labels: shownLabels,
    consumers: Type.Array(Type.String()),
    usableBy: Type.Array(Type.String()),
    observe: nullable(Type.Literal('native')),
    generate: nullable(shownObject),
    status: strict({
      id: Type.String(),
      objectId: Type.String(),
      ...statusFields,
      ...ownedTimes,
    }),
  },
  { $id: 'Key' },
)

const present = ({ key, status }: SeenKey) => ({
  name: key.name,
  connection: key.connection,
  type: key.type,
  ref: key.ref,
  purpose: key.purpose,
  owner: key.owner,
  environment: key.environment,
  labels: key.labels,
  consumers: key.consumers,
  usableBy: key.usableBy,
  observe: key.observe,
  generate: key.generate,
  status: {
    id: key.id,
    objectId: key.objectId,
    ...presentStatus(status),
    ...timesOf(key),
    owner: key.managedBy,
  },
})

const presentStatus = ({ nextRotationAt, drift, ...status }: KeyStatus) => ({
  ...status,
  drift: drift && {
    ...drift,
    since: drift.since.toISOString(),
    lookedAt: drift.lookedAt?.toISOString() ?? null,
  },
  nextRotationAt: nextRotationAt?.toISOString() ?? null,
})

const versionSchema = strict(
  {
    version: Type.Integer(),
    state: Type.Enum([...versionStates]),
    primary: Type.Boolean(),
    providerVersions: Type.Array(Type.String()),
    materialKnown: Type.Boolean(),
    createdAt: momentSchema,
    activatedAt: nullable(momentSchema),
    suspendedAt: nullable(momentSchema),
    deactivatedAt: nullable(momentSchema),
    compromisedAt: nullable(momentSchema),
    destroyedAt: nullable(momentSchema),
    rotation: nullable(Type.String()),
  },
  { $id: 'Version' },
)

const presentVersion = (version: Version) => ({
  version: version.version,
  state: version.state,
  primary: version.primary,
  providerVersions: version.providerVersions,
  materialKnown: version.materialKnown,
  createdAt: version.createdAt.toISOString(),
  activatedAt: version.activatedAt?.toISOString() ?? null,
  suspendedAt: version.suspendedAt?.toISOString() ?? null,
  deactivatedAt: version.deactivatedAt?.toISOString() ?? null,
  compromisedAt: version.compromisedAt?.toISOString() ?? null,
  destroyedAt: version.destroyedAt?.toISOString() ?? null,
  rotation: version.rotationId,
})

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const
const atProvider = [
  'connection.unusable',
  'provider.unauthorized',
  'provider.unavailable',
  'provider.rejected',
  'key.noObject',
  'key.versionUnusable',
  'recovery.active',
] as const

/** After a write: as a GET would answer. On a dry run nothing was written, so the status is of what there is. */
const seen = (key: Key, status: KeyStatus | null): SeenKey => ({
  key,
  status: status ?? {
    primaryVersion: null,
    policy: key.policy,
    nextRotationAt: null,
    overdue: false,
    openRotation: null,
    incident: null,
    drift: null,
    why: 'A dry run: nothing was written.',
  },
})

export const keyRoutes = (deps: KeyRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/keys',
    operationId: 'listKeys',
    tag: 'keys',
    summary: 'List keys',
    access: [...readers],
    list: true,
    query: strict({
      connection: Type.Optional(nameSchema),
      type: Type.Optional(typeNameSchema),
      policy: Type.Optional(nameSchema),
      overdue: Type.Optional(Type.Boolean()),
      drifted: Type.Optional(Type.Boolean()),
      label: labelQuery,
    }),
    replies: { 200: listOf(keySchema) },
    handler: async ({ ledger, actor, query: { label, ...filter }, page, pageReply }) => {
      const labels = labelsOf(label)
      const found = await listKeys({ ...deps, ledger })(
        actor,
        { ...filter, ...(labels && { labels }) },
        page,
      )
      return { status: 200, body: pageReply(found, present) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/keys',
    operationId: 'registerKey',
    tag: 'keys',
    summary: 'Register a key',
    description:
      'Adopts the present version of an existing object as version 1, or makes the object with `create: true`. After an interruption, repeat the same request: it finishes what was begun.',
    access: ['operator'],
    body: strict({ ...registrationFields, ...ignored }),
    replies: { 201: keySchema },
    errors: [
      ...atProvider,
      'resource.exists',
      'key.objectTaken',
      'key.ambiguousPrimary',
      'connection.notGranted',
      'policy.overlap',
      'policy.belowFloor',
      'request.impossible',
    ],
    examples: [
      {
        summary: 'a secret',
        body: {
          name: 'orders-token',
          connection: 'vault',
          type: 'local.secret',
          purpose: 'signs in at the payment service',
          owner: 'team-shop',
          environment: 'production',
          labels: { team: 'shop' },
          consumers: ['shop'],
          create: true,
        },
      },
      {
        summary: 'a key that signs',
        body: {
          name: 'orders-signing',
          connection: 'vault',
          type: 'local.key',
          purpose: 'signs orders',
          owner: 'team-shop',
          environment: 'production',
          labels: { team: 'shop' },
          generate: { algorithm: 'ed25519' },
          create: true,
        },
      },
      {
        summary: 'a key that encrypts',
        body: {
          name: 'orders-data',
          connection: 'vault',
          type: 'local.key',
          purpose: 'encrypts orders at rest',
          owner: 'team-shop',
          environment: 'production',
          labels: { team: 'shop' },
          generate: { algorithm: 'aes256' },
          create: true,
        },
      },
    ],
    handler: async ({ ledger, actor, body, dryRun }) => {
      const { status: _status, audit: _audit, ...registration } = body
      const { value: key, receipts } = await registerKey({ ...deps, ledger })(actor, {
        registration,
        dryRun,
      })
      const status = dryRun ? null : (await getKey({ ...deps, ledger })(actor, key.name)).status
      return {
        status: 201,
        body: present(seen(key, status)),
        revision: key.revision,
        location: `/v1/keys/${key.name}`,
        receipts,
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/keys/{name}',
    operationId: 'getKey',
    tag: 'keys',
    summary: 'One key, and why it is not rotating now',
    access: [...readers],
    params: nameParams,
    replies: { 200: keySchema },
    handler: async ({ ledger, actor, params: { name } }) => {
      const found = await getKey({ ...deps, ledger })(actor, name)
      return { status: 200, body: present(found), revision: found.key.revision }
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/keys/{name}',
    operationId: 'putKey',
    tag: 'keys',
    summary: 'Replace what may change of a key',
    description: 'Connection, type and ref are fixed: a key stays the key of its object.',
    access: ['operator'],
    params: nameParams,
    body: putBody({ ...keyPlace, ...keyFields }),
    replies: { 200: keySchema },
    errors: [
      'connection.notGranted',
      'policy.overlap',
      'policy.weakening',
      'policy.belowFloor',
      'request.impossible',
    ],
    examples: [
      {
        body: {
          connection: 'vault',
          type: 'local.secret',
          purpose: 'signs in at the payment service, and at its sandbox',
          owner: 'team-shop',
          environment: 'production',
          labels: { team: 'shop' },
          consumers: ['shop'],
        },
      },
    ],
    handler: async ({ ledger, actor, params: { name }, body, precondition, dryRun }) => {
      mustBeNamed(name, body)
      const { value, receipts } = await putKey({ ...deps, ledger })(actor, {
        name,
        body,
        precondition,
      })
      const status = dryRun ? null : (await getKey({ ...deps, ledger })(actor, name)).status
      return {
        status: 200,
        body: present(seen(value.resource, status)),
        revision: value.resource.revision,
        receipts,
      }
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/keys/{name}',
    operationId: 'deleteKey',
    tag: 'keys',
    summary: 'Stop managing a key',
    description: 'The provider is not touched. History stays; sealed material is erased.',
    access: ['operator'],
    params: nameParams,
    replies: { 200: deletedSchema },
    errors: ['key.busy', 'policy.weakening'],
    handler: async ({ ledger, actor, params: { name }, precondition }) => {
      const { receipts } = await deleteKey({ ledger })(actor, { name, precondition })
      return { status: 200, body: deletedBody(name), receipts }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/keys/{name}/versions',
    operationId: 'listVersions',
    tag: 'keys',
    summary: 'All versions of a key, destroyed ones too',
    access: [...readers],
    params: nameParams,
    replies: { 200: listOf(versionSchema) },
    handler: async ({ ledger, actor, params: { name } }) => {
      const versions = await listVersions({ ledger })(actor, name)
      return { status: 200, body: { items: versions.map(presentVersion), nextCursor: null } }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/keys/{name}/versions',
    operationId: 'adoptVersion',
    tag: 'keys',
    summary: 'Adopt a version that somebody else made',
    description:
      'It becomes an old version; a rotation that begins at overlapping retires it. Of one whose retirement was undone it begins a new one.',
    access: ['operator'],
    params: nameParams,
    body: strict({ providerVersion: Type.String({ minLength: 1, maxLength: 500 }) }),
    replies: {
      201: strict({
        ...versionSchema.properties,
        retiredBy: Type.String({ description: 'the rotation' }),
      }),
    },
    errors: [
      ...atProvider,
      'resource.exists',
      'connection.notGranted',
      'key.busy',
      'key.versionInUse',
      'key.observed',
      'rotation.inProgress',
      'request.impossible',
    ],
    examples: [{ body: { providerVersion: '3' } }],
    handler: async ({ ledger, actor, params: { name }, body }) => {
      const { version, rotationId, receipts } = await adoptVersion({ ...deps, ledger })(actor, {
        name,
        ...body,
      })
      return {
        status: 201,
        body: { ...presentVersion(version), retiredBy: rotationId },
        location: `/v1/keys/${name}/versions`,
        receipts,
      }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/keys/{name}/value',
    operationId: 'readValue',
    tag: 'keys',
    summary: 'Read the value of a version',
    description:
      'For consumers bound to the key, of types that deliver. Each reading is an audit event.',
    access: ['consumer'],
    secret: true,
    params: nameParams,
    query: strict({ version: Type.Optional(versionNumberSchema) }),
    replies: {
      200: strict({
        version: Type.Integer(),
        value: Type.String(),
        encoding: Type.Optional(
          Type.Literal('base64', { description: 'there when the value is not UTF-8' }),
        ),
      }),
    },
    errors: [...atProvider, 'key.notDeliverable'],
    handler: async ({ ledger, actor, params: { name }, query }) => {
      const { version, value } = await readValue({ ...deps, ledger })(actor, { name, ...query })
      return {
        status: 200,
        body: { version, ...shownValue(value) },
        headers: { 'Cache-Control': 'no-store' },
      }
    },
  }),
  operation(deps, 'signatures', 'sign', 'Sign with a key', 'orders-signing'),
  operation(deps, 'encryptions', 'encrypt', 'Encrypt with a key', 'orders-data'),
  operation(deps, 'decryptions', 'decrypt', 'Decrypt with a key', 'orders-data'),
]

const operation = (
  deps: KeyRoutesDeps,
  path: string,
  what: CryptoOperation,
  summary: string,
  exampleKey: string,
): Route =>
  route({
    method: 'POST',
    path: `/v1/keys/{name}/${path}`,
    operationId: `${what}WithKey`,
    tag: 'keys',
    summary,
    access: ['consumer'],
    secret: true,
    dryRun: false,
    params: nameParams,
    body: strict({
      input: base64Schema(700_000),
      version: Type.Optional(versionNumberSchema),
    }),
    replies: {
      200: strict({ version: Type.Integer(), output: Type.String({ description: 'base64' }) }),
    },
    examples: [{ params: { name: exampleKey }, body: { input: 'b3JkZXIgNDcxMQ==' } }],
    errors: [...atProvider, 'request.impossible'],
    handler: async ({ ledger, actor, params: { name }, body }) => {
      const input = new Uint8Array(Buffer.from(body.input, 'base64'))
      const more = body.version === undefined ? {} : { version: body.version }
      const used = await operateKey({ ...deps, ledger })(actor, {
        name,
        operation: what,
        input,
        ...more,
      })
      return {
        status: 200,
        body: { version: used.version, output: Buffer.from(used.output).toString('base64') },
        headers: { 'Cache-Control': 'no-store' },
      }
    },
  })
