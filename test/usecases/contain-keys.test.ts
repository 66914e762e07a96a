// Emergencies on the built-in vault and on a shelf: what each mode leaves, what is proven, and who is held up by whom.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Version } from '#domain/key.ts'
import { noticeData, noticeOf } from '#domain/notice.ts'
import { ProviderError } from '#domain/provider.ts'
import { admin, openEngine, type Engine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { responder, withIncidents } from '#test/support/incidents.ts'
import { closeIncident } from '#usecases/close-incident.ts'

let engine: Engine
let incidents: ReturnType<typeof withIncidents>
const standIns = makeStandIns()

beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap })
  incidents = withIncidents(engine)
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

test('what is revoked first is refused before anything else is made, and then replaced', async () => {
  const key = await engine.key('first')
  const incident = await incidents.settle(await incidents.begin('revokeFirst', ['first']))
  expect(incidents.faults).toEqual([])
  expect(incident.state).toBe('contained')
  const [row] = await incidents.keys(incident)
  expect(row).toMatchObject({ state: 'replaced', replacement: 'done' })
  const [evidence] = await incidents.evidence(incident)
  expect(evidence).toMatchObject({ state: 'refused', operation: 'open', code: 'disabled' })
  const versions = await engine.versions(key.id)
  expect(versions.map(({ state, primary }) => [state, primary])).toEqual([
    ['compromised', false],
    ['active', true],
  ])
  const rotation = await engine.rotation(row?.rotationId ?? '')
  expect(rotation).toMatchObject({ trigger: 'incident', phase: 'completed', fromVersion: null })
  expect(evidence?.provenAt?.getTime()).toBeLessThanOrEqual(rotation.createdAt.getTime())
})

test('what is revoked only has nothing that serves', async () => {
  const key = await engine.key('only')
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['only']))
  expect(incident.state).toBe('contained')
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'compromised', primary: false }])
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'refused', replacement: null }])
})

test('rotated fast, the old version is compromised in the very transaction that hands out the new one', async () => {
  const key = await engine.key('fast')
  const incident = await incidents.begin('rotateFast', ['fast'])
  await incidents.contain()
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  const [begun] = await incidents.keys(incident)
  expect(begun).toMatchObject({ state: 'replacing', replacement: 'running' })
  await engine.until(begun?.rotationId ?? '', 'end')
  expect(await engine.versions(key.id)).toMatchObject([
    { state: 'compromised', primary: false },
    { state: 'active', primary: true },
  ])
  expect(await incidents.intents(incident)).toEqual([])
  const settled = await incidents.settle(incident)
  expect(settled.state).toBe('contained')
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'replaced' }])
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'refused' }])
})

test('rotated fast in the overlap of a routine rotation, nobody waits for that: both versions are ended by another one', async () => {
  const key = await engine.key('in-overlap', { labels: { set: 'in-overlap' } })
  await engine.policy('in-overlap', {
    selector: { matchLabels: { set: 'in-overlap' } },
    overlap: { min: '1d' },
    soak: '1d',
  })
  const routine = await engine.rotate('in-overlap')
  await engine.until(routine, ['overlapping'])
  const incident = await incidents.begin('rotateFast', ['in-overlap'])
  await incidents.contain()
  await engine.drain()
  expect((await engine.rotation(routine)).phase).toBe('abandoned')
  const settled = await incidents.settle(incident)
  expect(settled.state).toBe('contained')
  expect(await incidents.evidence(incident)).toMatchObject([
    { version: 1, state: 'refused' },
    { version: 2, state: 'refused' },
  ])
  expect(await engine.versions(key.id)).toMatchObject([
    { state: 'compromised', primary: false },
    { state: 'compromised', primary: false },
    { state: 'active', primary: true },
  ])
})

