// Who checks the checker: one rotation that went well has no finding, and for each invariant the same records with one
// thing wrong have exactly that one.

import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  breachesOf,
  type Invariant,
  type KeyFacts,
  type RotationFacts,
} from '#domain/invariants.ts'
import type { Key, Version } from '#domain/key.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import { makeIds } from '#runtime/ids.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeShelf } from '#test/support/shelf.ts'
import { lookAtKey, makeCheckInvariants } from '#usecases/check-invariants.ts'
import { makeStartRotation } from '#usecases/start-rotation.ts'

const shelf = makeShelf()
let engine: Engine
let key: Key
let done: KeyFacts
let under: KeyFacts
beforeAll(async () => {
  engine = await openEngine({ providers: [shelf.provider] })
  key = await engine.key('orders', {
    connection: 'shelf',
    type: 'shelf.value',
    ref: { path: 'orders' },
    labels: { set: 'orders' },
  })
  await engine.consumer('orders-app', { uses: 'orders' })
  await engine.policy('orders', {
    selector: { matchLabels: { set: 'orders' } },
    retire: 'destroy',
    soak: '20s',
    overlap: { min: '10s' },
    consumers: {
      matchLabels: { uses: 'orders' },
      acknowledgement: { required: 'all', timeout: '1h' },
    },
  })
  const id = await engine.rotate('orders')
  const { toVersion } = await engine.until(id, ['overlapping'])
  under = await look()
  await engine.steer.acknowledge(admin, id, { consumer: 'orders-app', version: toVersion ?? 0 })
  await engine.until(id, ['completed'])
  done = await look()
})
afterAll(() => engine.close())

const depsOf = () => {
  const { ledger, timers, keyring, clock, deps } = engine
  const { types, sessions } = deps.world
  return { ledger, timers, keyring, clock, types, sessions }
}
const look = async (): Promise<KeyFacts> => {
  const { facts, unknown } = await lookAtKey(depsOf(), key)
  if (!facts) throw new Error(String(unknown))
  return facts
}

const version = (facts: KeyFacts, number: number, change: Partial<Version>): KeyFacts => ({
  ...facts,
  versions: facts.versions.map((one) => (one.version === number ? { ...one, ...change } : one)),
})
const rotation = (
  facts: KeyFacts,
  change: Partial<Rotation>,
  more: (one: RotationFacts) => Partial<RotationFacts> = () => ({}),
): KeyFacts => ({
  ...facts,
  rotations: facts.rotations.map((one) => ({
    ...one,
    ...more(one),
    rotation: { ...one.rotation, ...change },
  })),
})
const told = (facts: KeyFacts): readonly string[] => [
  ...new Set(breachesOf(facts).map(({ invariant }) => invariant)),
]

test('records of a rotation under way, and of one that is completed, have no finding', () => {
  expect([breachesOf(under), breachesOf(done)]).toEqual([[], []])
  expect(done.rotations[0]?.intents.length).toBeGreaterThan(2)
  expect(done.provider?.versions).toHaveLength(2)
})

