// What is coming, as JSON, or as a calendar that people subscribe to.

import { Type } from 'typebox'
import { RekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'
import { parseTimestamp, timestampSchema } from '#domain/timestamp.ts'
import { type Coming, listSchedule, type Span } from '#usecases/list-schedule.ts'
import { type Route, route } from '../route.ts'
import { listOf, momentSchema, nullable, strict } from '../schemas.ts'
import { calendarOf } from './calendar.ts'

export interface ScheduleRoutesDeps {
  readonly clock: Clock
}

const comingSchema = strict({
  key: Type.String(),
  policy: nullable(Type.String()),
  at: momentSchema,
  nominal: nullable(momentSchema),
  occurrence: nullable(Type.String()),
  trigger: Type.Enum(['schedule', 'maxAge']),
  overdue: Type.Boolean(),
  following: Type.Array(momentSchema, {
    description: 'later ones of the schedule within the span, at most ten',
  }),
})

const present = (item: Coming) => ({
  ...item,
  at: item.at.toISOString(),
  nominal: item.nominal?.toISOString() ?? null,
  following: item.following.map(({ at }) => at.toISOString()),
})

const day = 86_400_000
const longestMs = 366 * day

export const scheduleRoutes = ({ clock }: ScheduleRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/schedule',
    operationId: 'listSchedule',
    tag: 'schedule',
    summary: 'Rotations to come',
    description:
      'From `from` (default: an hour ago, so that what is due now is seen) to `to` (default: 30 days later). With `Accept: text/calendar` a calendar of the page.',
    access: ['viewer', 'operator', 'approver', 'responder', 'auditor'],
    list: true,
    query: strict({ from: Type.Optional(timestampSchema), to: Type.Optional(timestampSchema) }),
    replies: { 200: listOf(comingSchema) },
    mediaTypes: ['text/calendar'],
    examples: [{ query: { from: '2026-12-01T00:00:00Z', to: '2026-12-31T00:00:00Z' } }],
    handler: async ({ ledger, actor, query, page, pageReply, header }) => {
      const found = await listSchedule({ ledger })(actor, spanOf(query, clock.now()), page)
      const body = pageReply(found, present)
      if (!wantsCalendar(header('accept'))) return { status: 200, body }
      return {
        status: 200,
        // The declaration's `mediaTypes` let the body be text.
        body: calendarOf(found.items, clock.now()) as never,
        mediaType: 'text/calendar; charset=utf-8',
      }
    },
  }),
]

const wantsCalendar = (accept: string | undefined): boolean =>
  (accept ?? '').toLowerCase().includes('text/calendar')

const spanOf = (query: { readonly from?: string; readonly to?: string }, now: Date): Span => {
  const from = momentOf(query.from, 'from') ?? new Date(now.getTime() - day / 24)
  const to = momentOf(query.to, 'to') ?? new Date(from.getTime() + 30 * day)
  if (to <= from || to.getTime() - from.getTime() > longestMs) {
    throw new RekeyError('request.invalid', {
      detail: 'The span must end after it begins, and last at most 366 days.',
      errors: [{ pointer: '/query/to', detail: 'after from, at most 366 days later' }],
    })
  }
  return { from, to }
}

const momentOf = (text: string | undefined, name: string): Date | null => {
  if (text === undefined) return null
  const moment = parseTimestamp(text)
  if (moment) return moment
  throw new RekeyError('request.invalid', {
    detail: `There is no such moment in ${name}.`,
    errors: [{ pointer: `/query/${name}`, detail: 'no such moment' }],
  })
}
