// What is counted and traced while the real engine works, taken at its seams.

import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import type { Session } from '#domain/provider.ts'
import { keyTypes, providers } from '#providers/registry.ts'
import { makeMeter, type OpenMeter } from '#runtime/meter.ts'
import type { Move } from '#runtime/observe-ledger.ts'
import { observeAdvance } from '#runtime/observe-advance.ts'
import { observeOutbox } from '#runtime/observe-outbox.ts'
import { observeSessions } from '#runtime/observe-sessions.ts'
import { makeTracer } from '#runtime/tracer.ts'
import { createTraceparents } from '#store/traceparents.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeFaultPlan } from '#test/support/faults.ts'

const faults = makeFaultPlan()
const tracer = makeTracer(null)
const moves: Move[] = []
let meter: OpenMeter
let engine: Engine

beforeAll(async () => {
  meter = makeMeter({
    known: {
      routes: [],
      providers: providers.map(({ id }) => id),
      types: [...keyTypes.keys()],
      builds: [],
      runtimes: [],
    },
  })
  engine = await openEngine({
    wrap: faults.wrap,
    observed: { meter, tracer, onMove: (move) => moves.push(move) },
  })
  await engine.policy('manual')
})
afterAll(() => engine.close())

/** The value of one series; 0 where there is none. */
const value = async (series: string): Promise<number> => {
  const line = (await meter.expose(null)).split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? 0)
}
/** By how much series grow while something is done. */
const growth = async (work: () => Promise<unknown>, ...series: readonly string[]) => {
  const before = await Promise.all(series.map(value))
  await work()
  return Promise.all(series.map(async (one, i) => (await value(one)) - (before[i] ?? 0)))
}
const ended = (outcome: string): string =>
  `rekey_rotations_ended_total{type="local.secret",trigger="manual",outcome="${outcome}"}`
const commits = (outcome: string): string => `rekey_audit_commits_total{outcome="${outcome}"}`

test('a rotation is counted once by how it ended, with its duration, its calls and its records', async () => {
  await engine.key('counted-key')
  const rotate = async () => engine.until(await engine.rotate('counted-key'), 'end')
  expect(
    await growth(
      rotate,
      ended('completed'),
      'rekey_rotation_duration_seconds_count{type="local.secret",outcome="completed"}',
      'rekey_provider_call_duration_seconds_count{provider="local",operation="mint"}',
      'rekey_audit_events_total{action="effect.mint",outcome="intent"}',
      'rekey_audit_events_total{action="effect.mint",outcome="succeeded"}',
      'rekey_audit_events_total{action="rotation.completed",outcome="succeeded"}',
      commits('failed'),
    ),
  ).toEqual([1, 1, 1, 1, 1, 1, 0])
  expect(moves.at(-1)).toMatchObject({ before: 'retiring', rotation: { phase: 'completed' } })
})

test('a call that fails is counted by its kind, and a lost reply as what it is', async () => {
  await engine.key('lost-key')
  faults.arm('mint', 'reply lost')
  expect(
    await growth(
      async () => engine.until(await engine.rotate('lost-key'), 'end'),
      'rekey_provider_call_errors_total{provider="local",operation="mint",kind="timeout"}',
      'rekey_audit_events_total{action="effect.mint",outcome="unknown"}',
      'rekey_provider_call_duration_seconds_count{provider="local",operation="probeMint"}',
      ended('completed'),
    ),
  ).toEqual([1, 1, 1, 1])
})

test('a takeover is counted when the next worker finds the lease expired', async () => {
  await engine.key('left-key')
  const id = await engine.rotate('left-key')
  faults.arm('mint', 'killed after')
  void engine.advance(id)
  await faults.met()
  await engine.clock.advance(60_000)
  expect(
    await growth(
      () => engine.worker('w2')(id),
      'rekey_rotation_takeovers_total',
      'rekey_audit_events_total{action="rotation.takenOver",outcome="succeeded"}',
    ),
  ).toEqual([1, 1])
})

test('what is refused is no fault, a rehearsal is no change, and a fault of ours is one', async () => {
  const event = { action: 'key.put', target: { id: 'x', name: 'x' }, outcome: 'succeeded' } as const
  const refuse = () =>
    engine.ledger.commit(admin, async () => {
      throw new RekeyError('resource.notFound')
    })
  const withdraw = () =>
    engine.ledger.commit(admin, async () => {
      throw new (class NothingDue extends Error {})()
    })
  const stumble = () =>
    engine.ledger.commit(admin, async () => {
      throw new TypeError('of undefined')
    })
  const attempt = async () => {
    for (const work of [refuse, withdraw, stumble]) await expect(work()).rejects.toThrow()
    await engine.ledger.rehearse(admin, async () => ({ value: null, audit: [event] }))
    await engine.ledger.note(admin, { ...event, action: 'audit.read' })
  }
  expect(
    await growth(
      attempt,
      commits('refused'),
      commits('failed'),
      commits('committed'),
      'rekey_audit_events_total{action="key.put",outcome="succeeded"}',
      'rekey_audit_events_total{action="request.rehearsed",outcome="succeeded"}',
      'rekey_audit_events_total{action="audit.read",outcome="succeeded"}',
    ),
  ).toEqual([2, 1, 2, 0, 1, 1])
})

