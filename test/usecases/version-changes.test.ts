// What a version's row says of its sealed material, and what there is.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { advanceVersion, retireVersion } from '#usecases/version-changes.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ providers: [shelf.provider] })
})
afterAll(() => engine.close())

test('a compromised version that is retired names no sealed material after it was erased', async () => {
  const key = await engine.key('leaked', {
    connection: 'shelf',
    type: 'shelf.value',
    ref: { path: 'leaked' },
  })
  await engine.policy('leaked', { selector: { type: 'shelf.value' }, retire: 'disable' })
  const rotation = await engine.rotation(await engine.rotate('leaked'))
  const sealedId = await engine.ledger.commit(admin, async (tx) => {
    const [version] = await tx.versions.of(key.id)
    if (!version) throw new Error('no version')
    const sealed = await tx.writeSealed.insert(new Secret('what leaked'), 'a test')
    await advanceVersion(tx, version, ['compromised'], { sealedId: sealed, primary: false })
    const target = { id: key.id, name: key.name }
    return { value: sealed, audit: [{ action: 'key.put', target, outcome: 'succeeded' }] }
  })
  await engine.ledger.commit(admin, async (tx) => {
    const version = await tx.versions.get(key.id, 1)
    if (!version) throw new Error('no version')
    const events = await retireVersion(tx, rotation, version)
    const target = { id: key.id, name: key.name }
    return { value: null, audit: [{ action: 'key.put', target, outcome: 'succeeded' }, ...events] }
  })
  expect(await engine.versions(key.id)).toMatchObject([{ state: 'compromised', sealedId: null }])
  expect(
    await engine.sql('SELECT erased_at IS NOT NULL AS erased FROM app.sealed WHERE id = $1', [
      sealedId.value,
    ]),
  ).toEqual([{ erased: true }])
})
