// Emergencies in the store: what was written is read, what was executed is frozen, and refused is what was proven.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { rk, sqlState } from '#store/sql-state.ts'
import { openTestDatabase, type TestDatabase } from '#test/support/db.ts'
import {
  containedKey,
  evidenceOf,
  incidentKeyOf,
  incidentOf,
  keyNamed,
  versionOf,
  write,
} from './records.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await openTestDatabase()
})
afterAll(() => db.close())

const execution = async (name: string, count = 2) => {
  const incident = incidentOf(db.ids.next(), { title: name })
  const keys = Array.from({ length: count }, (_, n) => keyNamed(db.ids.next(), `${name}-${n}`))
  const contained = keys.map((key, position) =>
    incidentKeyOf(incident, containedKey(key, 1), { position }),
  )
  const versions = contained.map((key) => evidenceOf(key, 1))
  await write(db, async (tx) => {
    for (const key of keys) {
      await tx.writeKey.insert(key)
      await tx.writeVersion.insert(versionOf(key.id, 1, { state: 'active' }))
    }
    await tx.writeIncident.insert(incident)
    await tx.writeIncident.insertKeys(contained, versions)
  })
  return { incident, keys, contained, versions }
}

test('what is written of an incident is read as it was', async () => {
  const { incident, contained, versions } = await execution('read')
  const at = db.clock.now()
  const preview = {
    hash: 'h',
    at,
    expiresAt: at,
    keys: contained.map(({ plan }) => plan),
    consumers: ['shop'],
    warnings: [],
    approvalsNeeded: 1,
  }
  const previewed = {
    ...incident,
    state: 'previewed' as const,
    revision: 2,
    preview: {
      hash: 'h',
      at: at.toISOString(),
      expiresAt: at.toISOString(),
      by: { id: 'a', name: 'a' },
      approvalsNeeded: 1,
      keys: 2,
    },
  }
  await write(db, async (tx) => {
    await tx.writeIncident.putPreview(incident.id, preview)
    expect(await tx.writeIncident.update(previewed, { state: 'draft', revision: 1 })).toBe(true)
    expect(await tx.writeIncident.update(previewed, { state: 'draft', revision: 1 })).toBe(false)
  })
  const ids = contained.map(({ keyId }) => keyId)
  await db.ledger.read(async (reads) => {
    expect(await reads.incidents.get(incident.id)).toEqual(previewed)
    expect(await reads.incidents.preview(incident.id)).toEqual(preview)
    expect(await reads.incidents.keysOf(incident.id, ids)).toEqual(contained)
    expect(await reads.incidents.versionsOf(incident.id, ids)).toHaveLength(versions.length)
    expect(await reads.incidents.counts(incident.id)).toEqual({ pending: 2 })
    const first = await reads.incidents.keys(incident.id, null, { limit: 1, after: null })
    expect(first.items).toEqual([contained[0]])
    const rest = await reads.incidents.keys(incident.id, ['pending'], {
      limit: 5,
      after: first.next,
    })
    expect(rest).toEqual({ items: [contained[1]], next: null })
    const [open] = await reads.incidents.openOfKeys(ids.slice(1))
    expect(open).toMatchObject({ ...contained[1], mode: 'revokeFirst', incidentState: 'previewed' })
    const listed = await reads.incidents.list(['previewed'], { limit: 50, after: null })
    expect(listed.items.map(({ id }) => id)).toContain(incident.id)
    expect(await reads.incidents.get('no-uuid')).toBeNull()
  })
})

test('notes and approvals are kept in their order, an approval once', async () => {
  const { incident } = await execution('said', 1)
  const at = db.clock.now()
  const approval = {
    incidentId: incident.id,
    previewHash: 'h',
    principalId: 'user:eve',
    principalName: 'eve',
    roles: ['approver' as const],
    at,
  }
  const said = { incidentId: incident.id, principalId: 'user:eve', principalName: 'eve', at }
  const first = {
    ...said,
    id: db.ids.next(),
    kind: 'hypothesis' as const,
    text: 'a',
    corrects: null,
  }
  const second = {
    ...said,
    id: db.ids.next(),
    kind: 'fact' as const,
    text: 'b',
    corrects: first.id,
  }
  await write(db, async (tx) => {
    await tx.writeIncident.approve(approval)
    await tx.writeIncident.approve(approval)
    await tx.writeIncident.note(first)
    await tx.writeIncident.note(second)
  })
  await db.ledger.read(async (reads) => {
    expect(await reads.incidents.approvals(incident.id)).toEqual([approval])
    expect(await reads.incidents.notes(incident.id)).toEqual([first, second])
  })
})

test('many keys and versions change in one statement each, and no other', async () => {
  const { incident, contained, versions } = await execution('many', 40)
  const at = db.clock.now()
  await write(db, async (tx) => {
    const some = contained.slice(0, 30)
    await tx.writeIncident.putKeys(
      some.map((key) => ({ ...key, state: 'revoking', detail: `x'"${key.key}`, updatedAt: at })),
    )
    await tx.writeIncident.putVersions(
      versions.slice(0, 30).map((version) => ({
        ...version,
        state: 'revoking',
        requestedAt: at,
        operationId: 'o',
        auditEventId: incident.id,
      })),
    )
  })
  await db.ledger.read(async (reads) => {
    expect(await reads.incidents.counts(incident.id)).toEqual({ revoking: 30, pending: 10 })
    const [row] = await reads.incidents.keysOf(incident.id, [contained[3]?.keyId ?? ''])
    expect(row).toEqual({
      ...contained[3],
      state: 'revoking',
      detail: `x'"many-3`,
      updatedAt: at,
    })
    const [version] = await reads.incidents.versionsOf(incident.id, [contained[3]?.keyId ?? ''])
    expect(version).toMatchObject({ state: 'revoking', requestedAt: at, operationId: 'o' })
  })
})

test('nothing is refused without a proof, and what was executed stays as it was shown', async () => {
  const { incident, contained, versions } = await execution('frozen', 1)
  const [key] = contained
  const [version] = versions
  if (!key || !version) throw new Error('nothing was executed')
  const unproven = write(db, (tx) =>
    tx.writeIncident.putVersions([{ ...version, state: 'refused' }]),
  )
  await expect(unproven.catch(sqlState)).resolves.toBe('23514')
  const back = write(db, (tx) => tx.writeIncident.putKeys([{ ...key, state: 'restored' }]))
  await expect(back.catch(sqlState)).resolves.toBe(rk.incidentEdge)
  await expect(
    db.sql(`UPDATE app.incident_key SET plan = '{}' WHERE incident_id = $1`, [incident.id]),
  ).rejects.toMatchObject({ code: rk.incidentEdge })
  const leap = write(db, (tx) =>
    tx.writeIncident.update(
      { ...incident, state: 'executing' },
      { state: 'draft', revision: incident.revision },
    ),
  )
  await expect(leap.catch(sqlState)).resolves.toBe(rk.incidentEdge)
})
