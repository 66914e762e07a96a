// secret_ids of AppRoles of the real Vault, through the API: what a consumer reads logs in, what was destroyed is refused, and
// no login fails on the way, since failed ones lock a role.

import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { actorOf } from '#test/support/house.ts'
import { peer } from '#test/support/peers.ts'
import { findPlanted, tablesOf } from '#test/support/planted.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'

peer('vault').describe('secret_ids of a real Vault', () => {
  let stage: VaultStage
  beforeAll(async () => {
    stage = await openVaultStage()
  })
  afterAll(() => stage?.close())

  const known = new Map<string, string>()
  const pathOf = (role: string): string => `auth/approle/role/${role}`
  /** As an application does: a token, or the status of the refusal. */
  const logIn = async (role: string, secretId: string): Promise<string | number> => {
    const { data } = await stage.peer.api('GET', `${pathOf(role)}/role-id`)
    const reply = await fetch(`${stage.peer.address}/v1/auth/approle/login`, {
      method: 'POST',
      body: JSON.stringify({ role_id: data['role_id'], secret_id: secretId }),
    })
    const { auth } = (await reply.json()) as { readonly auth?: { readonly client_token: string } }
    return auth?.client_token ?? reply.status
  }
  const isAlive = async (token: unknown): Promise<boolean> => {
    const headers = { 'X-Vault-Token': String(token) }
    const url = `${stage.peer.address}/v1/auth/token/lookup-self`
    return (await fetch(url, { headers })).status === 200
  }
  const live = async (role: string): Promise<number> => {
    const { data } = await stage.peer.api('GET', `${pathOf(role)}/secret-id?list=true`)
    return Array.isArray(data['keys']) ? data['keys'].length : 0
  }
  const newRole = async (name: string, more: JsonObject = {}): Promise<void> => {
    await stage.peer.api('POST', pathOf(name), { token_policies: ['default'], ...more })
  }
  const register = (name: string, create: boolean) =>
    stage.house.register(name, {
      connection: 'kv',
      type: 'vault.approle.secretId',
      ref: { mount: 'approle', role: name },
      labels: { key: name },
      create,
    })
  /** A role with the secret_id that somebody made, which comes under management. */
  const arrange = async (name: string, spec: JsonObject = {}): Promise<string> => {
    await newRole(name)
    const { data } = await stage.peer.api('POST', `${pathOf(name)}/secret-id`, {})
    await stage.policy(name, spec)
    await register(name, false)
    return String(data['secret_id'])
  }
  const valueOf = async (key: string): Promise<string> => {
    const reader = actorOf('reader', ['consumer'], { keys: [key] })
    const value = Buffer.from((await stage.house.value(key, reader)).value.reveal()).toString()
    known.set(`${key} ${known.size}`, value)
    return value
  }
  const approved = async (id: string): Promise<void> => {
    await stage.until(id, ['awaitingApproval'])
    const { planHash } = await stage.rotation(id)
    const approver = await stage.token(['approver'])
    const answer = await stage.call('POST', `/v1/rotations/${id}/approvals`, {
      token: approver,
      body: { planHash },
      headers: { 'idempotency-key': stage.house.ids.next() },
    })
    expect(answer.status, answer.text).toBeLessThan(300)
  }
  test('by hand: the new one logs in, the old one is destroyed, its tokens go on; counted request by request', async () => {
    const old = await arrange('orders')
    const token = await logIn('orders', old)
    const from = stage.peer.auditLog().length
    const id = await stage.rotate('orders')
    await stage.until(id, ['overlapping', 'retiring', 'completed'])
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    const log = stage.peer.auditLog().slice(from)

    expect(await live('orders')).toBe(1)
    expect(await isAlive(await logIn('orders', await valueOf('orders')))).toBe(true)
    expect(await isAlive(token)).toBe(true)
    const counted: Record<string, number> = {}
    for (const { type, request } of log) {
      if (type !== 'request' || !request.path.startsWith('auth/')) continue
      const what = `${request.operation} ${request.path.replace('auth/approle/role/orders', 'role')}`
      counted[what] = (counted[what] ?? 0) + 1
    }
    expect(counted).toEqual({
      'read role': 6,
      'list role/secret-id/': 7,
      'read role/role-id': 2,
      'update role/secret-id/lookup': 3,
      'update role/secret-id-accessor/lookup': 8,
      'update role/custom-secret-id': 1,
      'update auth/approle/login': 2,
      'update auth/token/revoke-self': 2,
      'update role/secret-id-accessor/destroy': 1,
    })
    expect(await logIn('orders', old)).toBe(400)
  })

  test('when it is due, overlapping; both log in until the overlap is over', async () => {
    const old = await arrange('nightly', {
      manual: false,
      maxAge: '10d',
      overlap: { min: '1h' },
    })
    await stage.house.clock.advance(10 * 86_400_000)
    await stage.drain()
    const { json } = await stage.call('GET', '/v1/rotations?key=nightly')
    const { id } = json.items[0]
    await stage.until(id, ['overlapping'])
    for (const secretId of [old, await valueOf('nightly')])
      expect(await isAlive(await logIn('nightly', secretId))).toBe(true)
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    expect(await live('nightly')).toBe(1)
  })

  test('with retire: destroy the tokens of the old one end too, and no others', async () => {
    await arrange('destroy', { retire: 'destroy', approval: { required: 1 } })
    const first = await stage.rotate('destroy')
    await approved(first)
    expect((await stage.until(first, 'end')).phase).toBe('completed')
    const token = await logIn('destroy', await valueOf('destroy'))
    const id = await stage.rotate('destroy')
    await approved(id)
    expect((await stage.until(id, 'end')).phase).toBe('completed')
    const next = await logIn('destroy', await valueOf('destroy'))
    expect([await isAlive(token), await isAlive(next)]).toEqual([false, true])
    expect(await live('destroy')).toBe(1)
  })

  test('rolled back: the old one never stopped, the new one is gone with its tokens', async () => {
    const old = await arrange('back', { overlap: { min: '1h' } })
    const id = await stage.rotate('back')
    await stage.until(id, ['overlapping'])
    const token = await logIn('back', await valueOf('back'))
    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect(await isAlive(token)).toBe(false)
    expect(await live('back')).toBe(1)
    expect(await isAlive(await logIn('back', old))).toBe(true)
  })

  test('create makes the first one of a role that has none', async () => {
    await newRole('fresh')
    await stage.policy('fresh')
    await register('fresh', true)
    expect(await live('fresh')).toBe(1)
    const first = await valueOf('fresh')
    expect(await isAlive(await logIn('fresh', first))).toBe(true)
    expect((await stage.until(await stage.rotate('fresh'), 'end')).phase).toBe('completed')
    expect(await live('fresh')).toBe(1)
    expect(await valueOf('fresh')).not.toBe(first)
  })

  test('the answer is lost: what was sent is found by itself', async () => {
    await arrange('lost')
    const rule = stage.proxy.inject({ path: /custom-secret-id/ }, { kind: 'cutAfter' })
    expect((await stage.until(await stage.rotate('lost'), 'end')).phase).toBe('completed')
    expect(rule.hits()).toBe(1)
    expect(await live('lost')).toBe(1)
  })

  test('one that somebody else makes meanwhile stalls the end, and is left alone', async () => {
    await arrange('theirs', { overlap: { min: '5s' } })
    const id = await stage.rotate('theirs')
    await stage.until(id, ['overlapping'])
    await stage.peer.api('POST', `${pathOf('theirs')}/secret-id`, {})
    const { stalledReason } = await stage.until(id, ['stalled'])
    expect(stalledReason).toContain('was made at the provider while the rotation ran')
    expect(await live('theirs')).toBe(2)
  })

  test('a role whose secret_ids would be used up by their proof is told, before anything is made', async () => {
    await arrange('few')
    await newRole('few', { secret_id_num_uses: 2 })
    const { stalledIn, stalledReason } = await stage.until(await stage.rotate('few'), ['stalled'])
    expect(stalledIn).toBe('preflight')
    expect(stalledReason).toMatch(/good for 2 logins, and proving it takes 3.*secret_id_num_uses/)
    expect(await live('few')).toBe(1)
  })

  test('nothing of Rekey’s ever failed to log in, and no secret_id is anywhere', async () => {
    const failed = stage.peer
      .auditLog()
      .filter(
        ({ type, error, request }) =>
          type === 'response' &&
          error !== undefined &&
          request.path === 'auth/approle/login' &&
          request.headers?.['user-agent']?.includes('rekey'),
      )
    expect(failed).toEqual([])
    expect(known.size).toBeGreaterThan(5)
    const places = new Map([
      ...(await tablesOf(stage.house.urls.superuser)),
      ['vault audit', stage.peer.auditText()],
      ['our log', stage.logged.join('')],
      ['faults', inspect(stage.faults, { depth: Infinity })],
    ])
    expect(findPlanted(places, Object.fromEntries(known))).toEqual([])
  })
})
