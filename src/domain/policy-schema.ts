// The shape of a rotation policy: every field of 3-domain.md "Policy: every field", strict everywhere. What one field says
// about another is in policy-rules.ts, since a union of shapes would answer one mistake with an error for every branch.

import { Type, type Static } from 'typebox'
import { annotatedSchema } from './document-schema.ts'
import { durationSchema } from './duration.ts'
import { field, maybe, strict } from './fields.ts'
import {
  type DeepReadonly,
  freeTextSchema,
  labelKeySchema,
  matchLabelsSchema,
  nameSchema,
  selectorSchema,
  typeNameSchema,
} from './names.ts'
import { timestampSchema } from './timestamp.ts'

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
  cron: field('when: minute, hour, day of month, month, day of week', cronSchema),
  timezone: field('the zone in which the cron line is read', zoneSchema),
  jitter: maybe('each key is moved by up to this much, always by the same', durationSchema, '0s'),
  window: maybe(
    'a rotation begins within this time or waits for the next window; without one, at the time or by catch-up',
    durationSchema,
  ),
  missed: maybe(
    'what becomes of an occurrence that could not begin in time',
    Type.Enum(['runInNextWindow', 'skip']),
    'runInNextWindow',
  ),
})

/** Either `cron`, `duration` and `timezone`, or `from` and `to`. */
const blackoutSchema = strict({
  name: field('what reports call it', nameSchema),
  cron: maybe('when it begins, again and again; with duration and timezone', cronSchema),
  duration: maybe('how long each one lasts', durationSchema),
  timezone: maybe('the zone in which the cron line is read', zoneSchema),
  from: maybe('when it begins, once; with to', timestampSchema),
  to: maybe('when it ends', timestampSchema),
})

/** An object at a connection; a file is one at a connection of the provider `file`. */
const publishSchema = strict({
  name: field('what plans and reports call it', nameSchema),
  connection: maybe('the connection that the target is at', nameSchema),
  type: field('the type of the target', typeNameSchema),
  ref: field('which object it is, as its type names objects', parametersSchema),
})

const verifySchema = strict({
  type: field(
    'what is tried with a new version before it is handed out',
    Type.Enum(['roundTrip', 'login', 'oldDataReadable', 'webhook']),
  ),
  url: maybe(
    'of webhook: the address that is asked',
    Type.String({
      maxLength: 2000,
      pattern: '^https?://[^\\s]+$',
      description: 'an http(s) address',
    }),
  ),
})

const consumersSchema = strict({
  matchLabels: maybe('consumers with these labels use the keys of this policy', matchLabelsSchema),
  acknowledgement: maybe(
    'whether consumers must say that they use the new version before the old one goes',
    strict({
      required: field('all of them, or any one', Type.Enum(['all', 'any'])),
      timeout: maybe('how long it may take before somebody is told', durationSchema, '24h'),
      onTimeout: maybe(
        'what then happens: hold keeps both versions valid',
        Type.Enum(['hold', 'rollback']),
        'hold',
      ),
    }),
  ),
})

export const approvalRoles = ['approver', 'responder', 'operator', 'admin'] as const