test('what was disabled is restored: it works, serves, and was suspended in between', async () => {
  const key = await engine.key('back')
  const incident = await incidents.settle(await incidents.begin('disable', ['back']))
  expect(incident.state).toBe('contained')
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'suspended', primary: false }])
  await incidents.restore(incident)
  const restored = await incidents.settle(incident)
  expect(restored.state).toBe('contained')
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored', restoration: 'done' }])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual(['enabled'])
})

test('a key that hangs holds up no other', async () => {
  const names = Array.from({ length: 6 }, (_, n) => `slow-${n}`)
  for (const name of names) await engine.key(name)
  let goOn = (): void => {}
  const gate = new Promise<void>((resolve) => {
    goOn = resolve
  })
  standIns.put((session) => ({
    suspend: async (object, version, call) => {
      if (object.keyName === 'slow-0') await gate
      return session.suspend(object, version, call)
    },
  }))
  const incident = await incidents.begin('revokeOnly', names)
  const pass = incidents.contain()
  await expect
    .poll(
      async () => (await engine.ledger.read((db) => db.incidents.counts(incident.id))).refused,
      {
        timeout: 60_000,
      },
    )
    .toBe(5)
  expect(await incidents.keys(incident)).toMatchObject([
    { key: 'slow-0', state: 'revoking' },
    ...names.slice(1).map((key) => ({ key, state: 'refused' })),
  ])
  goOn()
  await pass
  expect((await incidents.settle(incident)).state).toBe('contained')
})

test('what is accepted still has failed, however its provider answered; executed again it is tried again', async () => {
  const key = await engine.key('accepts')
  let off = false
  standIns.put((session) => ({
    suspend: async (object, version, call) =>
      off ? session.suspend(object, version, call) : { state: 'disabled' },
    stateOf: async (object, version, call) =>
      off ? session.stateOf(object, version, call) : 'disabled',
  }))
  const incident = await incidents.begin('revokeOnly', ['accepts'])
  const partly = await incidents.settle(incident)
  expect(partly.state).toBe('partly')
  expect(await incidents.evidence(incident)).toMatchObject([
    { state: 'failed', provenAt: null, detail: expect.stringContaining('accepted still') },
  ])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'compromised', primary: false }])
  const events = await engine.ledger.read((db) => db.audit.after(incident.id, null, 100))
  expect(events.map(({ body }) => body.action)).toContain('incident.partly')

  off = true
  await incidents.execute(partly)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'refused' }])
})