test('a connection that cannot be opened is counted, and one session has one wrapper', async () => {
  const session = await openLocal()
  const connection = await engine.ledger.read((db) => db.connections.get('vault'))
  if (!connection) throw new Error('no connection')
  let fails = true
  const sessions = observeSessions(
    {
      open: async () => {
        if (fails) throw new RekeyError('connection.unusable')
        return session
      },
      enter: async () => null,
      forget: async () => undefined,
      close: async () => undefined,
    },
    { meter, tracer },
  )
  expect(
    await growth(
      () => expect(sessions.open(connection)).rejects.toThrow(RekeyError),
      'rekey_connection_failures_total{provider="local",code="connection.unusable"}',
    ),
  ).toEqual([1])
  fails = false
  expect(await sessions.open(connection)).toBe(await sessions.open(connection))
})

const openLocal = async (): Promise<Session> => {
  const connection = await engine.ledger.read((db) => db.connections.get('vault'))
  if (!connection) throw new Error('no connection')
  return engine.deps.world.sessions.open(connection)
}

test('messages to sinks are counted by what became of them', async () => {
  const outbox = observeOutbox(
    {
      ...engine.outbox,
      failed: async () => undefined,
      delivered: async () => undefined,
      bury: async () => 3,
    },
    meter,
  )
  const delivery = { sink: 'x', eventId: engine.ids.next(), attempts: 1 }
  const failure = { status: 500, error: 'HTTP 500' }
  const of = (outcome: string): string => `rekey_sink_deliveries_total{outcome="${outcome}"}`
  const work = async () => {
    await outbox.delivered(delivery)
    await outbox.failed(delivery, failure, 1_000)
    await outbox.failed(delivery, failure, null)
    await outbox.bury('x', 'gone')
  }
  expect(await growth(work, of('delivered'), of('retried'), of('dead'))).toEqual([1, 1, 4])
})

test('without a collector the trace of a caller reaches the row, its records and the log', async () => {
  await engine.key('handed-key')
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const request = tracer.begin({
    name: 'request',
    kind: 'server',
    parent: `00-${traceId}-b7ad6b7169203331-01`,
  })
  const id = await request.run(() => engine.rotate('handed-key'))
  const [row] = await engine.sql('SELECT traceparent FROM app.rotation WHERE id = $1', [id])
  expect(row?.['traceparent']).toContain(traceId)
  expect((await engine.events(id)).map(({ body }) => body.traceId)).toEqual([traceId])
  expect(request.run(() => tracer.logFields())).toMatchObject({ traceId })
  expect(tracer.logFields()).toEqual({})
})

test('a rotation that nobody asked for begins a trace of its own, and goes on in it', async () => {
  const exported = new InMemorySpanExporter()
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: exported })],
  })
  const own = makeTracer({ tracer: provider.getTracer('test'), close: () => provider.shutdown() })
  const scheduled = await openEngine({ observed: { meter, tracer: own, onMove: () => undefined } })
  try {
    await scheduled.policy('aged', { manual: undefined, maxAge: '10d' } as never)
    for (const name of ['one', 'two']) await scheduled.key(name)
    await scheduled.clock.advance(10 * 86_400_000)
    expect(await scheduled.plan()).toBeGreaterThan(0)
    const rows = await scheduled.sql('SELECT id, traceparent FROM app.rotation')
    const traces = rows.map((row) => String(row['traceparent']).split('-')[1])
    expect(new Set(traces).size).toBe(2)
    const [row] = rows
    const advance = observeAdvance(scheduled.advance, own, createTraceparents(scheduled.database))
    await advance(String(row?.['id']))
    const spans = exported
      .getFinishedSpans()
      .filter((span) => span.spanContext().traceId === traces[0])
    const names = spans.map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['rotation.open', 'rotation.advance', 'provider.mint']),
    )
    const root = spans.find(({ name }) => name === 'rotation.open')
    const step = spans.find(({ name }) => name === 'rotation.advance')
    expect(root?.parentSpanContext).toBeUndefined()
    expect(step?.parentSpanContext?.spanId).toBe(root?.spanContext().spanId)
  } finally {
    await scheduled.close()
    await own.close()
  }
})

test('a trace that is no trace begins none', () => {
  for (const parent of [
    'nonsense',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more',
  ])
    expect(
      tracer.begin({ name: 'x', kind: 'server', parent }).run(() => tracer.current()),
      parent,
    ).toBeNull()
})

test('no name of a key is in what was counted', async () => {
  const text = await meter.expose(null)
  for (const name of ['counted-key', 'lost-key', 'left-key', 'handed-key', 'ada', 'w2'])
    expect(text).not.toContain(name)
})
