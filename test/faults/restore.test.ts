// Yesterday's backup over today's providers: recovery mode, nothing written to any of them, every key reconciled, then on.
// `rekey up` as its users run it, the built-in vault, and a real HashiCorp Vault that counts in its own audit log.

import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, type Places } from '#test/support/planted.ts'
import { openRekey, type RekeyProcess } from '#test/support/rekey-process.ts'
import { ended, versionsOf } from '#test/support/rotations.ts'

const plain = { purpose: 'tests', owner: 'team', environment: 'test' }
const local = { ...plain, connection: 'built-in', type: 'local.secret', create: true }

peer('vault').describe('yesterday’s backup over today’s providers', () => {
  let vault: VaultPeer
  let rekey: RekeyProcess
  let backup: string
  let midway = ''
  const values: Record<string, string> = {}

  const kv = async (name: string, labels: object = {}): Promise<void> => {
    values[name] = `first-of-${name}-${Math.random().toString(36).slice(2)}`
    await vault.api('POST', `secret/data/${name}`, { data: { password: values[name] } })
    await rekey.ask('POST', '/v1/keys', {
      ...plain,
      name,
      labels,
      connection: 'kv',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: name, field: 'password' },
    })
  }
  const rotate = async (key: string): Promise<string> =>
    (await rekey.ask('POST', '/v1/rotations', { key, reason: 'a test' })).id
  /** What changed something at the Vault: checks, logins and uses of keys do not. */
  const writes = (): readonly string[] =>
    vault
      .auditLog()
      .filter(
        ({ type, request: { operation, path } }) =>
          type === 'request' &&
          operation !== 'read' &&
          operation !== 'list' &&
          (path.startsWith('secret/') || path.startsWith('transit/keys/')),
      )
      .map(({ request: { operation, path } }) => `${operation} ${path}`)
  const present = async (name: string): Promise<unknown> => {
    const { data } = await vault.api('GET', `secret/data/${name}`)
    return (data['data'] as { password: string }).password
  }

  beforeAll(async () => {
    vault = await startVault()
    rekey = await openRekey()
    await rekey.start()
    await rekey.ask('PUT', '/v1/connections/built-in', { provider: 'local' })
    await rekey.ask('PUT', '/v1/connections/kv', {
      provider: 'vault',
      settings: { address: vault.address, auth: { method: 'token' } },
      credential: { from: 'value', value: vault.token },
    })
    const policy = (pace: string, more: object) =>
      rekey.ask('PUT', `/v1/policies/${pace}`, {
        selector: { matchLabels: { pace } },
        manual: true,
        overlap: { min: '0s' },
        soak: '0s',
        ...more,
      })
    await policy('quick', {})
    await rekey.ask('PUT', '/v1/consumers/shop', { owner: 'team', labels: { uses: 'slow' } })
    await policy('slow', {
      consumers: { matchLabels: { uses: 'slow' }, acknowledgement: { required: 'all' } },
    })
    for (const name of ['moved', 'still', 'deleted']) await kv(name, { pace: 'quick' })
    await kv('midway', { pace: 'slow' })
    await vault.api('POST', 'transit/keys/turned', {})
    await rekey.ask('POST', '/v1/keys', {
      ...plain,
      name: 'turned',
      labels: { pace: 'quick' },
      connection: 'kv',
      type: 'vault.transit.key',
      ref: { mount: 'transit', name: 'turned' },
    })
    for (const name of ['mine', 'mine-too'])
      await rekey.ask('POST', '/v1/keys', { ...local, name, labels: { pace: 'quick' } })

    // Yesterday.
    midway = await rotate('midway')
    while ((await rekey.ask('GET', `/v1/rotations/${midway}`)).phase !== 'overlapping')
      await pause(200)
    backup = join(rekey.dir, 'backup-of-yesterday')
    const taken = await rekey.rekey('backup', '--to', backup)
    expect(taken.code, taken.stderr).toBe(0)

    // Today.
    for (const key of ['moved', 'turned', 'mine']) await ended(rekey, await rotate(key), 60_000)
    const acknowledged = { consumer: 'shop', version: 2 }
    await rekey.ask('POST', `/v1/rotations/${midway}/acknowledgements`, acknowledged)
    await ended(rekey, midway, 60_000)
    await vault.api('DELETE', 'secret/metadata/deleted')
    expect(await rekey.shut()).toBe(0)
    await rm(join(rekey.dir, 'postgres'), { recursive: true })
  })
  afterAll(async () => {
    await rekey.stop()
    await vault.stop()
  })

  test('no key of Rekey is in the backup, and no secret that it holds is legible', async () => {
    const places: Places = new Map()
    for (const name of await readdir(backup)) {
      const bytes = await readFile(join(backup, name))
      places.set(name, (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1'))
    }
    expect(places.size).toBeGreaterThan(20)
    const secretIn = async (file: string): Promise<string> =>
      (await readFile(join(rekey.dir, file), 'utf8')).trim().split(' ').at(-1) ?? ''
    const planted = {
      kek: await secretIn('kek'),
      pepper: await secretIn('pepper'),
      'writer key': await secretIn('writer-key'),
      'admin key': await secretIn('admin-key'),
      'superuser of the database': await secretIn('postgres-password'),
      'credential of the connection': vault.token,
      ...values,
    }
    const raw = Object.fromEntries(
      ['kek', 'pepper', 'writer key'].map((name) => [
        `${name}, decoded`,
        Buffer.from(planted[name as 'kek'], 'base64').toString('latin1'),
      ]),
    )
    expect(findPlanted(places, { ...planted, ...raw })).toEqual([])
    // The search would find what is there.
    expect(findPlanted(places, { name: 'mine-too' })).not.toEqual([])
  })

  test('recovery mode: rotations are stalled, and not a byte is written to the Vault', async () => {
    const restored = await rekey.rekey('restore', '--from', backup)
    expect(restored.code, restored.stderr).toBe(0)
    const before = writes()
    await rekey.start()
    const { json: ready } = await rekey.call('GET', '/readyz')
    expect(ready.checks).toContainEqual(
      expect.objectContaining({
        name: 'recovery',
        detail: expect.stringContaining('recovery mode since'),
      }),
    )
    await expect.poll(async () => (await rekey.ask('GET', '/v1/recovery')).keys.pending).toBe(0)
    // All keys have an answer a moment before that is written down.
    await expect
      .poll(async () => (await rekey.ask('GET', '/v1/recovery')).recovery.reconciledAt)
      .not.toBeNull()
    const { recovery, keys } = await rekey.ask('GET', '/v1/recovery')
    expect(recovery).toMatchObject({ reason: 'regress', reconciledAt: expect.any(String) })
    expect(recovery.evidence.restoredFrom.takenAt).toBe(
      JSON.parse(await readFile(join(backup, 'manifest.json'), 'utf8')).createdAt,
    )
    expect(keys).toMatchObject({ equal: 2, adopt: 2, lost: 3, orphan: 0, unreachable: 0 })
    const found = Object.fromEntries(
      (await rekey.list('/v1/recovery/keys')).map(({ key, state, detail }) => [
        key,
        `${state} ${detail}`,
      ]),
    )
    expect(found).toMatchObject({
      still: expect.stringMatching(/^equal/),
      midway: expect.stringContaining(`what rotation ${midway} was doing`),
      moved: expect.stringContaining('The provider serves version 2; here it is 1.'),
      turned: expect.stringMatching(/^adopt/),
      deleted: expect.stringContaining('lost The object does not exist'),
      mine: expect.stringMatching(
        /^lost Its material is kept in this database and went back with it/,
      ),
      'mine-too': expect.stringMatching(/^lost/),
    })
    expect(await rekey.ask('GET', `/v1/rotations/${midway}`)).toMatchObject({ phase: 'stalled' })
    const idempotent = { 'idempotency-key': 'one' }
    const refused = await rekey.call(
      'POST',
      '/v1/rotations',
      { key: 'still', reason: 'x' },
      idempotent,
    )
    expect(refused).toMatchObject({ status: 409, json: { code: 'recovery.active' } })
    expect((await rekey.ask('GET', '/v1/keys/still')).status.why).toContain('recovery mode')
    expect(writes()).toEqual(before)
  })

  test('a second start, and a restore that is tried again, change nothing of that', async () => {
    const before = writes()
    await rekey.kill()
    const again = await rekey.rekey('restore', '--from', backup)
    expect(again.code, again.stderr).not.toBe(0)
    await rekey.start()
    expect((await rekey.ask('GET', '/v1/recovery')).active).toBe(true)
    expect(writes()).toEqual(before)
  })

  test('then on: what moved is taken over, what was under way ends, and the next rotation works', async () => {
    const { left, keys, resumed } = await rekey.ask('POST', '/v1/recovery/acceptance', {
      reason: 'looked at all seven',
    })
    expect({ left, adopted: keys.adopted, resumed }).toEqual({
      left: [],
      adopted: 2,
      resumed: [midway],
    })
    // The acknowledgement went back with the database: it is asked for again.
    const acknowledged = { consumer: 'shop', version: 2 }
    await rekey.ask('POST', `/v1/rotations/${midway}/acknowledgements`, acknowledged)
    expect((await ended(rekey, midway, 60_000)).phase).toBe('completed')
    await expect
      .poll(() => versionsOf(rekey, 'moved'))
      .toEqual(['1 deactivated', '2 active primary'])
    expect(await versionsOf(rekey, 'turned')).toEqual(['1 deactivated', '2 active primary'])
    for (const key of ['moved', 'still', 'turned', 'mine']) {
      const rotation = await ended(rekey, await rotate(key), 60_000)
      expect(rotation.phase, `${key} ${rotation.reason}`).toBe('completed')
    }
    expect(await present('moved')).not.toBe(values['moved'])
    const { data } = await vault.api('GET', 'secret/metadata/moved')
    expect(data['current_version']).toBe(3)
    expect((await vault.api('GET', 'transit/keys/turned')).data['latest_version']).toBe(3)
    expect((await rekey.ask('GET', '/v1/recovery')).active).toBe(false)
    const events = await rekey.list('/v1/audit/events?action=recovery.accepted')
    expect(events).toHaveLength(1)
    // Reconciled: looked at once more, here and there, nothing is amiss with any key but the one that is gone.
    const checks = await rekey.list('/v1/checks/keys')
    expect(checks).toHaveLength(7)
    for (const { key, breaches, unknown } of checks)
      expect([key, breaches.length > 0, unknown]).toEqual([key, key === 'deleted', null])
  })
})
