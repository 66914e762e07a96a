// What sinks are told: five kinds of news, each drawn from audit events, and who is told of each.
//
// Only the fields named here leave the house; the events' own bodies do not. A sink whose `events` are listed is told of
// these, always: it is the admin's word. A sink without a list is told what policies route to it by `notify`, and everything
// of those that route nothing.

import type { AuditAction, AuditBody } from './audit.ts'
import type { Sink } from './connection.ts'
import type { Json, JsonObject } from './json.ts'
import type { ResolvedPolicy } from './policy.ts'

type Routed = 'stalled' | 'overdue' | 'failed' | 'ackMissing' | 'drifted'

/** `breakGlass` is told to every sink, whatever it chose and a policy routes. */
export type Notice = Routed | 'breakGlass'

/** Each action that may be news, and of which kind. */
const news = {
  'rotation.stalled': 'stalled',
  // It stands still until a person has done something by hand.
  'rotation.stepAsked': 'stalled',
  // All of it stands still until a person has looked.
  'recovery.began': 'stalled',
  // No rotation of it goes on, or begins, without a person.
  'key.notRotating': 'stalled',
  'key.overdue': 'overdue',
  // What people would go by at night may be wrong.
  'playbook.reviewOverdue': 'overdue',
  'key.drifted': 'drifted',
  'rotation.rolledBack': 'failed',
  'rotation.cancelled': 'failed',
  // What leaked may be accepted still.
  'incident.partly': 'failed',
  'incident.keyFailed': 'failed',
  'rotation.ackMissing': 'ackMissing',
  'apiKey.approved': 'breakGlass',
  'breakGlass.used': 'breakGlass',
  'breakGlass.bound': 'breakGlass',
} as const satisfies Partial<Record<AuditAction, Notice>>

export const newsActions = Object.keys(news) as readonly (keyof typeof news)[]
/** Those that a sink, or a policy, can choose. */
export const notices = [...new Set(Object.values(news))].filter(
  (notice): notice is Routed => notice !== 'breakGlass',
)

/** Null for events that nobody is told of. A rotation that a person cancelled is no news: only one that Rekey ended, in its
 *  preflight or by a fault before it. */
export const noticeOf = (event: AuditBody): Notice | null => {
  if (event.actor.type === 'breakGlass' && !isLook(event.action)) return 'breakGlass'
  if (event.action === 'rotation.cancelled') return event.actor.type === 'worker' ? 'failed' : null
  return Object.hasOwn(news, event.action) ? news[event.action as keyof typeof news] : null
}

/** What a token to break glass with was refused, or read, is in the log alone: it could be made to flood its receivers. */
const isLook = (action: AuditAction): boolean =>
  action.startsWith('request.') || action === 'audit.read'

export const isTold = (
  sink: Pick<Sink, 'name' | 'events'>,
  notice: Notice,
  notify: ResolvedPolicy['notify'],
): boolean => {
  if (notice === 'breakGlass') return true
  if (sink.events !== null) return sink.events.includes(notice)
  if (notify.length === 0) return true
  return notify.some((route) => route.sink === sink.name && route.events.includes(notice))
}

export interface NoticeSubject {
  readonly key: string
  /** Null where the event names none. */
  readonly keyId: string | null
  readonly policy: string | null
  readonly rotation: string | null
}

export const subjectOf = (event: AuditBody): NoticeSubject => {
  const { target } = event
  const isRotation = target.kind === 'rotation'
  if (['installation', 'incident', 'playbook'].includes(target.kind))
    return { key: target.name, keyId: null, policy: null, rotation: null }
  return {
    key: target.name,
    keyId: isRotation ? textOrNull(member(event.after, 'keyId')) : target.id,
    policy: textOrNull(member(event.after, 'policy')),
    rotation: isRotation ? target.id : null,
  }
}

/** Receivers expect bodies below 20 kB; all else that is told is a name. */
const maxReason = 2_000

/** The `data` of the message: names, a sentence, and the command that comes next. */
export const noticeData = (event: AuditBody, owner: string | null): JsonObject => {
  if (noticeOf(event) === 'breakGlass') return glassData(event)
  const { key, policy, rotation } = subjectOf(event)
  return {
    key,
    rotation,
    policy,
    owner: owner ?? textOrNull(member(event.after, 'owner')),
    reason: event.reason === null ? null : event.reason.slice(0, maxReason),
    next: nextCommand(event, key, rotation),
    auditEvent: event.id,
  }
}

/** Members of the others that it has not are null: receivers read one form. */
const glassData = (event: AuditBody): JsonObject => ({
  key: null,
  rotation: null,
  policy: null,
  owner: null,
  token: event.target.kind === 'apiKey' ? event.target.name : event.actor.name,
  by: event.actor.name,
  action: event.action,
  incident: event.correlationId,
  reason: event.reason === null ? null : event.reason.slice(0, maxReason),
  next: `rekey get audit-events --actor ${event.actor.id}`,
  auditEvent: event.id,
})

const nextCommand = (event: AuditBody, key: string, rotation: string | null): string => {
  if (event.target.kind === 'installation') return 'rekey doctor'
  if (event.target.kind === 'playbook') return `rekey describe playbook/${event.target.name}`
  if (event.target.kind === 'incident') return `rekey incident report incident/${event.target.id}`
  if (event.action === 'incident.keyFailed')
    return `rekey incident report incident/${event.correlationId}`
  if (rotation !== null) return `rekey describe rotation/${rotation}`
  return event.action === 'key.overdue'
    ? `rekey rotate key/${key} --reason overdue`
    : `rekey describe key/${key}`
}

const member = (json: Json, name: string): Json =>
  typeof json === 'object' && json !== null && !Array.isArray(json)
    ? ((json as JsonObject)[name] ?? null)
    : null

const textOrNull = (json: Json): string | null => (typeof json === 'string' ? json : null)
