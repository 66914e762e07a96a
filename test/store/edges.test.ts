// The database knows the same edges as the domain, by comparing every pair.

import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  containmentEdges,
  containments,
  incidentEdges,
  incidentKeyEdges,
  incidentModes,
  incidentStates,
  noteKinds,
  severities,
} from '#domain/incident.ts'
import { mayBecome, versionStates } from '#domain/key.ts'
import { isOpen, mayGo, openPhases, phases } from '#domain/rotation-machine.ts'
import { isRekeyError } from '#domain/errors.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import { rk, sqlState } from '#store/sql-state.ts'
import { intentOf, keyNamed, openRotation, rotationOf, versionOf, write } from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

test('version edges of the database are versionEdges', async () => {
  for (const from of versionStates) {
    for (const to of versionStates) {
      const [row] = await db.sql('SELECT app.version_may_become($1, $2) AS yes', [from, to])
      expect(row?.['yes'], `${from} → ${to}`).toBe(mayBecome(from, to))
    }
  }
})

test('phase edges of the database are the machine', async () => {
  for (const from of phases) {
    for (const to of phases) {
      const [row] = await db.sql('SELECT app.rotation_may_go($1, $2) AS yes', [from, to])
      expect(row?.['yes'], `${from} → ${to}`).toBe(mayGo(from, to))
    }
  }
})

test.each([
  ['incident_may_go', incidentEdges],
  ['incident_version_may_go', containmentEdges],
  ['incident_key_may_go', incidentKeyEdges],
])('edges of %s in the database are those of the domain', async (name, edges) => {
  const states = Object.keys(edges)
  for (const [from, to] of Object.entries<readonly string[]>(edges)) {
    const rows = await db.sql(
      `SELECT state FROM unnest($2::text[]) state WHERE app.${name}($1, state)`,
      [from, states],
    )
    expect(rows.map((row) => String(row['state'])).toSorted(), from).toEqual([...to].toSorted())
  }
})

test.each([
  ['incident_state_check', incidentStates],
  ['incident_mode_check', incidentModes],
  ['incident_severity_check', severities],
  ['incident_key_state_check', Object.keys(incidentKeyEdges)],
  ['incident_version_state_check', Object.keys(containmentEdges)],
  ['incident_version_containment_check', containments],
  ['incident_note_kind_check', noteKinds],
])('the words of %s are those of the domain', async (name, words) => {
  const [check] = await db.sql(
    'SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conname = $1',
    [name],
  )
  const found = [...String(check?.['text']).matchAll(/'(\w+)'/g)].map((match) => match[1])
  expect(new Set(found)).toEqual(new Set(words))
})

test('the open phases of the index are those of the machine', async () => {
  const [row] = await db.sql(
    "SELECT indexdef AS text FROM pg_indexes WHERE indexname = 'rotation_one_open'",
  )
  const closed = phases.filter((phase) => !isOpen(phase))
  for (const phase of closed) expect(String(row?.['text'])).toContain(`'${phase}'`)
  for (const phase of openPhases) expect(String(row?.['text'])).not.toContain(`'${phase}'`)
  const [check] = await db.sql(
    "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conname = 'rotation_phase'",
  )
  for (const phase of phases) expect(String(check?.['text'])).toContain(`'${phase}'`)
})

test('a version that was destroyed comes not back', async () => {
  const { key } = await openRotation(db, 'destroyed')
  const version = versionOf(key.id, 1)
  await write(db, (tx) => tx.writeVersion.insert(version))
  await write(db, (tx) =>
    tx.writeVersion.update({ ...version, state: 'destroyed' }, 'preActivation'),
  )
  const back = write(db, (tx) =>
    tx.writeVersion.update({ ...version, state: 'active' }, 'destroyed'),
  )
  await expect(back.catch(sqlState)).resolves.toBe(rk.versionEdge)
})

test('a rotation takes no step that the machine has not, and its epoch does not fall', async () => {
  const { rotation } = await openRotation(db, 'steps', { epoch: 3 })
  const expected = { phase: 'planned', epoch: 3 } as const
  const leap = write(db, (tx) =>
    tx.writeRotation.move({ ...rotation, phase: 'promoting' }, expected),
  )
  await expect(leap.catch(sqlState)).resolves.toBe(rk.rotationEdge)
  const fall = write(db, (tx) =>
    tx.writeRotation.move({ ...rotation, phase: 'preflight', epoch: 2 }, expected),
  )
  await expect(fall.catch(sqlState)).resolves.toBe(rk.epoch)
})