const wrong: readonly (readonly [
  what: string,
  invariants: readonly Invariant[],
  wrong: () => KeyFacts,
])[] = [
  ['nothing is handed out', ['I1'], () => version(done, 2, { primary: false })],
  [
    'what is handed out is off at the provider',
    ['I1'],
    () => ({
      ...done,
      provider: {
        carriers: [],
        versions: [{ id: '2', state: 'disabled', current: true }],
      },
    }),
  ],
  [
    'the old version is destroyed before the new one was proven',
    ['I2', 'I3'],
    () => version(done, 2, { verifiedAt: null }),
  ],
  [
    'the soak was cut short',
    ['I2'],
    () =>
      version(done, 1, {
        suspendedAt:
          version(done, 1, {}).versions.find((v) => v.version === 1)?.deactivatedAt ?? null,
      }),
  ],
  ['two versions are primary', ['I3'], () => version(under, 1, { primary: true })],
  [
    'two rotations are open',
    ['I4'],
    () => ({
      ...under,
      rotations: [...under.rotations, ...under.rotations],
    }),
  ],
  [
    "a version that is nobody's is enabled",
    ['I5'],
    () => ({
      ...done,
      provider: {
        carriers: [],
        versions: [
          { id: '1', state: 'destroyed', current: false },
          { id: '2', state: 'enabled', current: true },
          { id: '3', state: 'enabled', current: false },
        ],
      },
    }),
  ],
  [
    'a destroyed version is there still',
    ['I5'],
    () => ({
      ...done,
      provider: {
        carriers: [],
        versions: [
          { id: '1', state: 'enabled', current: false },
          { id: '2', state: 'enabled', current: true },
        ],
      },
    }),
  ],
  [
    'readers get another version',
    ['I5'],
    () => ({
      ...done,
      provider: {
        carriers: [],
        versions: [
          { id: '2', state: 'enabled', current: false },
          { id: '3', state: 'disabled', current: true },
        ],
      },
    }),
  ],
  ['what is sealed does not open', ['I6'], () => ({ ...done, sealed: new Map([[2, 'shut']]) })],
  [
    'a worker that was fenced wrote after its successor',
    ['I7'],
    () =>
      rotation(done, {}, ({ events }) => ({
        events: events.map((event, n) =>
          n === 3
            ? {
                ...event,
                body: { ...event.body, after: { ...Object(event.body.after), epoch: 9 } },
              }
            : event,
        ),
      })),
  ],
  [
    'it is rolled back, and the new version is there',
    ['I8', 'I9'],
    () => rotation(done, { phase: 'rolledBack' }),
  ],
  [
    'an effect has no intent in the log',
    ['I9'],
    () =>
      rotation(done, {}, ({ events }) => ({
        events: events.filter(
          ({ body }) => !(body.action === 'effect.suspend' && body.outcome === 'intent'),
        ),
      })),
  ],
  [
    'a transition has no event',
    ['I9'],
    () =>
      rotation(done, {}, ({ events }) => ({
        events: events.filter(({ body }) => body.action !== 'rotation.promoted'),
      })),
  ],
  [
    'the old version went although nobody had acknowledged',
    ['I10'],
    () => rotation(done, {}, () => ({ acknowledgements: [] })),
  ],
  [
    'a compromised version is active again',
    ['I11'],
    () => version(done, 2, { compromisedAt: new Date(0) }),
  ],
  [
    'an occurrence was answered twice',
    ['I12'],
    () => {
      const [one] = rotation(done, { occurrence: 'monday' }).rotations
      return { ...done, rotations: one ? [one, one] : [] }
    },
  ],
  [
    'something was switched off that is not ours',
    ['I15'],
    () =>
      rotation(done, {}, ({ intents }) => ({
        intents: intents.map((intent) =>
          intent.effect === 'suspend' ? { ...intent, target: '77' } : intent,
        ),
      })),
  ],
  [
    'nobody will look at it',
    ['I16'],
    () =>
      rotation(under, {}, ({ timer }) => ({
        timer: timer && { ...timer, dueAt: null, leaseUntil: null, waitingFor: null },
      })),
  ],
  ['no worker came', ['I16'], () => ({ ...under, now: new Date(under.now.getTime() + 3_600_000) })],
  ['more of a group run than may', ['I17'], () => ({ ...under, group: { running: 6, max: 5 } })],
  [
    'a pair has a third half',
    ['I17'],
    () => {
      const [one, two] = under.versions
      const third = two ? [{ ...two, version: 3, primary: false }] : []
      const traits = { ...under.traits, slot: 'pair' as const }
      return { ...under, traits, versions: [...(one && two ? [one, two] : []), ...third] }
    },
  ],
]

test.each(wrong)('%s', (_what, invariants, make) => {
  expect(told(make())).toEqual(invariants)
})

test('what somebody does at the provider is found there, key by key', async () => {
  const find = makeCheckInvariants(depsOf())
  const page = { limit: 10, after: null }
  expect((await find(page)).items).toEqual([{ key: 'orders', breaches: [], unknown: null }])
  shelf.put('orders', 'of a stranger')
  shelf.row('orders', '2').state = 'disabled'
  const { items } = await find(page)
  expect(items.flatMap(({ breaches }) => breaches)).toEqual([
    {
      invariant: 'I1',
      key: 'orders',
      sentence: 'version 2 is handed out, and is disabled at the provider',
    },
    {
      invariant: 'I5',
      key: 'orders',
      sentence: '3 is enabled at the provider, and is none of its versions',
    },
    { invariant: 'I5', key: 'orders', sentence: 'readers get 3, which is not version 2' },
  ])
})