test('what passes by itself is tried again, and what does not has failed with its reason', async () => {
  await engine.key('passes')
  await engine.key('denied')
  const tries = new Map<string, number>()
  standIns.put((session) => ({
    suspend: async (object, version, call) => {
      const count = (tries.get(object.keyName) ?? 0) + 1
      tries.set(object.keyName, count)
      if (object.keyName === 'denied')
        throw new ProviderError('forbidden', 'none', 'it may not', { hint: 'grant suspend' })
      if (count < 3) throw new ProviderError('transient', 'none', 'it is away')
      return session.suspend(object, version, call)
    },
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['passes', 'denied']))
  expect(incident.state).toBe('partly')
  expect(Object.fromEntries(tries)).toEqual({ passes: 3, denied: 1 })
  expect(await incidents.keys(incident)).toMatchObject([
    { key: 'passes', state: 'refused' },
    { key: 'denied', state: 'failed' },
  ])
  const [, denied] = await incidents.keys(incident)
  const evidence = await incidents.evidence(incident)
  expect(evidence.find(({ keyId }) => keyId === denied?.keyId)).toMatchObject({
    state: 'failed',
    code: 'forbidden',
    detail: 'it may not (grant suspend)',
  })
})

test('a lost reply is asked about before anything is sent again', async () => {
  await engine.key('lost')
  const calls: string[] = []
  standIns.put((session) => ({
    suspend: async (object, version, call) => {
      calls.push('suspend')
      await session.suspend(object, version, call)
      throw new ProviderError('timeout', 'unknown', 'no reply')
    },
    stateOf: (object, version, call) => {
      calls.push('stateOf')
      return session.stateOf(object, version, call)
    },
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['lost']))
  expect(incident.state).toBe('contained')
  expect(calls).toEqual(['suspend', 'stateOf'])
  expect(await incidents.intents(incident)).toMatchObject([
    { attempt: 1, outcome: 'succeeded', detail: 'found by a probe' },
  ])
})

test('while it is disabled nothing rotates it: an open rotation stalls and goes on once it is restored', async () => {
  const key = await engine.key('held', { labels: { set: 'held' } })
  await engine.policy('held', {
    selector: { matchLabels: { set: 'held' } },
    overlap: { min: '1h' },
  })
  const id = await engine.rotate('held')
  await engine.until(id, ['overlapping'])
  const incident = await incidents.settle(await incidents.begin('disable', ['held']))
  await engine.drain()
  expect(await engine.rotation(id)).toMatchObject({
    phase: 'stalled',
    stalledIn: 'overlapping',
    stalledReason: `held by incident ${incident.id}`,
  })
  await engine.steer.abandon(admin, id, { reason: 'a test' })
  await expect(engine.rotate('held')).rejects.toMatchObject({ code: 'key.busy' })
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect((await engine.versions(key.id)).map(({ state, primary }) => [state, primary])).toEqual([
    ['active', false],
    ['active', true],
  ])
  await engine.rotate('held')
})

test('a rotation that was held goes on where it stood still', async () => {
  await engine.key('goes-on', { labels: { set: 'goes-on' } })
  await engine.policy('goes-on', {
    selector: { matchLabels: { set: 'goes-on' } },
    overlap: { min: '1h' },
  })
  const id = await engine.rotate('goes-on')
  await engine.until(id, ['overlapping'])
  const incident = await incidents.settle(await incidents.begin('disable', ['goes-on']))
  await engine.until(id, ['stalled'])
  await incidents.restore(incident)
  await incidents.settle(incident)
  expect((await engine.rotation(id)).phase).toBe('overlapping')
  expect((await engine.until(id, 'end', 7_200_000, 60_000)).phase).toBe('completed')
})

test('nothing is executed where the world is another than was shown', async () => {
  const key = await engine.key('moved', { labels: { set: 'moved' } })
  await engine.policy('moved', { selector: { matchLabels: { set: 'moved' } } })
  const incident = await incidents.preview('revokeOnly', ['moved'])
  await engine.until(await engine.rotate('moved'), 'end')
  await expect(incidents.execute(incident)).rejects.toMatchObject({
    code: 'incident.previewStale',
    extra: { added: [], removed: [], changed: ['moved'] },
  })
  const other = { previewHash: 'x', confirm: incident.id }
  await expect(incidents.executeAs(responder, incident.id, other)).rejects.toMatchObject({
    code: 'incident.previewStale',
  })
  const typed = { previewHash: incident.preview?.hash ?? '', confirm: 'yes' }
  await expect(incidents.executeAs(responder, incident.id, typed)).rejects.toMatchObject({
    code: 'incident.confirmationWrong',
  })
  expect(await incidents.keys(incident)).toEqual([])
  expect((await engine.versions(key.id)).some(({ state }) => state === 'compromised')).toBe(false)
})

test('what cannot be tried is unproven, and never refused', async () => {
  await engine.key('unknown')
  standIns.put(() => ({
    verify: async () => ({ ok: true, facts: { operation: 'list', tried: false } }),
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['unknown']))
  expect(incident.state).toBe('partly')
  expect(await incidents.evidence(incident)).toMatchObject([{ state: 'unproven', provenAt: null }])
})

test('without a replacement that comes to be, a fast rotation revokes nothing', async () => {
  const key = await engine.key('stays')
  standIns.put(() => ({
    mint: async () => {
      throw new ProviderError('permanent', 'none', 'it makes no more')
    },
  }))
  const incident = await incidents.settle(await incidents.begin('rotateFast', ['stays']))
  expect(incident.state).toBe('partly')
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  expect(await incidents.keys(incident)).toMatchObject([
    { state: 'failed', replacement: 'failed', detail: expect.stringContaining('rolledBack') },
  ])
})

const written = (keyId: string, change: Partial<Version>) =>
  engine.ledger.commit(responder, async (tx) => {
    const [version] = await tx.versions.of(keyId)
    if (version) await tx.writeVersion.update({ ...version, ...change }, version.state)
    const target = { id: keyId, name: 'a test' }
    return { value: null, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
  })

test('what was off before it was disabled stays off when it is restored', async () => {
  const key = await engine.key('soaks')
  await written(key.id, { state: 'suspended', primary: false })
  const incident = await incidents.settle(await incidents.begin('disable', ['soaks']))
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual(['disabled'])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'suspended', primary: false }])
})

test('what was found leaked while it was disabled is switched on by no restoration', async () => {
  const key = await engine.key('leaked')
  const disabled = await incidents.settle(await incidents.begin('disable', ['leaked']))
  const leak = await incidents.settle(await incidents.begin('revokeOnly', ['leaked']))
  await expect(incidents.restore(disabled)).rejects.toMatchObject({
    code: 'incident.wrongState',
    extra: { key: 'leaked', incident: leak.id },
  })
  await closeIncident(engine)(responder, leak.id, 'it is revoked')
  await incidents.restore(disabled)
  await incidents.settle(disabled)
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual(['disabled'])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'compromised', primary: false }])
})

