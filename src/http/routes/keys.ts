// Keys: registered, seen, changed and taken away; their versions and uses stand beside.

import { Type } from 'typebox'
import { keyFields, keyPlace, registrationFields } from '#domain/key-schema.ts'
import { nameSchema, typeNameSchema } from '#domain/names.ts'
import { deleteKey } from '#usecases/delete-key.ts'
import { getKey, listKeys } from '#usecases/list-keys.ts'
import { putKey } from '#usecases/put-key.ts'
import { registerKey } from '#usecases/register-key.ts'
import { type Route, route } from '../route.ts'
import { listOf, nameParams, strict } from '../schemas.ts'
import { atProvider, type KeyRoutesDeps, readers } from './key/common.ts'
import { keySchema, present, seen } from './key/key-shape.ts'
import { useRoutes } from './key/use.ts'
import { versionRoutes } from './key/versions.ts'
import {
  deletedBody,
  deletedSchema,
  ignored,
  labelQuery,
  labelsOf,
  mustBeNamed,
  putBody,
} from './resource.ts'

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
  ...versionRoutes(deps),
  ...useRoutes(deps),
]
