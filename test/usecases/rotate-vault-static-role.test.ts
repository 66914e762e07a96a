// Static roles of the real Vault, through the API: the password that a real PostgreSQL takes is the one that Vault hands out,
// the former one is tried and refused, and nothing of either stays here.

import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { Secret } from '#domain/secret.ts'
import { keyTypes } from '#providers/registry.ts'
import { createLooks } from '#store/looks.ts'
import { addDatabase, type VaultDatabase } from '#test/peers/vault-database.ts'
import { maxRequestDuration } from '#test/peers/vault.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'
import { makeCompareKeys } from '#usecases/compare-keys.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'

peer('vault').describe('static roles of a real Vault', () => {
  let stage: VaultStage
  let database: VaultDatabase
  let compare: () => Promise<void>
  beforeAll(async () => {
    stage = await openVaultStage()
    database = await addDatabase(stage.peer)
    const connect = (name: string, more: JsonObject) =>
      stage.house.connection(name, {
        provider: 'vault',
        settings: {
          address: stage.proxy.address,
          maxRequestDuration,
          auth: { method: 'token' },
          ...more,
        },
        credential: { from: 'value', value: stage.peer.token },
        grants: [{ matchLabels: {}, refs: ['*'] }],
      })
    await connect('db', { databases: [database.settings] })
    await connect('blind', {})
    const { ledger, database: rekey, sessions, keyring, clock } = stage.house
    const looks = createLooks(rekey)
    const pass = makeCompareKeys(
      { ledger, looks, sessions, types: keyTypes, keyring, clock },
      3_600_000,
    )
    compare = async () => {
      // New keys are noticed, and have their turn within the interval.
      for (const ms of [5 * 60_000, 3_600_000]) {
        await clock.advance(ms)
        while ((await pass(() => false)) > 0);
      }
    }
  })
  afterAll(async () => {
    await stage?.close()
    await database?.stop()
  })

  const wrong = '28P01'
  const known = new Map<string, string>()
  const tell = async (name: string, role: string): Promise<string> => {
    const password = await database.password(role)
    known.set(`${name} ${known.size}`, password)
    return password
  }
  /** A role with its key and a policy that takes the gap; its label `key` is its name. */
  const arrange = async (
    name: string,
    {
      spec = {},
      role: more = {},
      connection = 'db',
    }: {
      readonly spec?: JsonObject | null
      readonly role?: object
      readonly connection?: string
    } = {},
  ): Promise<{ readonly role: string; readonly old: string; readonly keyId: string }> => {
    const role = await database.role(more)
    if (spec !== null) await stage.policy(name, { acceptGap: true, ...spec })
    const { value: key } = await stage.house.register(name, {
      connection,
      type: 'vault.database.staticRole',
      ref: { mount: 'database', role },
      labels: { key: name },
      create: false,
    })
    return { role, old: await tell(name, role), keyId: key.id }
  }
  const versions = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary }) => [state, primary])
  const proofOf = async (id: string, how: string) =>
    (await stage.intents(id)).filter(({ effect }) => effect === how)

  test('a rotation by hand: one new password, proven at the database, where the old one is tried and refused', async () => {
    const { role, old, keyId } = await arrange('orders')
    const sent = stage.peer.auditLog().length
    const id = await stage.rotate('orders')
    expect((await stage.until(id, 'end')).phase).toBe('completed')

    const now = await tell('orders', role)
    expect(now).not.toBe(old)
    expect(await database.letsIn(role, now)).toBeNull()
    expect(await database.letsIn(role, old)).toBe(wrong)
    expect(await database.passwordsOf(role)).toBe(2)
    expect(await versions(keyId)).toEqual([
      ['deactivated', false],
      ['active', true],
    ])
    const promoted = (await stage.events(id)).find(({ action }) => action === 'rotation.promoted')
    expect(promoted?.after).toMatchObject({ gapMs: expect.any(Number) })
    // What the mint kept of the old one, to try it, is erased.
    const [mint] = await proofOf(id, 'mint')
    expect(mint?.preImage['oldSealedId']).toEqual(expect.any(String))
    const kept = await stage.house.sql(
      `SELECT 1 FROM app.sealed WHERE erased_at IS NULL AND purpose LIKE $1`,
      [`${id}%`],
    )
    expect(kept).toEqual([])

    const log = stage.peer.auditLog().slice(sent)
    const requests = log.filter(
      ({ type, request }) => type === 'request' && request.path.includes(role),
    )
    const counted: Record<string, number> = {}
    for (const { request } of requests) {
      const what = `${request.operation} ${request.path.replace(`/${role}`, '')}`
      counted[what] = (counted[what] ?? 0) + 1
    }
    expect(counted).toEqual({
      'read database/static-roles': 10,
      'read database/static-creds': 5,
      'update database/rotate-role': 1,
    })
  })

  test('a planned rotation, and the next one', async () => {
    const { role, old } = await arrange('nightly', { spec: { manual: false, maxAge: '10d' } })
    for (const round of [2, 3]) {
      await stage.house.clock.advance(10 * 86_400_000)
      await stage.drain()
      const { json } = await stage.call('GET', '/v1/rotations?key=nightly')
      const { phase, trigger } = await stage.until(json.items[0].id, 'end')
      expect([phase, trigger]).toEqual(['completed', 'maxAge'])
      expect(await database.passwordsOf(role)).toBe(round)
    }
    expect(await database.letsIn(role, old)).toBe(wrong)
    expect(await database.letsIn(role, await tell('nightly', role))).toBeNull()
  })

  test('where the connection does not say how the database is reached, Vault’s word must do', async () => {
    const { role, old } = await arrange('unseen', { connection: 'blind' })
    expect((await stage.until(await stage.rotate('unseen'), 'end')).phase).toBe('completed')
    expect(await database.letsIn(role, old)).toBe(wrong)
    expect(await database.letsIn(role, await tell('unseen', role))).toBeNull()
  })

  test('what is published is user and password', async () => {
    const target = {
      name: 'app',
      connection: 'kv',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: 'told', field: 'db' },
    }
    const { role } = await arrange('told', { spec: { publish: [target] } })
    expect((await stage.until(await stage.rotate('told'), 'end')).phase).toBe('completed')
    const { db } = Object(await stage.get('told'))
    expect(JSON.parse(db)).toEqual({ username: role, password: await tell('told', role) })
  })

  test('a role that Vault has forgotten: what its database accepts is not called refused', async () => {
    const { role, old } = await arrange('forgotten')
    const { ledger, sessions, clock } = stage.house
    const connection = await ledger.read((db) => db.connections.get('db'))
    const key = await ledger.read((db) => db.keys.byName('forgotten'))
    if (!connection || !key) throw new Error('nothing was arranged')
    const session = await sessions.open(connection)
    await stage.peer.api('DELETE', `database/static-roles/${role}`)
    const order = {
      object: { type: key.type, ref: key.ref, keyId: key.id, keyName: key.name },
      providerVersion: '2026-01-01T00:00:00Z',
      how: 'refused' as const,
      material: new Secret(JSON.stringify({ username: role, password: old })),
      preImage: {},
    }
    const verdict = await session.verify(order, { signal: clock.deadline(10_000) })
    expect(verdict).toMatchObject({ ok: false, detail: expect.stringContaining('cannot be asked') })
    expect(await database.letsIn(role, old)).toBeNull()
  })

  test('rollback is refused before and after the mint, and changes nothing; before it, it can be cancelled', async () => {
    const { role, old } = await arrange('one-way')
    const id = await stage.rotate('one-way')
    const mint = stage.proxy.inject({ path: /\/rotate-role\// }, { kind: 'hold' })
    const drained = stage.drain()
    await mint.hit()
    for (const when of ['before', 'after']) {
      const before = await stage.rotation(id)
      const refused = await stage.rollback(id)
      expect([when, refused.status, refused.json.code]).toEqual([
        when,
        409,
        'rotation.undoImpossible',
      ])
      expect(await stage.rotation(id)).toEqual(before)
      if (when === 'after') break
      const use = stage.proxy.inject({ path: /\/static-creds\// }, { kind: 'hold' })
      await mint.release()
      await use.hit()
      expect((await stage.rotation(id)).phase).toBe('verifying')
      setTimeout(() => void use.release(), 200)
    }
    await drained
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await database.passwordsOf(role)).toBe(2)
    expect(await database.letsIn(role, old)).toBe(wrong)

    const again = await stage.rotate('one-way')
    const cancelled = await stage.post(`/v1/rotations/${again}/cancel`, { reason: 'a test' })
    expect(cancelled.status).toBeLessThan(300)
    expect((await stage.rotation(again)).phase).toBe('cancelled')
    expect(await database.passwordsOf(role)).toBe(2)
  })

  test('the answer to the one request is lost: it is found, and not sent again', async () => {
    const { role } = await arrange('lost')
    const rule = stage.proxy.inject({ path: /\/rotate-role\// }, { kind: 'cutAfter' })
    const id = await stage.rotate('lost')
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(rule.hits()).toBe(1)
    expect(await database.passwordsOf(role)).toBe(2)
    expect((await proofOf(id, 'mint')).map(({ outcome }) => outcome)).toEqual(['succeeded'])
  })

  test('a policy that does not take the gap is refused', async () => {
    await arrange('gap', { spec: null })
    const answer = await stage.call('PUT', '/v1/policies/gap', {
      headers: { 'if-none-match': '*' },
      body: { spec: { selector: { matchLabels: { key: 'gap' } }, manual: true } },
    })
    expect([answer.status, answer.json.code]).toEqual([422, 'policy.gapNotAccepted'])
  })

  test('a role that Vault has rotated by itself stalls before anything is made, and says what to do', async () => {
    const { role } = await arrange('twice')
    await stage.peer.api('POST', `database/rotate-role/${role}`, {})
    const rotation = await stage.until(await stage.rotate('twice'), ['stalled'])
    expect(rotation.stalledIn).toBe('preflight')
    expect(rotation.stalledReason).toMatch(/Vault, or somebody who is not Rekey, rotated the role/)
    expect(rotation.stalledReason).toMatch(/rotation_period 31536000 s.*observe: native/)
    expect(await database.passwordsOf(role)).toBe(2)
  })

  test.each([
    [{ rotation_period: '1h' }, (from: number) => from + 3_600_000],
    [
      { rotation_period: undefined, rotation_schedule: '0 3 * * *' },
      (from: number) =>
        new Date(from).setUTCHours(new Date(from).getUTCHours() < 3 ? 3 : 27, 0, 0, 0),
    ],
  ])(
    'a role that Vault would rotate first (%j) is told, by the end of what serves',
    async (more, end) => {
      const name = more.rotation_period === undefined ? 'by-schedule' : 'by-period'
      const { role } = await arrange(name, { role: more, spec: { manual: false, maxAge: '10d' } })
      const ends = new Date(end(Date.parse(await database.rotatedAt(role)))).toISOString()
      await compare()
      const { json } = await stage.call('GET', `/v1/keys/${name}`)
      expect(json.status.drift).toMatchObject({
        state: 'expiring',
        facts: { endsAt: ends },
      })
    },
  )

  test('no password is in any table, log or fault, nor in Vault’s own log', async () => {
    expect(known.size).toBeGreaterThan(8)
    const places = new Map([
      ...(await tablesOf(stage.house.urls.superuser)),
      ['vault audit', stage.peer.auditText()],
      ['database log', await database.server.log()],
      ['our log', stage.logged.join('')],
      ['faults', inspect(stage.faults, { depth: Infinity })],
    ])
    expect(findPlanted(places, Object.fromEntries(known))).toEqual([])
  })
})