test('a version that its provider never had is not called refused', async () => {
  const key = await engine.key('never-had')
  await written(key.id, { providerVersions: [], primary: false })
  const incident = await incidents.settle(await incidents.begin('revokeOnly', ['never-had']))
  expect(incident.state).toBe('partly')
  expect(await incidents.evidence(incident)).toMatchObject([
    { version: 1, state: 'unproven', provenAt: null, operation: null },
  ])
})

test('a restoration waits by the clock of the database for what was sent and given up', async () => {
  const key = await engine.key('late-off')
  let land: () => Promise<unknown> = async () => null
  standIns.put((session) => ({
    suspend: async (object, version, call) => {
      land = () =>
        session.suspend(object, version, { ...call, signal: new AbortController().signal })
      return Promise.reject(new ProviderError('permanent', 'unknown', 'the connection broke'))
    },
  }))
  const incident = await incidents.settle(await incidents.begin('disable', ['late-off']))
  expect(incident.state).toBe('partly')
  const [sent] = await incidents.intents(incident)
  await incidents.restore(incident)
  standIns.away()
  // A worker on a host whose clock is an hour ahead.
  const ahead = { ...engine.clock, now: () => new Date(engine.clock.now().getTime() + 3_600_000) }
  const worker = incidents.worker('ahead', { clock: ahead })
  await worker()
  expect(await incidents.keys(incident)).toMatchObject([{ restoration: 'asked' }])
  await land()
  await engine.clock.advance(
    (sent?.sentNotAfter.getTime() ?? 0) - engine.clock.now().getTime() + 1_000,
  )
  await worker()
  expect(await incidents.keys(incident)).toMatchObject([{ state: 'restored', restoration: 'done' }])
  expect((await engine.vault.list(key.id)).map(({ state }) => state)).toEqual(['enabled'])
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'active', primary: true }])
  expect((await incidents.intents(incident)).filter(({ closed }) => !closed)).toEqual([])
})

const pagesOf = async (incident: { readonly id: string }) =>
  (await engine.ledger.read((db) => db.audit.after(incident.id, null, 1_000)))
    .map(({ body }) => body)
    .filter(({ action }) => action === 'incident.keyFailed' || action === 'incident.partly')

