// The shape of a rotation policy: every field of 3-domain.md "Policy: every field", strict everywhere. What one field says
// about another is in policy-rules.ts, since a union of shapes would answer one mistake with an error for every branch.

import { Type, type Static, type TProperties } from 'typebox'
import { durationSchema } from './duration.ts'
import {
  annotationsSchema,
  type DeepReadonly,
  freeTextSchema,
  labelKeySchema,
  labelsSchema,
  matchLabelsSchema,
  nameSchema,
  selectorSchema,
  typeNameSchema,
} from './names.ts'
import { timestampSchema } from './timestamp.ts'

export const policyApiVersion = 'rekey.dev/v1'

const strict = <T extends TProperties>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })
const optional = Type.Optional

/** Checked by the key type's own schema once the type is known; here only that it is small and flat (policy-rules.ts). */
const parametersSchema = Type.Record(
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]{0,63}$' }),
  Type.Unknown(),
  { additionalProperties: false, maxProperties: 32 },
)

const cronSchema = Type.String({
  minLength: 9,
  maxLength: 200,
  description: 'a cron line of five fields',
})
const zoneSchema = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'an IANA time zone such as Europe/Paris',
})

const scheduleSchema = strict({
  cron: cronSchema,
  timezone: zoneSchema,
  jitter: optional(durationSchema),
  window: optional(durationSchema),
  missed: optional(Type.Enum(['runInNextWindow', 'skip'])),
})

/** Either `cron`, `duration` and `timezone`, or `from` and `to`. */
const blackoutSchema = strict({
  name: nameSchema,
  cron: optional(cronSchema),
  duration: optional(durationSchema),
  timezone: optional(zoneSchema),
  from: optional(timestampSchema),
  to: optional(timestampSchema),
})

/** An object at a connection. `type: file` has none, and is refused until something writes files. */
const publishSchema = strict({
  name: nameSchema,
  connection: optional(nameSchema),
  type: typeNameSchema,
  ref: parametersSchema,
})

const verifySchema = strict({
  type: Type.Enum(['roundTrip', 'login', 'oldDataReadable', 'webhook']),
  url: optional(
    Type.String({
      maxLength: 2000,
      pattern: '^https?://[^\\s]+$',
      description: 'an http(s) address',
    }),
  ),
})

const consumersSchema = strict({
  matchLabels: optional(matchLabelsSchema),
  acknowledgement: optional(
    strict({
      required: Type.Enum(['all', 'any']),
      timeout: optional(durationSchema),
      onTimeout: optional(Type.Enum(['hold', 'rollback'])),
    }),
  ),
})

export const approvalRoles = ['approver', 'responder', 'operator', 'admin'] as const

export const policySpecSchema = strict({
  description: optional(freeTextSchema(1000)),
  enabled: optional(Type.Boolean()),
  priority: optional(Type.Integer({ minimum: -1000, maximum: 1000 })),
  selector: selectorSchema,
  schedule: optional(scheduleSchema),
  maxAge: optional(durationSchema),
  manual: optional(Type.Boolean()),
  rotateOnEnable: optional(Type.Boolean()),
  blackouts: optional(Type.Array(blackoutSchema, { maxItems: 50 })),
  pause: optional(strict({ until: timestampSchema, reason: optional(freeTextSchema(500)) })),
  generate: optional(parametersSchema),
  publish: optional(Type.Array(publishSchema, { maxItems: 50 })),
  verify: optional(Type.Array(verifySchema, { minItems: 1, maxItems: 20 })),
  consumers: optional(consumersSchema),
  overlap: optional(strict({ min: optional(durationSchema), unusedFor: optional(durationSchema) })),
  soak: optional(durationSchema),
  retire: optional(Type.Enum(['keep', 'disable', 'destroy'])),
  acceptGap: optional(Type.Boolean()),
  approval: optional(
    strict({
      required: optional(Type.Integer({ minimum: 0, maximum: 10 })),
      roles: optional(
        Type.Array(Type.Enum([...approvalRoles]), { minItems: 1, maxItems: 4, uniqueItems: true }),
      ),
    }),
  ),
  retry: optional(
    strict({
      attempts: optional(Type.Integer({ minimum: 1, maximum: 100 })),
      initial: optional(durationSchema),
      max: optional(durationSchema),
    }),
  ),
  concurrency: optional(
    strict({
      max: optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
      groupBy: optional(labelKeySchema),
      minimumSpacing: optional(durationSchema),
    }),
  ),
  emergency: optional(
    strict({
      mode: optional(Type.Enum(['disable', 'rotateFast', 'revokeFirst', 'revokeOnly'])),
      approvals: optional(Type.Integer({ minimum: 0, maximum: 10 })),
      ignoreBlackouts: optional(Type.Boolean()),
      onLeak: optional(Type.Enum(['ask', 'automatic'])),
    }),
  ),
  notify: optional(
    Type.Array(
      strict({
        sink: nameSchema,
        events: Type.Array(Type.Enum(['stalled', 'overdue', 'ackMissing', 'failed']), {
          minItems: 1,
          uniqueItems: true,
        }),
      }),
      { maxItems: 50 },
    ),
  ),
})

export type PolicySpec = DeepReadonly<Static<typeof policySpecSchema>>

export const policyDocumentSchema = strict({
  apiVersion: Type.Literal(policyApiVersion),
  kind: Type.Literal('RotationPolicy'),
  metadata: strict({
    name: nameSchema,
    labels: optional(labelsSchema),
    annotations: optional(annotationsSchema),
  }),
  spec: policySpecSchema,
})
