// What a person is to do, as the key's ref lists it: lines for each effect, in order.

import { Type } from 'typebox'
import type { ByHand, HandEffect } from '#domain/by-hand.ts'
import { durationSchema, parseDuration } from '#domain/duration.ts'
import type { JsonObject } from '#domain/json.ts'
import { freeTextPattern } from '#domain/names.ts'

const text = (maxLength: number, description: string, example: string) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: freeTextPattern,
    description,
    examples: [example],
  })

const whens = ['mint', 'promote', 'suspend', 'reinstate', 'retire'] as const
type When = (typeof whens)[number]

export const refSchema = Type.Object(
  {
    description: text(500, 'What the credential is.', 'API key of the payment partner'),
    steps: Type.Array(
      Type.Object(
        {
          when: Type.Enum([...whens], {
            description:
              'For which effect: mint (make the new one), promote (hand out another than before), suspend (switch one off), reinstate (switch it on again), retire (end one for good).',
          }),
          do: text(500, 'One line of the checklist.', 'Partner portal, API keys, Create'),
        },
        { additionalProperties: false },
      ),
      {
        minItems: 1,
        maxItems: 50,
        description:
          'The checklist. Without a line for suspend the credential cannot be switched off for a while, only ended.',
      },
    ),
    within: Type.Optional({
      ...durationSchema,
      description: 'How soon a step is to be done once it is asked for; 7d unless told.',
      examples: ['3d'],
    }),
  },
  { additionalProperties: false },
)

interface Checklist {
  readonly steps: readonly { readonly when: When; readonly do: string }[]
  readonly within?: string
}

// The schema above has judged it.
const read = (ref: JsonObject): Checklist => ref as unknown as Checklist

/** Undo has no lines of its own: it hands out, and ends, as the way forward does. */
const lines: Readonly<Record<HandEffect, When>> = {
  mint: 'mint',
  promote: 'promote',
  swapBack: 'promote',
  suspend: 'suspend',
  reinstate: 'reinstate',
  retire: 'retire',
  removeNew: 'retire',
}

export const byHand: ByHand = {
  steps: (ref, effect) =>
    read(ref)
      .steps.filter(({ when }) => when === lines[effect])
      .map((step) => step.do),
  withinMs: (ref) => parseDuration(read(ref).within ?? '7d'),
}

export const suspends = (ref: JsonObject): boolean =>
  read(ref).steps.some(({ when }) => when === 'suspend')
