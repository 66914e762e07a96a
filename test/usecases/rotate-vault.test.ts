// Rotations of what a real HashiCorp Vault holds: what readers get, what stays readable, what undo brings back.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { actorOf } from '#test/support/house.ts'
import { peer } from '#test/support/peers.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'

peer('vault').describe('rotations at a real Vault', () => {
  let stage: VaultStage
  beforeAll(async () => {
    stage = await openVaultStage()
  })
  afterAll(() => stage.close())

  const summary = async (keyId: string) =>
    (await stage.house.versions(keyId)).map(({ state, primary, providerVersions }) => [
      state,
      primary,
      ...providerVersions,
    ])
  const valueOf = async (key: string, version: number): Promise<string> => {
    const reader = actorOf('reader', ['consumer'], { keys: [key] })
    return Buffer.from((await stage.house.value(key, reader, version)).value.reveal()).toString()
  }
  const password = (data: unknown): unknown => Object(data).password

  test('kv2: the old version is deleted softly for the soak, and stays so when it is retired', async () => {
    await stage.put('disable', { password: 'old', user: 'app' })
    const key = await stage.kv('disable', 'disable')
    await stage.policy('disable', { soak: '30s' })
    const id = await stage.rotate('disable')

    await stage.until(id, ['soaking'])
    expect(await stage.states('disable')).toEqual(['disabled', 'enabled'])
    expect(await stage.get('disable')).toEqual({ password: expect.any(String), user: 'app' })
    expect(password(await stage.get('disable'))).not.toBe('old')

    await stage.until(id, 'end')
    expect(await stage.states('disable')).toEqual(['disabled', 'enabled'])
    expect(await summary(key.id)).toEqual([
      ['deactivated', false, '1'],
      ['active', true, '2'],
    ])
  })

  test('kv2: with retire: destroy the old material is gone, here and there', async () => {
    await stage.put('destroy', { password: 'old' })
    const key = await stage.kv('destroy', 'destroy')
    await stage.policy('destroy', { retire: 'destroy' })
    for (const expected of [
      ['destroyed', 'enabled'],
      ['destroyed', 'destroyed', 'enabled'],
    ]) {
      expect((await stage.until(await stage.rotate('destroy'), 'end')).phase).toBe('completed')
      expect(await stage.states('destroy')).toEqual(expected)
    }
    expect((await stage.house.versions(key.id)).map(({ sealedId }) => sealedId !== null)).toEqual([
      false,
      false,
      true,
    ])
  })

  test.each(['overlapping', 'soaking'] as const)(
    'kv2: rollback from %s gives readers the old value again, and the new version is gone',
    async (phase) => {
      const name = `undo-${phase}`
      await stage.put(name, { password: 'old', user: 'app' })
      const key = await stage.kv(name, name)
      await stage.policy(name, phase === 'soaking' ? { soak: '1h' } : { overlap: { min: '1h' } })
      const id = await stage.rotate(name)
      await stage.until(id, [phase])
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(await stage.get(name)).toEqual({ password: 'old', user: 'app' })
      expect(await stage.states(name)).toEqual(['enabled', 'destroyed', 'enabled'])
      expect(await summary(key.id)).toEqual([
        ['active', true, '1', '3'],
        ['destroyed', false, '2'],
      ])
      // And the next rotation switches off every version that carries the old value.
      await stage.api.house.replacePolicy(name, {
        selector: { matchLabels: { key: name } },
        manual: true,
        overlap: { min: '0s' },
        soak: '0s',
      })
      expect((await stage.until(await stage.rotate(name), 'end')).phase).toBe('completed')
      expect(await stage.states(name)).toEqual(['disabled', 'destroyed', 'disabled', 'enabled'])
    },
  )

  test('kv2: a foreign write of another field before the rotation: every version with the old value is switched off', async () => {
    await stage.put('beside', { password: 'old', user: 'a' })
    const key = await stage.kv('beside', 'beside')
    await stage.policy('beside', { retire: 'destroy' })
    await stage.put('beside', { password: 'old', user: 'b' })
    await stage.put('beside', { password: 'old', user: 'c' })
    expect((await stage.until(await stage.rotate('beside'), 'end')).phase).toBe('completed')
    expect(await stage.states('beside')).toEqual(['destroyed', 'destroyed', 'destroyed', 'enabled'])
    expect(await stage.get('beside')).toEqual({ password: expect.any(String), user: 'c' })
    expect(await summary(key.id)).toEqual([
      ['destroyed', false, '1', '2', '3'],
      ['active', true, '4'],
    ])
  })

  test('kv2: a foreign write of another field during the overlap is kept, by the rotation and by the next', async () => {
    await stage.put('during', { password: 'old', user: 'a' })
    const key = await stage.kv('during', 'during')
    await stage.policy('during', { overlap: { min: '5s' }, retire: 'destroy' })
    const id = await stage.rotate('during')
    await stage.until(id, ['overlapping'])
    const ours = password(await stage.get('during'))
    await stage.put('during', { password: ours, user: 'b' })
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await stage.get('during')).toEqual({ password: ours, user: 'b' })
    expect(await stage.states('during')).toEqual(['destroyed', 'enabled', 'enabled'])

    expect((await stage.until(await stage.rotate('during'), 'end')).phase).toBe('completed')
    expect(await stage.get('during')).toEqual({ password: expect.any(String), user: 'b' })
    expect(await stage.states('during')).toEqual(['destroyed', 'destroyed', 'destroyed', 'enabled'])
    expect(await summary(key.id)).toEqual([
      ['destroyed', false, '1'],
      ['destroyed', false, '2', '3'],
      ['active', true, '4'],
    ])
  })

  test('kv2: rollback after a foreign write of another field keeps that field and removes every copy of the new value', async () => {
    await stage.put('undo-during', { password: 'old', user: 'a' })
    await stage.kv('undo-during', 'undo-during')
    await stage.policy('undo-during', { overlap: { min: '1h' } })
    const id = await stage.rotate('undo-during')
    await stage.until(id, ['overlapping'])
    const ours = password(await stage.get('undo-during'))
    await stage.put('undo-during', { password: ours, user: 'b' })
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await stage.get('undo-during')).toEqual({ password: 'old', user: 'b' })
    expect(await stage.states('undo-during')).toEqual([
      'enabled',
      'destroyed',
      'destroyed',
      'enabled',
    ])
  })

  test('kv2: a foreign write of our field before the rotation stalls it, and is not overwritten', async () => {
    await stage.put('foreign', { password: 'old' })
    await stage.kv('foreign', 'foreign')
    await stage.policy('foreign')
    await stage.put('foreign', { password: 'by somebody else' })
    const id = await stage.rotate('foreign')
    const { stalledIn, stalledReason } = await stage.until(id, ['stalled'])
    expect([stalledIn, stalledReason]).toEqual([
      'preflight',
      expect.stringContaining('version 2 was not written by Rekey'),
    ])
    expect(await stage.get('foreign')).toEqual({ password: 'by somebody else' })
    expect(await stage.states('foreign')).toEqual(['enabled', 'enabled'])
  })

  test.each(['goes on', 'is rolled back'])(
    'kv2: a foreign write of our field during the overlap stalls a rotation that %s; old stays on, nothing is overwritten',
    async (how) => {
      const name = `foreign-${how.split(' ')[0]}`
      await stage.put(name, { password: 'old' })
      await stage.kv(name, name)
      await stage.policy(name, { overlap: { min: how === 'goes on' ? '5s' : '1h' } })
      const id = await stage.rotate(name)
      await stage.until(id, ['overlapping'])
      await stage.put(name, { password: 'by somebody else' })
      if (how !== 'goes on') await stage.rollback(id)
      const { stalledReason } = await stage.until(id, ['stalled'])
      expect(stalledReason).toContain('version 3 was not written by Rekey')
      expect(await stage.get(name)).toEqual({ password: 'by somebody else' })
      expect(await stage.states(name)).toEqual(['enabled', 'enabled', 'enabled'])
    },
  )

  test('kv2: where Vault keeps one version only, rollback restores the value from the sealed copy', async () => {
    await stage.put('single', { password: 'old', user: 'a' })
    await stage.peer.api('POST', 'secret/metadata/single', { max_versions: 1 })
    await stage.kv('single', 'single')
    await stage.policy('single', { overlap: { min: '1h' } })
    const id = await stage.rotate('single')
    await stage.until(id, ['overlapping'])
    expect(await stage.states('single')).toEqual(['enabled'])
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await stage.get('single')).toEqual({ password: 'old', user: 'a' })
  })

  const target = (path: string) => ({
    name: 'copy',
    connection: 'kv',
    type: 'vault.kv2.secret',
    ref: { mount: 'secret', path, field: 'token' },
  })

  test('kv2 is published to another kv2 secret; rollback restores what that held', async () => {
    await stage.put('source', { password: 'old' })
    await stage.put('target', { token: 'held before', host: 'db' })
    await stage.kv('source', 'source')
    await stage.policy('source', { publish: [target('target')], overlap: { min: '1h' } })
    const id = await stage.rotate('source')
    await stage.until(id, ['overlapping'])
    const made = password(await stage.get('source'))
    expect(made).not.toBe('old')
    expect(await stage.get('target')).toEqual({ token: made, host: 'db' })
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await stage.get('source')).toEqual({ password: 'old' })
    expect(await stage.get('target')).toEqual({ token: 'held before', host: 'db' })
  })

  test('what a rotation kept sealed of its targets is erased when it ends', async () => {
    await stage.put('kept', { password: 'old' })
    await stage.put('kept-target', { token: 'held before' })
    await stage.kv('kept', 'kept')
    await stage.policy('kept', { publish: [target('kept-target')] })
    const id = await stage.rotate('kept')
    await stage.until(id, 'end')
    const live = await stage.house.sql(
      `SELECT purpose FROM app.sealed WHERE erased_at IS NULL AND purpose LIKE $1`,
      [`${id}%`],
    )
    expect(live).toEqual([{ purpose: `${id}:minting:1` }])
  })

  test('a local secret is published to a kv2 secret that did not exist; rollback takes it away again', async () => {
    await stage.house.register('local', { labels: { key: 'local' } })
    await stage.policy('local', { publish: [target('of-local')], overlap: { min: '1h' } })
    const id = await stage.rotate('local')
    await stage.until(id, ['overlapping'])
    expect(await stage.get('of-local')).toEqual({
      token: await valueOf('local', 2),
    })
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await stage.get('of-local')).toBeNull()
    expect(await stage.states('of-local')).toEqual(['destroyed'])
  })

  test.each([
    { held: { host: 'db' }, after: { host: 'db' }, states: ['enabled', 'destroyed', 'enabled'] },
    { held: {}, after: {}, states: ['enabled', 'destroyed', 'enabled'] },
  ])(
    'a local secret is published into a secret of others that held $held; rollback gives it back without the field',
    async ({ held, after, states }) => {
      const name = `into-${Object.keys(held).length}`
      await stage.put(name, held)
      await stage.house.register(name, { labels: { key: name } })
      await stage.policy(name, { publish: [target(name)], overlap: { min: '1h' } })
      const id = await stage.rotate(name)
      await stage.until(id, ['overlapping'])
      expect(await stage.get(name)).toEqual({ ...held, token: await valueOf(name, 2) })
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      expect(await stage.get(name)).toEqual(after)
      expect(await stage.states(name)).toEqual(states)
    },
  )

  test('what others wrote beside a published field stays when the field is taken back', async () => {
    await stage.put('into-shared', { host: 'db' })
    await stage.house.register('into-shared', { labels: { key: 'into-shared' } })
    await stage.policy('into-shared', { publish: [target('into-shared')], overlap: { min: '1h' } })
    const id = await stage.rotate('into-shared')
    await stage.until(id, ['overlapping'])
    await stage.put('into-shared', { ...Object(await stage.get('into-shared')), port: '5432' })
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await stage.get('into-shared')).toEqual({ host: 'db', port: '5432' })
  })

  test('a local secret is published again and again: the target has each new value', async () => {
    await stage.house.register('again', { labels: { key: 'again' } })
    await stage.policy('again', { publish: [target('of-again')] })
    for (const version of [2, 3]) {
      expect((await stage.until(await stage.rotate('again'), 'end')).phase).toBe('completed')
      expect(await stage.get('of-again')).toEqual({ token: await valueOf('again', version) })
    }
  })

  describe('a write that Vault has no trace of is sent again when it cannot arrive any more', () => {
    // 12 s for the request itself, then as long as Vault may work on it without a caller.
    const lostOn = async (name: string, connection: string) => {
      await stage.put(name, { password: 'old' })
      await stage.kv(name, name, 'password', connection)
      await stage.policy(name, { retire: 'keep' })
      stage.proxy.inject({ method: 'POST', path: dataOf(name) }, { kind: 'cutBefore' })
      const id = await stage.rotate(name)
      expect((await stage.until(id, 'end')).phase).toBe('completed')
      const [lost, again] = (await stage.intents(id)).filter(({ effect }) => effect === 'mint')
      expect([lost?.outcome, again?.outcome]).toEqual(['failed', 'succeeded'])
      const after = (at?: Date) => (at?.getTime() ?? 0) - (lost?.startedAt.getTime() ?? 0)
      return { lateAfter: after(lost?.sentNotAfter), againAfter: after(again?.startedAt) }
    }
    const dataOf = (name: string) => new RegExp(`^/v1/secret/data/${name}$`)

    test('as this Vault says and the connection repeats', async () => {
      const { data } = await stage.peer.api('GET', 'sys/config/state/sanitized')
      // Nanoseconds.
      expect(data['default_max_request_duration']).toBe(5e9)
      const { lateAfter, againAfter } = await lostOn('short', 'kv')
      expect(lateAfter).toBe(17_000)
      expect(againAfter).toBeGreaterThan(17_000)
      expect(againAfter).toBeLessThan(30_000)
    })

    test('after 90 s where the connection says nothing', async () => {
      await stage.house.connection('untold', {
        provider: 'vault',
        settings: { address: stage.proxy.address, auth: { method: 'token' } },
        credential: { from: 'value', value: stage.peer.token },
      })
      const { lateAfter, againAfter } = await lostOn('long', 'untold')
      expect(lateAfter).toBe(102_000)
      expect(againAfter).toBeGreaterThan(102_000)
    })

    test.each(['0s', '90', 'soon'])('%s is no duration that a Vault can have', async (text) => {
      const settings = {
        address: stage.proxy.address,
        maxRequestDuration: text,
        auth: { method: 'token' },
      }
      const error: unknown = await stage.house
        .connection('odd', { provider: 'vault', settings, credential: { from: 'none' } })
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        code: 'request.invalid',
        places: [expect.objectContaining({ pointer: '/settings/maxRequestDuration' })],
      })
    })
  })

  test('transit: one new version, old data stays readable, the old version is deactivated', async () => {
    const key = await stage.transit('cipher')
    await stage.policy('cipher')
    const plaintext = Buffer.from('written before').toString('base64')
    const { data } = await stage.peer.api('POST', 'transit/encrypt/cipher', { plaintext })
    expect((await stage.until(await stage.rotate('cipher'), 'end')).phase).toBe('completed')
    expect(await stage.transitLatest('cipher')).toBe(2)
    expect(await summary(key.id)).toEqual([
      ['deactivated', false, '1'],
      ['active', true, '2'],
    ])
    const opened = await stage.peer.api('POST', 'transit/decrypt/cipher', {
      ciphertext: data['ciphertext'],
    })
    expect(opened.data['plaintext']).toBe(plaintext)
  })

  test.each(['kv2', 'transit'] as const)('%s: when it is due it rotates by itself', async (of) => {
    const name = `due-${of}`
    if (of === 'kv2') {
      await stage.put(name, { password: 'old' })
      await stage.kv(name, name)
    } else await stage.transit(name)
    await stage.policy(name, { manual: false, maxAge: '10d', retire: 'disable' })
    await stage.house.clock.advance(10 * 86_400_000)
    await stage.drain()
    const { json } = await stage.call('GET', `/v1/rotations?key=${name}`)
    expect(json.items).toMatchObject([{ trigger: 'maxAge' }])
    expect((await stage.until(json.items[0].id, 'end')).phase).toBe('completed')
    if (of === 'transit') expect(await stage.transitLatest(name)).toBe(2)
    else expect(await stage.states(name)).toEqual(['disabled', 'enabled'])
  })

  test('transit: rollback is refused before and after the mint, and changes nothing', async () => {
    await stage.transit('one-way')
    await stage.policy('one-way')
    const id = await stage.rotate('one-way')
    const mint = stage.proxy.inject({ path: /\/rotate$/ }, { kind: 'hold' })
    const drained = stage.drain()
    await mint.hit()
    const unsent = await stage.rotation(id)
    const early = await stage.rollback(id)
    expect([early.status, early.json.code]).toEqual([409, 'rotation.undoImpossible'])
    expect(await stage.rotation(id)).toEqual(unsent)
    expect(await stage.transitLatest('one-way')).toBe(1)
    const use = stage.proxy.inject({ path: /\/transit\/encrypt\// }, { kind: 'hold' })
    await mint.release()
    await use.hit()

    const before = await stage.rotation(id)
    const events = (await stage.events(id)).length
    expect(before.phase).toBe('verifying')
    const refused = await stage.rollback(id)
    expect([refused.status, refused.json.code]).toEqual([409, 'rotation.undoImpossible'])
    expect(await stage.rotation(id)).toEqual(before)
    expect((await stage.events(id)).length).toBe(events)
    expect(await stage.transitLatest('one-way')).toBe(2)

    await use.release()
    await drained
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await stage.transitLatest('one-way')).toBe(2)
  })
})
