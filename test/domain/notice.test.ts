import { describe, expect, test } from 'vitest'
import type { AuditBody } from '#domain/audit.ts'
import { isTold, newsActions, noticeData, noticeOf, notices, subjectOf } from '#domain/notice.ts'

const event = (over: Partial<AuditBody>): AuditBody => ({
  id: '0199a1b2-0000-7000-8000-000000000001',
  at: '2026-11-23T03:00:00.000Z',
  actor: { type: 'worker', id: 'worker:1', name: '1', roles: [] },
  action: 'rotation.stalled',
  target: { kind: 'rotation', id: 'r1', name: 'billing' },
  outcome: 'succeeded',
  reason: 'the provider refused',
  ticket: null,
  requestId: null,
  traceId: null,
  correlationId: 'r1',
  causationId: null,
  stream: null,
  before: { phase: 'promoting' },
  after: { phase: 'stalled', key: 'billing', keyId: 'k1', policy: 'monthly' },
  provider: null,
  ...over,
})

describe('what is news', () => {
  test('stalled, overdue, failed and missing acknowledgements are; the daily work is not', () => {
    expect(noticeOf(event({}))).toBe('stalled')
    expect(noticeOf(event({ action: 'key.overdue' }))).toBe('overdue')
    expect(noticeOf(event({ action: 'key.drifted' }))).toBe('drifted')
    expect(noticeOf(event({ action: 'rotation.ackMissing' }))).toBe('ackMissing')
    expect(noticeOf(event({ action: 'rotation.rolledBack' }))).toBe('failed')
    expect(noticeOf(event({ action: 'breakGlass.used' }))).toBe('breakGlass')
    expect(noticeOf(event({ action: 'rotation.completed' }))).toBeNull()
    expect(notices.toSorted()).toEqual(['ackMissing', 'drifted', 'failed', 'overdue', 'stalled'])
  })

  test('a rotation that Rekey ended before anything was made is, one that a person cancelled is not', () => {
    const ended = { action: 'rotation.cancelled', before: { phase: 'preflight' } } as const
    expect(noticeOf(event(ended))).toBe('failed')
    const person = { type: 'user', id: 'u', name: 'u', roles: ['operator'] }
    expect(noticeOf(event({ ...ended, actor: person }))).toBeNull()
    expect(noticeOf(event({ ...ended, before: { phase: 'planned' } }))).toBe('failed')
  })
})

describe('who is told', () => {
  const open = { name: 'siem', events: null }
  test('a sink without a list hears everything of policies that route nothing', () => {
    expect(notices.every((notice) => isTold(open, notice, []))).toBe(true)
  })
  test('a policy that routes decides for sinks without a list', () => {
    const notify = [{ sink: 'oncall', events: ['stalled' as const] }]
    expect(isTold(open, 'stalled', notify)).toBe(false)
    expect(isTold({ name: 'oncall', events: null }, 'stalled', notify)).toBe(true)
    expect(isTold({ name: 'oncall', events: null }, 'overdue', notify)).toBe(false)
  })
  test('no policy silences a sink that lists its events, nor makes it hear others', () => {
    const sink = { name: 'siem', events: ['overdue'] }
    expect(isTold(sink, 'overdue', [{ sink: 'oncall', events: ['overdue'] }])).toBe(true)
    expect(isTold(sink, 'stalled', [{ sink: 'siem', events: ['stalled'] }])).toBe(false)
  })
})

describe('what is told', () => {
  test('names, the reason, the next command and the audit event; nothing else of the event', () => {
    const body = event({
      after: { policy: 'monthly', keyId: 'k1', secret: 'never', preImage: { a: 1 } },
    })
    expect(noticeData(body, 'payments')).toEqual({
      key: 'billing',
      rotation: 'r1',
      policy: 'monthly',
      owner: 'payments',
      reason: 'the provider refused',
      next: 'rekey describe rotation/r1',
      auditEvent: body.id,
    })
  })
  test('a key that is overdue has no rotation, and the next step is to rotate it', () => {
    const data = noticeData(
      event({ action: 'key.overdue', target: { kind: 'key', id: 'k1', name: 'billing' } }),
      'payments',
    )
    expect(data).toMatchObject({
      rotation: null,
      next: 'rekey rotate key/billing --reason overdue',
    })
  })
  test('however long the reason, the message stays below 20 kB', () => {
    const data = noticeData(event({ reason: '\u0000'.repeat(30_000) }), 'o')
    expect(Buffer.byteLength(JSON.stringify(data))).toBeLessThan(20_000)
  })
})

describe('every kind of news', () => {
  test.each([
    ['rotation.stalled', 'stalled'],
    ['rotation.stepAsked', 'stalled'],
    ['recovery.began', 'stalled'],
    ['key.notRotating', 'stalled'],
    ['key.overdue', 'overdue'],
    ['playbook.reviewOverdue', 'overdue'],
    ['key.drifted', 'drifted'],
    ['rotation.rolledBack', 'failed'],
    ['rotation.cancelled', 'failed'],
    ['incident.partly', 'failed'],
    ['incident.keyFailed', 'failed'],
    ['rotation.ackMissing', 'ackMissing'],
    ['apiKey.approved', 'breakGlass'],
    ['breakGlass.used', 'breakGlass'],
    ['breakGlass.bound', 'breakGlass'],
    ['incident.contained', null],
    ['request.denied', null],
  ] as const)('%s: %s', (action, notice) => {
    expect(noticeOf(event({ action }))).toBe(notice)
    expect(newsActions.some((one) => one === action)).toBe(notice !== null)
  })
})

