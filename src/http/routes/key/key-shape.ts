// How keys look in replies.

import { Type } from 'typebox'
import type { Key } from '#domain/key.ts'
import { driftStates, findings } from '#domain/drift.ts'
import { nameSchema } from '#domain/names.ts'
import type { KeyStatus } from '#usecases/key-status.ts'
import type { SeenKey } from '#usecases/list-keys.ts'
import { momentSchema, nullable, strict } from '../../schemas.ts'
import { ownedTimes, shownLabels, shownObject, timesOf } from '../resource.ts'

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

export const statusFields = {
  primaryVersion: nullable(Type.Integer()),
  policy: nullable(Type.String()),
  nextRotationAt: nullable(momentSchema),
  overdue: Type.Boolean(),
  openRotation: nullable(Type.String({ description: 'its id' })),
  incident: nullable(Type.String({ description: 'the id of one that is not closed' })),
  drift: nullable(driftSchema),
  why: Type.String({ description: 'why it is not rotating now' }),
}

export const keySchema = strict(
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

export const present = ({ key, status }: SeenKey) => ({
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

/** After a write: as a GET would answer. On a dry run nothing was written, so the status is of what there is. */
export const seen = (key: Key, status: KeyStatus | null): SeenKey => ({
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
