// The versions of a key: seen, and adopted where somebody else made them.

import { Type } from 'typebox'
import { type Version, versionStates } from '#domain/key.ts'
import { adoptVersion } from '#usecases/adopt-version.ts'
import { listVersions } from '#usecases/list-keys.ts'
import { type Route, route } from '../../route.ts'
import { listOf, momentSchema, nameParams, nullable, strict } from '../../schemas.ts'
import { atProvider, type KeyRoutesDeps, readers } from './common.ts'

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

export const versionRoutes = (deps: KeyRoutesDeps): readonly Route[] => [
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
]
