// What types say of themselves, and what is said of their versions then: nobody is told that something is refused which nobody has
// ended or tried, and a key that is switched off whole comes back with none of what has leaked.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Version } from '#domain/key.ts'
import { type InIncident, type Provider, ProviderError } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { closeIncident } from '#usecases/close-incident.ts'
import { openEngine, type Engine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { responder, withIncidents } from '#test/support/incidents.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
const said: Readonly<Record<string, InIncident>> = {
  'shelf.badge': { proof: 'asked' },
  'shelf.ring': { endedBy: 'nobody' },
  'shelf.value': { endedBy: 'key' },
  'shelf.pair': { cachedForMs: () => 600_000 },
}
const provider: Provider = {
  ...shelf.provider,
  types: shelf.provider.types.map((type) => {
    const incident = said[type.type]
    const late = type.type === 'shelf.pair' ? { lateEffectIn: () => 90_000 } : {}
    return incident ? { ...type, ...late, incident } : type
  }),
}
const standIns = makeStandIns()
let engine: Engine
let incidents: ReturnType<typeof withIncidents>
beforeAll(async () => {
  engine = await openEngine({ providers: [provider], wrap: standIns.wrap })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

/** A key whose first version was replaced by its second, and is accepted still. */
const keyOf = async (name: string, type: string) => {
  const key = await engine.key(name, { connection: 'shelf', type, ref: { path: name } })
  const second = shelf.put(name, `${name} 2`)
  await engine.ledger.commit(responder, async (tx) => {
    const [first] = await tx.versions.of(key.id)
    if (!first) throw new Error('no version')
    await tx.writeVersion.update({ ...first, primary: false }, first.state)
    const more: Partial<Version> = { version: 2, primary: true, providerVersions: [second.id] }
    await tx.writeVersion.insert({ ...first, sealedId: null, fingerprint: null, ...more })
    const target = { id: key.id, name }
    return { value: null, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
  })
  return key
}

test('what is asked and never tried is unproven with its reason, and failed while its provider has it on', async () => {
  await keyOf('asked', 'shelf.badge')
  const disabled = await incidents.settle(await incidents.begin('disable', ['asked']))
  expect(disabled.state).toBe('partly')
  expect(await incidents.evidence(disabled)).toMatchObject([
    { version: 1, state: 'failed', provenAt: null, detail: expect.stringContaining('is on') },
    {
      version: 2,
      state: 'failed',
      provenAt: null,
      detail: expect.stringContaining('another mode'),
    },
  ])
  shelf.row('asked', '1').state = 'destroyed'
  await incidents.execute(disabled)
  await incidents.settle(disabled)
  expect(await incidents.evidence(disabled)).toMatchObject([
    { version: 1, state: 'unproven', provenAt: null, detail: expect.stringContaining('not tried') },
    { version: 2, state: 'failed' },
  ])
  const revoked = await incidents.settle(await incidents.begin('revokeOnly', ['asked']))
  for (const { state, provenAt } of await incidents.evidence(revoked))
    expect([state, provenAt]).toEqual(['unproven', null])
  expect(shelf.rows('asked').map(({ state }) => state)).toEqual(['destroyed', 'destroyed'])
})

test('what nobody can revoke is never refused, whatever one use of it answers', async () => {
  await keyOf('ring', 'shelf.ring')
  const tried: string[] = []
  standIns.put((session) => ({
    verify: async (order, call) => {
      if (order.how !== 'refused') return session.verify(order, call)
      tried.push(order.providerVersion)
      return { ok: true, facts: { operation: 'encrypt', code: 'too old' } }
    },
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['ring']))
  expect([incident.state, tried]).toEqual(['partly', ['1']])
  expect(await incidents.evidence(incident)).toMatchObject([
    { version: 1, state: 'unproven', provenAt: null, detail: expect.stringContaining('neither') },
    { version: 2, state: 'failed', provenAt: null, detail: expect.stringContaining('neither') },
  ])
})

test('a key that is switched off whole stays off while a version of it has leaked, also in an incident that is closed', async () => {
  const key = await keyOf('whole', 'shelf.value')
  const only = (version: number) => [{ key: 'whole', version }]
  const disabled = await incidents.settle(await incidents.begin('disable', ['whole'], only(2)))
  const leak = await incidents.settle(await incidents.begin('revokeOnly', ['whole'], only(1)))
  expect([disabled.state, leak.state]).toEqual(['contained', 'contained'])
  await closeIncident(engine)(responder, leak.id, 'it is revoked')
  const calls: string[] = []
  standIns.put((session) => ({
    reinstate: (object, version, call) => {
      calls.push(version)
      return session.reinstate(object, version, call)
    },
  }))
  await incidents.restore(disabled)
  await incidents.settle(disabled)
  expect(calls).toEqual([])
  expect(await incidents.keys(disabled)).toMatchObject([
    { restoration: 'done', detail: expect.stringContaining('version 2 stays off') },
  ])
  expect((await engine.versions(key.id)).map(({ state }) => state)).toEqual([
    'compromised',
    'suspended',
  ])
})

/** Whether the material of each version is there, as the table has it. */
const sealedOf = async (keyId: string) => {
  const rows = await engine.sql(
    `SELECT v.version, s.ciphertext IS NOT NULL AS kept FROM app.version v LEFT JOIN app.sealed s ON s.id = v.sealed_id
     WHERE v.key_id = $1 ORDER BY v.version`,
    [keyId],
  )
  return rows.map(({ kept }) => kept)
}
const leftOf = async (sealedId: string) => {
  const [row] = await engine.sql(
    'SELECT ciphertext, wrapped_key, erased_at FROM app.sealed WHERE id = $1',
    [sealedId],
  )
  return row
}
const passOf = async (name: string) => {
  const key = await engine.key(name, {
    connection: 'shelf',
    type: 'shelf.pass',
    ref: { path: name },
  })
  // As a rotation leaves it.
  const { value: sealedId } = await engine.ledger.commit(responder, async (tx) => {
    const [version] = await tx.versions.of(key.id)
    if (!version) throw new Error('no version')
    const id = await tx.writeSealed.insert(new Secret(shelf.row(name, '1').value), 'a test')
    await tx.writeVersion.update({ ...version, sealedId: id }, version.state)
    const target = { id: key.id, name }
    return { value: id, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
  })
  return { key, sealedId }
}

test('sealed material of what leaked is erased with the proof', async () => {
  const { key, sealedId } = await passOf('erased')
  const incident = await incidents.begin('revokeOnly', ['erased'])
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await leftOf(sealedId)).toEqual({
    ciphertext: null,
    wrapped_key: null,
    erased_at: expect.any(Date),
  })
  expect(await engine.versions(key.id)).toMatchObject([
    { state: 'compromised', sealedId: null, materialKnown: false, fingerprint: expect.anything() },
  ])
})

test('it is kept while it may be restored, and while it is to be tried again', async () => {
  const back = await passOf('comes-back')
  const disabled = await incidents.settle(await incidents.begin('disable', ['comes-back']))
  expect(await sealedOf(back.key.id)).toEqual([true])
  await incidents.restore(disabled)
  await incidents.settle(disabled)
  expect(await engine.versions(back.key.id)).toMatchObject([{ state: 'active', primary: true }])

  const { key, sealedId } = await passOf('tried-again')
  standIns.put((session) => ({
    suspend: async () => ({ state: 'disabled' }),
    stateOf: async (object, version, call) =>
      object.keyName === 'tried-again' ? 'disabled' : session.stateOf(object, version, call),
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['tried-again']))
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'failed' }])
  expect(await sealedOf(key.id)).toEqual([true])
  // Another incident proves it: the first has still to.
  standIns.away()
  const other = await incidents.settle(await incidents.begin('revokeOnly', ['tried-again']))
  expect(await incidents.evidence(other)).toMatchObject([{ state: 'refused' }])
  expect(await sealedOf(key.id)).toEqual([true])
  await incidents.execute(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await leftOf(sealedId)).toMatchObject({ ciphertext: null, wrapped_key: null })
})

test('a proof that gets no answer when its caches are over is asked for later and later, and then unproven', async () => {
  await engine.key('cached', { connection: 'shelf', type: 'shelf.pair', ref: { path: 'cached' } })
  const incident = await incidents.begin('revokeOnly', ['cached'])
  await incidents.contain()
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'refusedAfter', provenAt: null, refusedAfter: expect.any(Date) },
  ])
  // It may land as late as its type says, from the end of its request on.
  const [intent] = await incidents.intents(incident)
  const lateMs = Number(intent?.sentNotAfter) - Number(intent?.startedAt)
  expect(lateMs).toBe(60_000 + 90_000)

  const asked: number[] = []
  standIns.put(() => ({
    verify: async () => {
      asked.push((await engine.timers.now()).getTime())
      return Promise.reject(new ProviderError('transient', 'none', 'it is away'))
    },
  }))
  await engine.clock.advance(601_000)
  await incidents.settle(incident, 3_000)
  expect(asked).toHaveLength(6)
  for (const [n, leastMs] of [750, 1_500, 3_000, 6_000, 12_000].entries())
    expect((asked[n + 1] ?? 0) - (asked[n] ?? 0)).toBeGreaterThanOrEqual(leastMs)
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'unproven', detail: 'It could not be tried: it is away' },
  ])
})
