import { mkdtemp, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Connection } from '#domain/connection.ts'
import { boundedSession } from '#runtime/bounded-session.ts'
import { admin, codeOf, type House, openHouse } from '../support/house.ts'

let house: House
let file: string

beforeAll(async () => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'rekey-sessions-')))
  file = join(directory, 'token')
  await writeFile(file, 'hvs.one')
  house = await openHouse({ credentialsDir: directory })
  await house.connection('vault')
})
afterAll(() => house.shut())

const stored = async (name: string): Promise<Connection> => {
  const found = await house.ledger.read((db) => db.connections.get(name))
  if (!found) throw new Error(`no connection ${name}`)
  return found
}
const settings = { address: 'http://127.0.0.1:9', auth: { method: 'token' } }

test('one session is kept for a connection and revision, also when it is opened twice at once', async () => {
  const connection = await stored('vault')
  const both = await Promise.all([house.sessions.open(connection), house.sessions.open(connection)])
  expect(both[0]).toBe(both[1])
  expect(await house.sessions.open(connection)).toBe(both[0])
})

test('a changed connection is opened anew', async () => {
  const before = await house.sessions.open(await stored('vault'))
  await house.connection('vault', { labels: { changed: 'yes' } }, admin, {
    match: 'any',
    absent: false,
  })
  expect(await house.sessions.open(await stored('vault'))).not.toBe(before)
})

test('a connection that was deleted and made again under its name is another one', async () => {
  await house.connection('again')
  const before = await house.sessions.open(await stored('again'))
  await house.dropConnection('again')
  await house.clock.advance(5)
  await house.connection('again')
  expect(await house.sessions.open(await stored('again'))).not.toBe(before)
})

test('a changed credential file, or a rotated credential key, opens a new session', async () => {
  await house.connection('by-file', {
    provider: 'vault',
    settings,
    credential: { from: 'file', path: 'token' },
  })
  const first = await house.sessions.open(await stored('by-file'))
  expect(await house.sessions.open(await stored('by-file'))).toBe(first)
  await writeFile(file, 'hvs.two-is-longer')
  expect(await house.sessions.open(await stored('by-file'))).not.toBe(first)

  const { value: key } = await house.register('credential', { usableBy: ['by-key'] })
  await house.connection('by-key', {
    provider: 'vault',
    settings,
    credential: { from: 'key', key: 'credential' },
  })
  const one = await house.sessions.open(await stored('by-key'))
  expect(await house.sessions.open(await stored('by-key'))).toBe(one)
  await house.ledger.commit(admin, async (tx) => {
    const primary = await tx.versions.primary(key.id)
    if (!primary) throw new Error('no primary')
    const { version } = await house.vault.insert({
      object: key.id,
      operationId: 'next',
      algorithm: 'secret',
      material: (await house.value('credential', admin)).value,
      publicKey: null,
    })
    await tx.writeVersion.update({ ...primary, primary: false }, 'active')
    await tx.writeVersion.insert({ ...primary, version: 2, providerVersions: [String(version)] })
    return {
      value: null,
      audit: [{ action: 'key.put', target: { id: key.id, name: key.name }, outcome: 'succeeded' }],
    }
  })
  expect(await house.sessions.open(await stored('by-key'))).not.toBe(one)
})

test('an address that is not allowed any more, or a provider that is gone, is refused at the opening too', async () => {
  const connection = await stored('by-file')
  const moved = {
    ...connection,
    name: 'moved',
    settings: { ...settings, address: 'http://169.254.169.254' },
  }
  expect(await codeOf(house.sessions.open(moved))).toBe('connection.unusable')
  expect(await codeOf(house.sessions.open({ ...connection, name: 'gone', provider: 'gone' }))).toBe(
    'connection.unusable',
  )
  const nowhere = {
    ...connection,
    name: 'nowhere',
    settings: { ...settings, address: 'https://no-such-host.invalid' },
  }
  expect(await codeOf(house.sessions.open(nowhere))).toBe('provider.unavailable')
})

test('a call that an adapter does not end is ended: a read without effect, a write of unknown effect', async () => {
  const real = await house.sessions.open(await stored('vault'))
  const never = () => new Promise<never>(() => undefined)
  const session = boundedSession({ ...real, mint: never, describe: never })
  const object = { type: 'local.secret', ref: {}, keyId: house.deps.ids.next(), keyName: 'k' }
  const order = { object, operationId: 'o', preImage: {}, generate: {}, material: null }
  const call = { signal: AbortSignal.timeout(1) }
  await expect(session.describe(object, call)).rejects.toMatchObject({
    kind: 'timeout',
    effect: 'none',
  })
  await expect(session.mint(order, call)).rejects.toMatchObject({
    kind: 'timeout',
    effect: 'unknown',
  })
  // One that keeps its time is passed on as it is, its own refusals too.
  const bounds = { signal: AbortSignal.timeout(60_000) }
  await expect(boundedSession(real).describe(object, bounds)).rejects.toMatchObject({
    kind: 'notFound',
  })
})
