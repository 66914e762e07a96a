import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { logOptions, openLog, readable } from '#runtime/log.ts'

const collect = () => {
  const lines: string[] = []
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(...chunk.toString().split('\n').filter(Boolean))
      done()
    },
  })
  return { lines, stream }
}

test('a line is one JSON object: level by name, time in RFC 3339, and the work it belongs to', () => {
  const { lines, stream } = collect()
  const fields = { traceId: 'a'.repeat(32), rotationId: 'r1' }
  pino(
    logOptions('info', () => fields),
    stream,
  ).warn({ where: 'sweep' }, 'it will be tried again')
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      pid: process.pid,
      hostname: expect.any(String),
      ...fields,
      where: 'sweep',
      msg: 'it will be tried again',
    },
  ])
})

test('the level decides what is written', () => {
  const { lines, stream } = collect()
  const log = pino(logOptions('warn'), stream)
  log.info('no')
  log.error('yes')
  expect(lines).toHaveLength(1)
  pino(logOptions('silent'), stream).fatal('no')
  expect(lines).toHaveLength(1)
})

test('what may hold a secret is redacted, a level down too', () => {
  const { lines, stream } = collect()
  pino(logOptions('info'), stream).info({
    token: 'planted',
    req: { headers: { authorization: 'planted' }, body: 'planted' },
    connection: { password: 'planted', secret: 'planted', cookie: 'planted' },
    err: { validation: ['planted'], response: 'planted' },
  })
  expect(lines.join()).not.toContain('planted')
  expect(lines.join()).toContain('«redacted»')
})

test('a person reads time, level, message, and what goes with it', () => {
  const line = {
    level: 'info',
    time: '2026-11-25T22:33:47.810Z',
    pid: 1,
    hostname: 'vm',
    requestId: 'r-1',
    route: '/v1/keys/{name}',
    status: 404,
    actor: null,
    spanId: 'b'.repeat(16),
    msg: 'request',
  }
  expect(readable(JSON.stringify(line))).toBe(
    '22:33:47.810 info  request requestId=r-1 route=/v1/keys/{name} status=404 actor=null',
  )
  expect(readable('not JSON\n')).toBe('not JSON')
  expect(readable('42')).toBe('42')
})

test('nothing in a line moves the cursor, hides, or looks like another field', () => {
  const line = {
    level: 'warn',
    time: '',
    msg: 'a\u001b[2Jb\u202ec\nd',
    reason: 'two words status=200',
    error: '\u001b]0;title\u0007',
  }
  const text = readable(JSON.stringify(line))
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  expect(text).not.toMatch(/[\u0000-\u001f\u202e]/)
  expect(text).toContain('reason="two words status=200"')
})

test('a terminal gets lines for people', () => {
  const { lines, stream } = collect()
  const terminal = Object.assign(stream, { isTTY: true }) as unknown as NodeJS.WriteStream
  openLog('info', () => ({}), terminal).info({ status: 200 }, 'request')
  // oxlint-disable-next-line no-control-regex -- colours
  expect(lines.join('').replaceAll(/\u001b\[\d+m/g, '')).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} info {2}request status=200$/,
  )
})