test('the plan of a rotation is frozen, also for SQL by hand', async () => {
  const { rotation } = await openRotation(db, 'frozen')
  await expect(
    db.sql(`UPDATE app.rotation SET plan_hash = 'other' WHERE id = $1`, [rotation.id]),
  ).rejects.toMatchObject({ code: 'RK005' })
})

test('a key has one primary, and only an active version is one', async () => {
  const { key } = await openRotation(db, 'primary')
  await write(db, (tx) =>
    tx.writeVersion.insert(versionOf(key.id, 1, { state: 'active', primary: true })),
  )
  const second = write(db, (tx) =>
    tx.writeVersion.insert(versionOf(key.id, 2, { state: 'active', primary: true })),
  )
  await expect(second).rejects.toMatchObject({ code: 'P2002' })
  const suspended = write(db, (tx) =>
    tx.writeVersion.insert(versionOf(key.id, 3, { state: 'suspended', primary: true })),
  )
  await expect(suspended.catch(sqlState)).resolves.toBe('23514')
})

test('a key has one open rotation, and the caller hears so', async () => {
  const { key, rotation } = await openRotation(db, 'open')
  const second = await write(db, (tx) =>
    tx.writeRotation.insert(rotationOf(db.ids.next(), key)),
  ).catch((e: unknown) => e)
  expect(isRekeyError(second, 'rotation.inProgress')).toBe(true)
  await write(db, (tx) =>
    tx.writeRotation.move(
      { ...rotation, phase: 'cancelled', endedAt: db.clock.now() },
      { phase: 'planned', epoch: 0 },
    ),
  )
  await write(db, (tx) => tx.writeRotation.insert(rotationOf(db.ids.next(), key)))
})

test('an occurrence leads to one rotation, also after the first one ended', async () => {
  const occurrence = '2026-12-01T03:00:00.000Z'
  const { key, rotation } = await openRotation(db, 'occurrence', { occurrence })
  await write(db, (tx) =>
    tx.writeRotation.move({ ...rotation, phase: 'cancelled' }, { phase: 'planned', epoch: 0 }),
  )
  const again = await write(db, (tx) =>
    tx.writeRotation.insert(rotationOf(db.ids.next(), key, { occurrence })),
  ).catch((e: unknown) => e)
  expect(isRekeyError(again, 'rotation.inProgress')).toBe(true)
})

test('a name and an object belong to one key, until it is deleted', async () => {
  const key = keyNamed(db.ids.next(), 'taken')
  await write(db, (tx) => tx.writeKey.insert(key))
  const sameName = await write(db, (tx) =>
    tx.writeKey.insert(keyNamed(db.ids.next(), 'taken', { objectId: 'else' })),
  ).catch((e: unknown) => e)
  expect(isRekeyError(sameName, 'resource.exists')).toBe(true)
  const sameObject = await write(db, (tx) =>
    tx.writeKey.insert(keyNamed(db.ids.next(), 'other', { objectId: key.objectId })),
  ).catch((e: unknown) => e)
  expect(isRekeyError(sameObject, 'key.objectTaken')).toBe(true)
  await write(db, (tx) => tx.writeKey.update({ ...key, deletedAt: db.clock.now(), revision: 2 }, 1))
  await write(db, (tx) => tx.writeKey.insert(keyNamed(db.ids.next(), 'taken')))
})

test('an effect on one target has one open intent', async () => {
  const { rotation } = await openRotation(db, 'intent')
  const intent = intentOf(rotation)
  await write(db, (tx) => tx.writeIntent.insert(intent))
  const second = intentOf(rotation, { operationId: `${rotation.id}:minting:2`, attempt: 2 })
  await expect(write(db, (tx) => tx.writeIntent.insert(second))).rejects.toMatchObject({
    code: 'P2002',
  })
  expect(
    await write(db, (tx) => tx.writeIntent.settle({ ...intent, outcome: 'failed', closed: true })),
  ).toBe(true)
  expect(
    await write(db, (tx) =>
      tx.writeIntent.settle({ ...intent, outcome: 'succeeded', closed: true }),
    ),
  ).toBe(false)
  await write(db, (tx) => tx.writeIntent.insert(second))
})
