// Keys in SoftHSM, through Rekey's own API: rotated, undone, retired, proven refused; libraries that die, PINs that are wrong.

import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Session } from '#domain/provider.ts'
import { asideLabel } from '#providers/pkcs11/versions.ts'
import { tokenFlags } from '#providers/pkcs11/protocol.ts'
import { anyEffect, type Between, startBetween } from '#test/peers/pkcs11-between.ts'
import { type SoftHsm, startSoftHsm, type TestToken } from '#test/peers/softhsm.ts'
import type { Answer } from '#test/support/http.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'
import { openRunningApi, type RunningApi } from '#test/support/running-api.ts'

peer('softhsm').describe('keys in a token', () => {
  let hsm: SoftHsm
  let api: RunningApi
  let token: TestToken
  /** The library of the connection `between`. */
  let between: Between
  const pin = 'planted-7c1f'
  beforeAll(async () => {
    hsm = startSoftHsm()
    between = startBetween(hsm)
    api = await openRunningApi({
      wrap: (session) => ({ ...session, ...met(session) }),
      nativeModules: [hsm.library, between.library, '/nowhere/lib.so', '/etc/hostname'],
    })
    token = hsm.token('prod', pin)
    await connect('hsm', token.label, pin)
    await connect('between', token.label, pin, between.library)
  })
  afterAll(async () => {
    expect(api.faults).toEqual([])
    await api.close()
    hsm.stop()
  })
  beforeEach(() => {
    meet = {}
  })

  /** Runs after a call has had its effect: its answer is lost. */
  let meet: { mint?: 'lost' | 'half'; promote?: 'lost' } = {}
  const met = (session: Session): Partial<Session> => ({
    mint: async (order, call) => {
      if (meet.mint === 'half') {
        meet = {}
        // As far as a library comes that dies between the two objects of a pair.
        const id = idOf(order.operationId)
        hsm.makePair(token, { id, label: asideLabel(order.object.keyName, id) }, { half: true })
        throw new Error('it died')
      }
      const made = await session.mint(order, call)
      if (meet.mint === 'lost') throw ((meet = {}), new Error('the answer is lost'))
      return made
    },
    promote: async (order, call) => {
      if (meet.promote === undefined) return session.promote(order, call)
      meet = {}
      // As far as a process comes that dies between the two halves: both have the label.
      hsm.within(token, (p, lib, at) => {
        const id = { type: p.CKA_ID, value: Buffer.from(order.to, 'hex') }
        const value = Buffer.from(order.object.keyName)
        for (const handle of hsm.find(lib, at, [id]))
          lib.C_SetAttributeValue(at, handle, [{ type: p.CKA_LABEL, value }])
      })
      throw new Error('it died')
    },
  })

  const put = (name: string, settings: object, value: string): Promise<Answer> =>
    api.call('PUT', `/v1/connections/${name}`, {
      body: { provider: 'pkcs11', settings, credential: { from: 'value', value } },
      headers: { 'if-match': '*' },
    })
  const connect = async (
    name: string,
    tokenLabel: string,
    value: string,
    library = hsm.library,
  ): Promise<void> => {
    const settings = { library, tokenLabel }
    const { status, text } = await api.call('PUT', `/v1/connections/${name}`, {
      body: { provider: 'pkcs11', settings, credential: { from: 'value', value } },
    })
    if (status === 428) expect((await put(name, settings, value)).status).toBe(200)
    else expect(status, text).toBe(201)
  }
  const keyOf = async (
    name: string,
    spec: object = {},
    { ref = {}, ...more }: { ref?: object; [name: string]: unknown } = {},
  ): Promise<void> => {
    await api.put(`/v1/policies/${name}`, {
      selector: { matchLabels: { key: name } },
      manual: true,
      overlap: { min: '0s' },
      soak: '0s',
      ...spec,
    })
    await api.post('/v1/keys', {
      name,
      connection: 'hsm',
      type: 'pkcs11.key',
      ref: { label: name, ...ref },
      purpose: 'signing',
      owner: 'team',
      environment: 'test',
      labels: { key: name },
      create: true,
      ...more,
    })
  }
  const objects = (label: string) =>
    hsm.seen(token).filter((of) => of.label === label || of.label.startsWith(`${label}#`))
  /** Labels of the private or secret keys, with `#…` for those that are set aside. */
  const labels = (label: string): readonly string[] =>
    objects(label)
      .filter(({ kind }) => kind !== 'public')
      .map((of) => of.label.replace(/#.*/, '#…'))
      .toSorted()
  const states = async (name: string): Promise<readonly string[]> => {
    const { json } = await api.call('GET', `/v1/keys/${name}/versions`)
    return json.items
      .toSorted((a: Answer['json'], b: Answer['json']) => a.version - b.version)
      .map(({ state, primary }: Answer['json']) => (primary ? `${state}, primary` : state))
  }
  const reach = (id: string, phases: Parameters<RunningApi['reach']>[1] = 'end') =>
    api.reach(id, phases, { stepMs: 5_000 })
  const idOf = (operationId: string): string =>
    createHash('sha256').update(operationId).digest('hex').slice(0, 32)

  test.each(['aes256', 'ecP256', 'ecP384', 'rsa3072'])(
    'a rotation of %s makes one key under the id of its operation, moves the label, and destroys the old one',
    async (algorithm) => {
      const name = `whole-${algorithm.toLowerCase()}`
      await keyOf(name, { retire: 'destroy' }, { generate: { algorithm } })
      const halves = algorithm === 'aes256' ? 1 : 2
      expect(objects(name)).toHaveLength(halves)
      const id = await api.rotate(name)
      expect(await reach(id)).toMatchObject({ phase: 'completed', toVersion: 2 })
      expect(await states(name)).toEqual(['destroyed', 'active, primary'])
      expect(objects(name)).toHaveLength(halves)
      for (const of of objects(name))
        expect(of).toMatchObject({ label: name, id: idOf(`${id}:minting:1`) })
    },
  )

  test('the old version is switched off, refused by the token itself, and comes back with an undo', async () => {
    await keyOf('undone', { soak: '1h' }, { generate: { algorithm: 'ecP256' } })
    const id = await api.rotate('undone')
    await reach(id, ['soaking'])
    expect(await states('undone')).toEqual(['suspended', 'active, primary'])
    expect(labels('undone')).toEqual(['undone', 'undone#…'])
    const old = objects('undone').find((of) => of.kind === 'private' && of.label !== 'undone')
    const sign = (key: string) =>
      hsm.within(token, (p, lib, session) => {
        const [handle] = hsm.find(lib, session, [
          { type: p.CKA_CLASS, value: p.CKO_PRIVATE_KEY },
          { type: p.CKA_ID, value: Buffer.from(key, 'hex') },
        ])
        lib.C_SignInit(session, { mechanism: p.CKM_ECDSA }, handle as Buffer)
        return lib.C_Sign(session, Buffer.alloc(32), Buffer.alloc(256)).length
      })
    expect(() => sign(old?.id ?? '')).toThrow(/CKR_KEY_FUNCTION_NOT_PERMITTED/)

    expect((await api.rollback(id)).status).toBe(202)
    expect((await reach(id)).phase).toBe('rolledBack')
    expect(await states('undone')).toEqual(['active, primary', 'destroyed'])
    expect(labels('undone')).toEqual(['undone'])
    expect(sign(old?.id ?? '')).toBe(64)
    const refused = (await api.house.events({ correlationId: id })).map(({ action }) => action)
    expect(refused).toContain('effect.swapBack')
  })

  test('an answer that is lost leaves one key: the probe finds it by its id', async () => {
    await keyOf('lost')
    meet = { mint: 'lost' }
    const id = await api.rotate('lost')
    expect((await reach(id)).phase).toBe('completed')
    expect(labels('lost')).toEqual(['lost', 'lost#…'])
    expect(objects('lost').find(({ label }) => label === 'lost')?.id).toBe(idOf(`${id}:minting:1`))
  })

  test('a death between the two halves of moving the label: both have it, and it is finished', async () => {
    await keyOf('both')
    meet = { promote: 'lost' }
    const id = await api.rotate('both')
    await api.reach(id, ['promoting'])
    await api.drain()
    expect(labels('both')).toEqual(['both', 'both'])
    expect((await reach(id)).phase).toBe('completed')
    expect(labels('both')).toEqual(['both', 'both#…'])
  })

  test('a library that dies with half of a pair made: it is taken away, and one pair comes of it', async () => {
    await keyOf('half', {}, { generate: { algorithm: 'ecP256' } })
    meet = { mint: 'half' }
    const id = await api.rotate('half')
    expect((await reach(id)).phase).toBe('completed')
    expect(objects('half')).toHaveLength(4)
    const made = objects('half').filter(({ label }) => label === 'half')
    expect(made.map((of) => of.id)).toEqual(Array(2).fill(idOf(`${id}:minting:2`)))
  })

  test('what a rotation asks of the library, exactly', async () => {
    await keyOf(
      'counted',
      { retire: 'destroy' },
      { connection: 'between', generate: { algorithm: 'ecP256' } },
    )
    await api.house.sessions.forget('between')
    between.counted()
    expect((await reach(await api.rotate('counted'))).phase).toBe('completed')
    const { C_GenerateKeyPair, C_SetAttributeValue, C_DestroyObject, C_Login, C_Sign } =
      between.counted()
    // As docs/how-to/pkcs11.md says.
    expect({ C_Login, C_GenerateKeyPair, C_SetAttributeValue, C_DestroyObject, C_Sign }).toEqual({
      C_Login: 1,
      C_GenerateKeyPair: 1,
      C_SetAttributeValue: 5,
      C_DestroyObject: 2,
      C_Sign: 5,
    })
  })

  test('the library dies before or after any one call that changes something: one new key comes of it, and nothing beside it', async () => {
    await keyOf(
      'fragile',
      { retire: 'destroy' },
      { connection: 'between', generate: { algorithm: 'ecP256' } },
    )
    const met = async (kind: 'cutBefore' | 'cutAfter', after: number): Promise<number> => {
      const rule = between.inject({ path: anyEffect, after }, { kind })
      const id = await api.rotate('fragile')
      expect([kind, after, (await reach(id)).phase]).toEqual([kind, after, 'completed'])
      between.reset()
      const there = objects('fragile')
      expect(there.map((of) => `${of.kind} ${of.label}`).toSorted()).toEqual([
        'private fragile',
        'public fragile',
      ])
      const ids = [1, 2].map((attempt) => idOf(`${id}:minting:${attempt}`))
      for (const of of there) expect(ids).toContain(of.id)
      return rule.hits()
    }
    let changes = 0
    while ((await met('cutAfter', changes)) > 0) changes += 1
    expect(changes).toBe(8)
    // The first of each step; before the others is after the one before.
    for (const after of [0, 1, 5, 6]) expect(await met('cutBefore', after)).toBe(1)
  }, 240_000)

  test('two keys with one id: nothing is made, and the rotation says why', async () => {
    const id = hsm.make(token, { label: 'twice' })
    await keyOf('twice', {}, { create: false })
    hsm.make(token, { label: 'twice#other', id })
    const rotation = await api.rotate('twice')
    const { stalledReason } = await api.until(rotation, ['stalled'])
    expect(stalledReason).toMatch(/several keys with one id/)
    expect(labels('twice')).toHaveLength(2)
    await api.post(`/v1/rotations/${rotation}/abandon`, { reason: 'over' })
  })

  test('a key that its token cannot switch off has no phase for it, and what needs one is refused before', async () => {
    const ref = { suspend: false }
    await keyOf('fixed', { retire: 'destroy', approval: { required: 1 } }, { ref })
    const id = await api.rotate('fixed')
    const { json } = await api.call('GET', `/v1/rotations/${id}`)
    expect(json.phases).not.toContain('suspending')
    await api.reach(id, ['awaitingApproval'])
    const approver = await api.token(['approver'])
    const approved = await api.call('POST', `/v1/rotations/${id}/approvals`, {
      body: { planHash: json.planHash },
      token: approver,
    })
    expect(approved.status, approved.text).toBe(201)
    expect((await reach(id)).phase).toBe('completed')
    expect(labels('fixed')).toEqual(['fixed'])

    await keyOf('default', {}, { ref })
    const start = await api.call('POST', '/v1/rotations', {
      body: { key: 'default', reason: 'r' },
      headers: { 'idempotency-key': 'default' },
    })
    expect([start.status, start.json.code]).toEqual([422, 'policy.impossible'])
    expect(start.json.hint).toMatch(/retire: keep/)
  })

  test('an object that may not be modified is told before anything is made', async () => {
    hsm.make(token, { label: 'rigid', modifiable: false })
    const reply = await api.call('POST', '/v1/keys', {
      body: {
        name: 'rigid',
        connection: 'hsm',
        type: 'pkcs11.key',
        ref: { label: 'rigid' },
        purpose: 'p',
        owner: 'o',
        environment: 'e',
      },
    })
    expect(reply.status).toBeLessThan(500)
    expect(reply.text).toMatch(/CKA_MODIFIABLE/)
  })

  test('a wrong PIN is sent once, by all processes together, until the credential is another', async () => {
    const other = hsm.token('other', 'right-pin')
    await connect('wrong', other.label, 'wrong-pin', between.library)
    between.counted()
    const check = async () => (await api.call('POST', '/v1/connections/wrong/checks')).json
    const first = await check()
    expect(JSON.stringify(first)).toMatch(/refused the PIN/)
    const low = hsm.flags(other) & tokenFlags.userPinCountLow
    expect(low).not.toBe(0)
    for (let n = 0; n < 5; n++) {
      // As another process, or the same after a restart.
      await api.house.sessions.forget('wrong')
      expect(JSON.stringify(await check())).toMatch(/refused the PIN/)
    }
    expect(between.counted()['C_Login']).toBe(1)
    expect(hsm.flags(other) & tokenFlags.userPinLocked).toBe(0)
    expect(hsm.flags(other) & tokenFlags.userPinFinalTry).toBe(0)

    await connect('wrong', other.label, 'right-pin')
    const { items, ...more } = await check()
    expect(JSON.stringify(items ?? more)).toMatch(/SoftHSM/)
    expect(hsm.flags(other) & tokenFlags.userPinCountLow).toBe(0)
  })

  test('nonsense in settings and refs is told where it is wrong', async () => {
    await connect('odd', token.label, pin)
    for (const settings of [
      {},
      { library: 'libsofthsm2.so', tokenLabel: 'x' },
      { library: hsm.library, tokenLabel: '' },
      { library: hsm.library, tokenLabel: 'x', pin: '1' },
    ]) {
      const { status, json } = await put('odd', settings, pin)
      expect([status, json.errors[0].pointer]).toEqual([400, expect.stringMatching(/^\/settings/)])
    }
    const missing: readonly (readonly [object, RegExp])[] = [
      // There, root's own, and named by nobody who runs Rekey.
      [{ library: '/bin/sh', tokenLabel: 'x' }, /not one that may be loaded.*REKEY_PKCS11_MODULES/],
      [{ library: '/nowhere/lib.so', tokenLabel: 'x' }, /not there/],
      [{ library: '/etc/hostname', tokenLabel: 'x' }, /cannot be loaded/],
      [{ library: hsm.library, tokenLabel: 'nobody' }, /no token has the label/],
    ]
    for (const [settings, text] of missing) {
      expect((await put('odd', settings, pin)).status).toBeLessThan(300)
      const checked = await api.call('POST', '/v1/connections/odd/checks')
      expect(checked.status).toBeLessThan(500)
      expect(checked.text).toMatch(text)
    }
    const bad = await api.call('POST', '/v1/keys', {
      body: {
        name: 'odd',
        connection: 'hsm',
        type: 'pkcs11.key',
        ref: { label: 'a#b' },
        purpose: 'p',
        owner: 'o',
        environment: 'e',
      },
    })
    expect([bad.status, bad.json.errors[0].pointer]).toEqual([400, '/ref/label'])
  })

  test('when it is due it rotates by itself', async () => {
    await keyOf('due', { manual: undefined, maxAge: '30d', retire: 'destroy' })
    await api.house.clock.advance(31 * 86_400_000)
    await api.drain()
    const { json } = await api.call('GET', '/v1/rotations?key=due')
    expect(json.items).toMatchObject([{ trigger: 'maxAge' }])
    expect((await reach(json.items[0].id)).phase).toBe('completed')
    expect(await states('due')).toEqual(['destroyed', 'active, primary'])
    expect(labels('due')).toEqual(['due'])
  })

  test('the PIN is in no table, event, log or fault', async () => {
    const { items } = await api.house.ledger.read((db) =>
      db.audit.list({}, { limit: 1000, after: null }),
    )
    expect(items.length).toBeGreaterThan(10)
    const places = new Map([
      ...(await tablesOf(api.house.urls.superuser)),
      ['our log', api.logged.join('')],
      ['faults', inspect(api.faults, { depth: Infinity })],
    ])
    const pins = { right: pin, wrong: 'wrong-pin', other: 'right-pin' }
    expect(findPlanted(places, pins)).toEqual([])
  })
})