const glass = { type: 'breakGlass', id: 'b1', name: 'envelope', roles: ['responder'] } as const

describe('a token to break glass with', () => {
  test.each([
    ['incident.opened', 'breakGlass'],
    ['rotation.cancelled', 'breakGlass'],
    ['rotation.stalled', 'breakGlass'],
    ['request.denied', null],
    ['audit.read', null],
  ] as const)('is told of by whatever it does, and not by what it reads: %s', (action, notice) => {
    expect(noticeOf(event({ action, actor: glass }))).toBe(notice)
  })
  test('is told to every sink, whatever it chose and a policy routes', () => {
    const notify = [{ sink: 'oncall', events: ['stalled' as const] }]
    expect(isTold({ name: 'siem', events: [] }, 'breakGlass', notify)).toBe(true)
    expect(isTold({ name: 'siem', events: ['overdue'] }, 'breakGlass', [])).toBe(true)
  })
  test('says which token, who, what and in which incident; the form is that of all news', () => {
    const target = { kind: 'incident', id: 'i1', name: 'A leak' } as const
    const body = event({ action: 'incident.executed', actor: glass, target, correlationId: 'i1' })
    const data = noticeData(body, 'payments')
    expect(data).toEqual({
      key: null,
      rotation: null,
      policy: null,
      owner: null,
      token: 'envelope',
      by: 'envelope',
      action: 'incident.executed',
      incident: 'i1',
      reason: 'the provider refused',
      next: 'rekey get audit-events --actor b1',
      auditEvent: body.id,
    })
    expect(Object.keys(data)).toEqual(
      expect.arrayContaining(Object.keys(noticeData(event({}), null))),
    )
  })
  test('is named by itself where somebody else approves it, and its reason is cut as every other', () => {
    const admin = { type: 'user', id: 'u1', name: 'ada', roles: ['admin'] } as const
    const target = { kind: 'apiKey', id: 'b1', name: 'envelope' } as const
    const body = event({
      action: 'apiKey.approved',
      actor: admin,
      target,
      reason: 'x'.repeat(3_000),
    })
    expect(noticeData(body, null)).toMatchObject({
      token: 'envelope',
      by: 'ada',
      reason: 'x'.repeat(2_000),
      next: 'rekey get audit-events --actor u1',
    })
    expect(noticeData({ ...body, reason: null }, null)).toMatchObject({ reason: null })
  })
})

describe('what news is about', () => {
  const rotation = event({})
  const keyEvent = event({
    action: 'key.drifted',
    target: { kind: 'key', id: 'k1', name: 'billing' },
    after: { policy: 'monthly', keyId: 'other', owner: 'payments' },
  })

  test('a rotation: its key by name and id, its policy and itself', () => {
    expect(subjectOf(rotation)).toEqual({
      key: 'billing',
      keyId: 'k1',
      policy: 'monthly',
      rotation: 'r1',
    })
  })
  test('a key: no rotation', () => {
    expect(subjectOf(keyEvent)).toEqual({
      key: 'billing',
      keyId: 'k1',
      policy: 'monthly',
      rotation: null,
    })
  })
  test.each(['installation', 'incident', 'playbook'] as const)('an %s: no key at all', (kind) => {
    const target = { kind, id: 'x1', name: 'it' }
    expect(subjectOf(event({ target }))).toEqual({
      key: 'it',
      keyId: null,
      policy: null,
      rotation: null,
    })
  })
  test.each([null, 'text', ['a'], {}, { keyId: 1, policy: true }])(
    'nothing that the event does not say: %j',
    (after) => {
      expect(subjectOf(event({ after }))).toEqual({
        key: 'billing',
        keyId: null,
        policy: null,
        rotation: 'r1',
      })
    },
  )
  test('the owner is who is known now, else who the event names, else nobody', () => {
    expect(noticeData(keyEvent, 'shop')).toMatchObject({ owner: 'shop' })
    expect(noticeData(keyEvent, null)).toMatchObject({ owner: 'payments' })
    expect(noticeData(rotation, null)).toMatchObject({ owner: null })
  })
  test('a reason is cut, or is not there', () => {
    expect(noticeData(event({ reason: null }), null)).toMatchObject({ reason: null })
    expect(noticeData(event({ reason: 'x'.repeat(2_001) }), null)).toMatchObject({
      reason: 'x'.repeat(2_000),
    })
  })

  type Target = AuditBody['target']
  test.each<readonly [action: AuditBody['action'], target: Target, next: string]>([
    ['recovery.began', { kind: 'installation', id: 'i', name: 'rekey' }, 'rekey doctor'],
    [
      'playbook.reviewOverdue',
      { kind: 'playbook', id: 'p1', name: 'leak' },
      'rekey describe playbook/leak',
    ],
    [
      'incident.partly',
      { kind: 'incident', id: 'i1', name: 'A leak' },
      'rekey incident report incident/i1',
    ],
    [
      'incident.keyFailed',
      { kind: 'key', id: 'k1', name: 'billing' },
      'rekey incident report incident/r1',
    ],
    [
      'rotation.stalled',
      { kind: 'rotation', id: 'r1', name: 'billing' },
      'rekey describe rotation/r1',
    ],
    [
      'key.overdue',
      { kind: 'key', id: 'k1', name: 'billing' },
      'rekey rotate key/billing --reason overdue',
    ],
    ['key.drifted', { kind: 'key', id: 'k1', name: 'billing' }, 'rekey describe key/billing'],
  ])('%s: what comes next', (action, target, next) => {
    expect(noticeData(event({ action, target }), null)).toMatchObject({ next })
  })
})