export const policySpecSchema = strict({
  description: maybe('what it is for', freeTextSchema(1000)),
  enabled: maybe('false: it starts nothing', Type.Boolean(), true),
  priority: maybe(
    'of two policies that select a key, the higher one applies; equal ones are refused',
    Type.Integer({ minimum: -1000, maximum: 1000 }),
    0,
  ),
  selector: field('which keys', selectorSchema),
  schedule: maybe('rotate by the clock', scheduleSchema),
  maxAge: maybe('rotate before a version is older than this', durationSchema),
  manual: maybe(
    'true, without schedule and maxAge: only people start rotations',
    Type.Boolean(),
    false,
  ),
  rotateOnEnable: maybe('rotate each key once when the policy is enabled', Type.Boolean(), false),
  blackouts: maybe(
    'times in which nothing is written at a provider; undo always may',
    Type.Array(blackoutSchema, { maxItems: 50 }),
    [],
  ),
  pause: maybe(
    'nothing is started until then',
    strict({
      until: field('when it ends by itself', timestampSchema),
      reason: maybe('why', freeTextSchema(500)),
    }),
  ),
  generate: maybe(
    'parameters of new material, as the type of the keys takes them',
    parametersSchema,
  ),
  publish: maybe(
    'where each new version is written before it is handed out; each target needs a grant of its connection',
    Type.Array(publishSchema, { maxItems: 50 }),
    [],
  ),
  verify: maybe(
    "how a new version is proven; left out, by the type's own checks",
    Type.Array(verifySchema, { minItems: 1, maxItems: 20 }),
  ),
  consumers: maybe('who uses the keys', consumersSchema),
  overlap: maybe(
    'how long both versions stay valid',
    strict({
      min: maybe('at least this long', durationSchema, '24h'),
      unusedFor: maybe('and until the old one was seen unused for this long', durationSchema, '0s'),
    }),
  ),
  soak: maybe(
    'how long the old version stays switched off before it is retired',
    durationSchema,
    '1h',
  ),
  retire: maybe(
    'what becomes of the old version at the end',
    Type.Enum(['keep', 'disable', 'destroy']),
    'disable',
  ),
  acceptGap: maybe(
    'accept that a key with a single slot has no valid version for a moment',
    Type.Boolean(),
    false,
  ),
  approval: maybe(
    'how many people must agree before a rotation begins',
    strict({
      required: maybe(
        'how many; never the one who asked',
        Type.Integer({ minimum: 0, maximum: 10 }),
        0,
      ),
      roles: maybe(
        'with one of these roles',
        Type.Array(Type.Enum([...approvalRoles]), { minItems: 1, maxItems: 4, uniqueItems: true }),
        ['approver'],
      ),
    }),
  ),
  retry: maybe(
    'how often a step is tried again where the provider said no',
    strict({
      attempts: maybe('how often', Type.Integer({ minimum: 1, maximum: 100 }), 5),
      initial: maybe('the first wait; it doubles', durationSchema, '30s'),
      max: maybe('the longest wait', durationSchema, '15m'),
    }),
  ),
  concurrency: maybe(
    'how many keys rotate at one time',
    strict({
      max: maybe(
        'open rotations in a group; 1: never together',
        Type.Integer({ minimum: 1, maximum: 10_000 }),
        5,
      ),
      groupBy: maybe(
        'the label whose values make groups; without one, all keys of the policy',
        labelKeySchema,
      ),
      minimumSpacing: maybe('time between two beginnings in a group', durationSchema, '0s'),
    }),
  ),
  emergency: maybe(
    'what an incident does with the keys',
    strict({
      mode: maybe(
        'the order of revoking and replacing',
        Type.Enum(['disable', 'rotateFast', 'revokeFirst', 'revokeOnly']),
      ),
      approvals: maybe('how many people must agree', Type.Integer({ minimum: 0, maximum: 10 }), 1),
      ignoreBlackouts: maybe('blackouts do not hold it up', Type.Boolean(), true),
      onLeak: maybe(
        'automatic: a signed report of a leak is answered without a person; needs a mode',
        Type.Enum(['ask', 'automatic']),
        'ask',
      ),
    }),
  ),
  notify: maybe(
    'who is told of what',
    Type.Array(
      strict({
        sink: field('the sink', nameSchema),
        events: field(
          'of which events',
          Type.Array(Type.Enum(['stalled', 'overdue', 'ackMissing', 'failed', 'drifted']), {
            minItems: 1,
            uniqueItems: true,
          }),
        ),
      }),
      { maxItems: 50 },
    ),
    [],
  ),
})

export type PolicySpec = DeepReadonly<Static<typeof policySpecSchema>>

export const policyDocumentSchema = annotatedSchema('RotationPolicy', policySpecSchema)