test('a provider that cannot be asked is no finding, and said', async () => {
  const { sessions: _sessions, ...records } = depsOf()
  const sessions = {
    open: () => Promise.reject(new ProviderError('transient', 'none', 'it is away')),
  }
  const [check] = (await makeCheckInvariants({ ...records, sessions })({ limit: 1, after: null }))
    .items
  expect(check).toEqual({
    key: 'orders',
    breaches: [],
    unknown: 'the provider could not be asked: it is away',
  })
})

test('what a library says of its failure is told to nobody', async () => {
  const { sessions: _sessions, ...records } = depsOf()
  const sessions = { open: () => Promise.reject(new Error('GET https://vault/?token=hvs.secret')) }
  const [check] = (await makeCheckInvariants({ ...records, sessions })({ limit: 1, after: null }))
    .items
  expect(check?.unknown).toBe('the provider could not be asked')
})

test('a page that takes long ends where it is, and one that is silent is asked once', async () => {
  await engine.key('parcels', {
    connection: 'shelf',
    type: 'shelf.value',
    ref: { path: 'parcels' },
  })
  const { sessions: _sessions, ...records } = depsOf()
  let asked = 0
  const slow = (ms: number) =>
    makeCheckInvariants({
      ...records,
      sessions: {
        open: async () => {
          asked += 1
          await engine.clock.advance(ms)
          throw new ProviderError('transient', 'none', 'it is away')
        },
      },
    })
  const first = await slow(6_000)({ limit: 10, after: null })
  expect(first.items.map(({ unknown }) => unknown)).toEqual([
    'the provider could not be asked: it is away',
    'the provider could not be asked: it kept silent a moment ago',
  ])
  expect([asked, first.next]).toEqual([1, null])
  const cut = await slow(16_000)({ limit: 10, after: null })
  expect(cut.items.map((item) => item.key)).toEqual(['orders'])
  const rest = await slow(16_000)({ limit: 10, after: cut.next })
  expect(rest.items.map((item) => item.key)).toEqual(['parcels'])
  expect(rest.next).toBeNull()
})

test('a log that is longer than what is read of it is no breach, and the key is not wholly known', async () => {
  const most = done.rotations[0]?.events.length ?? 0
  const { sessions: _sessions, ...records } = depsOf()
  const told = async (mostEvents: number) => {
    const { items } = await makeCheckInvariants({ ...records, mostEvents })({
      limit: 10,
      after: null,
    })
    return items.find((one) => one.key === 'orders')
  }
  expect(await told(most)).toEqual({ key: 'orders', breaches: [], unknown: null })
  expect(await told(most - 1)).toEqual({
    key: 'orders',
    breaches: [],
    unknown: expect.stringMatching(/^the log of rotation \S+ is too long to be compared$/),
  })
})

test('which rotation is the last one is told by the database, whatever clock the host had that began it', async () => {
  const place = { connection: 'shelf', type: 'shelf.value', ref: { path: 'fast' } }
  const fast = await engine.key('fast', { ...place, labels: { set: 'fast' } })
  await engine.policy('fast', {
    selector: { matchLabels: { set: 'fast' } },
    overlap: { min: '1m' },
  })
  const { ledger, clock, hashJson, deps } = engine
  const ids = makeIds({ now: () => new Date(clock.now().getTime() + 3_600_000) })
  const start = makeStartRotation({ ledger, ids, types: deps.world.types, hashJson })
  const first = await start(admin, { key: 'fast', reason: 'its clock is an hour fast' })
  await engine.until(first.value.id, ['completed'])
  const second = await engine.rotate('fast')
  await engine.until(second, ['overlapping'])
  expect(second < first.value.id).toBe(true)

  const { facts } = await lookAtKey(depsOf(), fast)
  expect(facts?.rotations.map(({ rotation: { id } }) => id)).toEqual([second, first.value.id])
  expect(facts && breachesOf(facts)).toEqual([])
})
