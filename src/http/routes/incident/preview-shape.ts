// How a preview looks in replies.

import { Type } from 'typebox'
import {
  type ContainedKey,
  containments,
  halfEffects,
  type IncidentPreview,
} from '#domain/incident.ts'
import { versionStates } from '#domain/key.ts'
import { momentSchema, nullable, strict } from '../../schemas.ts'
import { hashSchema } from './incident-shape.ts'
import { sentence } from './sentence.ts'

export const containmentSchema = Type.Enum([...containments], {
  examples: ['suspend'],
  description:
    'suspend: switched off, one call brings it back; destroy: only where nothing less helps; switchOffKey: the whole key; replace: its replacement ends it; byHand: a person does it; none: see why',
})

const containedKeySchema = strict({
  key: sentence('orders-token'),
  type: sentence('local.secret'),
  connection: sentence('vault'),
  objectId: sentence('local:orders-token'),
  versions: Type.Array(
    strict({
      version: Type.Integer(),
      state: Type.Enum([...versionStates]),
      primary: Type.Boolean(),
      providerVersions: Type.Array(Type.String()),
      containment: containmentSchema,
      reversible: Type.Boolean({
        description:
          'whether its provider can switch it on again; the mode `disable` alone ever does',
      }),
      expect: Type.Enum(['refused', 'refusedAfter', 'unproven'], {
        description: 'the proof that can be had',
      }),
      why: nullable(Type.String(), { examples: [null] }),
    }),
  ),
  replacement: Type.Enum(['none', 'existing', 'openRotation', 'new'], {
    description: 'what serves afterwards',
    examples: ['new'],
  }),
  replacementVersion: nullable(Type.Integer(), { examples: [null] }),
  openRotation: nullable(Type.String()),
  halves: nullable(
    Type.Array(
      strict({
        half: sentence('app_b'),
        does: Type.Enum([...halfEffects], {
          examples: ['contain'],
          description:
            'contain: its versions are switched off and tried; replace: it gets the new password; serve: it has what is handed out from then on; nothing',
        }),
        step: nullable(
          Type.Integer({ examples: [1], description: 'those of one number at the same time' }),
        ),
        versions: Type.Array(Type.Integer({ examples: [2] })),
      }),
      { description: 'of a pair: what is done to each of its halves, in this order' },
    ),
  ),
  losesAccess: Type.Array(sentence('pays'), { description: 'connections that log in with it' }),
  approvals: Type.Integer({ examples: [1] }),
  basis: strict(
    {
      key: Type.Integer({ examples: [1] }),
      connection: Type.Integer({ examples: [1] }),
      policy: nullable(
        strict({ name: sentence('monthly'), revision: Type.Integer({ examples: [3] }) }),
      ),
    },
    { description: 'revisions that must be the same when it is executed' },
  ),
  warnings: Type.Array(
    sentence(
      'An outage: from the revocation on until its replacement is handed out, nothing serves.',
    ),
  ),
})

export const previewFields = {
  hash: hashSchema,
  at: momentSchema,
  expiresAt: momentSchema,
  keys: Type.Array(containedKeySchema, { description: 'the most dangerous first' }),
  consumers: Type.Array(sentence('shop')),
  warnings: Type.Array(sentence('An outage of orders-token.')),
  approvalsNeeded: Type.Integer({ examples: [1] }),
}

const someKeys = Type.Array(sentence('orders-token'))
export const differsSchema = strict(
  { added: someKeys, removed: someKeys, changed: someKeys },
  {
    description:
      'from the preview before: names of keys, at most a hundred each; null: there was none',
  },
)

export const presentPreview = ({ at, expiresAt, keys, ...preview }: IncidentPreview) => ({
  ...preview,
  at: at.toISOString(),
  expiresAt: expiresAt.toISOString(),
  keys: keys.map(({ keyId: _keyId, basis, ...key }: ContainedKey) => {
    const { address: _address, ...shown } = basis
    return { ...key, halves: key.halves?.map((half) => ({ ...half })) ?? null, basis: shown }
  }),
})
