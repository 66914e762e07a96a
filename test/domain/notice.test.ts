import { describe, expect, test } from 'vitest'
import type { AuditBody } from '#domain/audit.ts'
import { isTold, noticeData, noticeOf, notices } from '#domain/notice.ts'

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