test('who is paged is told of each key that failed: its name, the code and what helps; of thousands, of the first ones', async () => {
  const names = Array.from({ length: 23 }, (_, n) => `paged-${String(n).padStart(2, '0')}`)
  for (const name of names) await engine.key(name)
  standIns.put((session) => ({
    suspend: (object, version, call) =>
      object.keyName === 'paged-00'
        ? session.suspend(object, version, call)
        : Promise.reject(
            new ProviderError('forbidden', 'none', 'it may not', { hint: 'grant suspend' }),
          ),
  }))
  const incident = await incidents.settle(await incidents.begin('revokeOnly', names))
  const [partly, ...pages] = await pagesOf(incident)
  expect(partly).toMatchObject({
    reason: '22 keys are not contained; of 22 keys the 20 most dangerous ones are told one by one',
  })
  expect(pages.map(({ target }) => target.name)).toEqual(names.slice(1, 21))
  const [first] = pages
  if (!first) throw new Error('nobody is paged')
  expect(noticeOf(first)).toBe('failed')
  expect(noticeData(first, null)).toMatchObject({
    key: 'paged-01',
    owner: 'team',
    reason: 'version 1 is not contained (forbidden): it may not (grant suspend)',
    next: `rekey incident report incident/${incident.id}`,
  })
})

test('a connection that is pointed elsewhere while it is executed: the execution waits, and finds that it is another', async () => {
  await engine.key('pointed')
  const incident = await incidents.preview('revokeOnly', ['pointed'])
  let goOn = (): void => {}
  const gate = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let reach = (): void => {}
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })
  const put = engine.ledger.commit(admin, async (tx) => {
    await tx.lock('connection:vault')
    const connection = await tx.connections.get('vault')
    if (!connection) throw new Error('no connection')
    const next = { ...connection, revision: connection.revision + 1 }
    await tx.writeConnection.update(next, connection.revision)
    reach()
    await gate
    const target = { id: 'vault', name: 'vault' }
    return { value: null, audit: [{ action: 'connection.put', target, outcome: 'succeeded' }] }
  })
  await reached
  const executed = incidents.execute(incident).then(
    () => 'executed',
    (error: unknown) => error,
  )
  const waiting = async () =>
    Number(
      (
        await engine.sql(`SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
      )[0]?.['n'],
    )
  await expect.poll(waiting, { timeout: 60_000 }).toBe(1)
  goOn()
  await put
  expect(await executed).toMatchObject({
    code: 'incident.previewStale',
    extra: { changed: ['pointed'] },
  })
  expect(await incidents.keys(incident)).toEqual([])
})

test('a rotation that was held goes on as a routine one: its blackouts hold it', async () => {
  const set = 'dark'
  const key = await engine.key(set, { labels: { set } })
  const spec = { selector: { matchLabels: { set } }, overlap: { min: '5m' } }
  await engine.policy(set, spec)
  const id = await engine.rotate(set)
  await engine.until(id, ['overlapping'])
  const incident = await incidents.settle(await incidents.begin('disable', [set]))
  await engine.until(id, ['stalled'])
  const now = engine.clock.now().getTime()
  const iso = (ms: number): string => new Date(now + ms).toISOString()
  const name = 'quarter-close'
  await engine.policy(set, { ...spec, blackouts: [{ name, from: iso(0), to: iso(3_600_000) }] })
  await incidents.restore(incident)
  expect((await incidents.settle(incident)).state).toBe('contained')
  for (let n = 0; n < 10; n++) {
    await engine.drain()
    await engine.clock.advance(60_000)
  }
  await engine.drain()
  expect(await engine.rotation(id)).toMatchObject({
    trigger: 'manual',
    promotedAt: expect.any(Date),
  })
  expect((await engine.waitsFor(id))?.gate).toBe('blackout')
  expect((await engine.versions(key.id)).map(({ state }) => state)).toEqual(['active', 'active'])
  expect((await engine.until(id, 'end', 3 * 3_600_000, 600_000)).phase).toBe('completed')
})
