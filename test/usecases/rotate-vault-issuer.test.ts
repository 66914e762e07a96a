// Root issuers of the real Vault, through the API: what the default is, what the old one may still do, and for how long it is
// kept for those whom it signed.

import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import { addPki, issuersOf } from '#test/peers/vault-pki.ts'
import { peer } from '#test/support/peers.ts'
import { openVaultStage, type VaultStage } from '#test/support/vault-stage.ts'

peer('vault').describe('issuers of a real Vault', () => {
  let stage: VaultStage
  beforeAll(async () => {
    stage = await openVaultStage()
  })
  afterAll(() => stage?.close())

  const arrange = async (
    name: string,
    spec: JsonObject = {},
    root: object = {},
  ): Promise<string> => {
    const mount = await addPki(stage.peer, `pki/${name}`, root)
    const [first] = await issuersOf(stage.peer, mount)
    await stage.policy(name, spec)
    await stage.house.register(name, {
      connection: 'kv',
      type: 'vault.pki.issuer',
      ref: { mount },
      labels: { key: name },
      create: false,
    })
    return first?.id ?? ''
  }
  /** By name: which is the default, and what each may do. */
  const issuers = async (name: string) =>
    Promise.all(
      (await issuersOf(stage.peer, `pki/${name}`)).map(async ({ id, isDefault }) => {
        const { data } = await stage.peer.api('GET', `pki/${name}/issuer/${id}`)
        return {
          id,
          isDefault,
          issues: String(data['usage']).includes('issuing-certificates'),
          certificate: new X509Certificate(String(data['certificate'])),
        }
      }),
    )
  const keysOf = async (name: string): Promise<number> => {
    const { data } = await stage.peer.api('GET', `pki/${name}/keys?list=true`)
    return Array.isArray(data['keys']) ? data['keys'].length : 0
  }
  const issue = async (name: string): Promise<X509Certificate> => {
    const { data } = await stage.peer.api('POST', `pki/${name}/issue/rekey-check`, {
      common_name: 'rekey-check.invalid',
    })
    return new X509Certificate(String(data['certificate']))
  }
  const versions = async (name: string) => {
    const { json } = await stage.call('GET', `/v1/keys/${name}/versions`)
    return json.items.map((one: { state: string; primary: boolean }) => [one.state, one.primary])
  }
  const defaultOf = async (name: string) => (await issuers(name)).find(({ isDefault }) => isDefault)

  test('retire: destroy waits, switched off, for as long as anything that it signed may live', async () => {
    const old = await arrange('leaves', { retire: 'destroy' }, { ttl: '2h' })
    const id = await stage.rotate('leaves')
    await stage.until(id, ['soaking'])
    await stage.house.clock.advance(60_000)
    await stage.drain()
    const { phase, phaseEnteredAt } = await stage.rotation(id)
    expect(phase).toBe('soaking')
    const [mint] = (await stage.intents(id)).filter(({ effect }) => effect === 'mint')
    const waits = Number(mint?.preImage['destroyOldAfterMs'])
    expect(waits).toBeGreaterThan(3_600_000)
    const ended = await stage.until(id, 'end', { looks: 20_000 })
    expect(ended.phase).toBe('completed')
    expect((ended.endedAt?.getTime() ?? 0) - phaseEnteredAt.getTime()).toBeGreaterThanOrEqual(waits)
    const left = await issuers('leaves')
    expect(left.map((one) => [one.id === old, one.isDefault])).toEqual([[false, true]])
    expect(await keysOf('leaves')).toBe(1)
  })

  test('by hand: one like it becomes the default, proven before; the old one issues no more; its certificate is published', async () => {
    const target = {
      name: 'trust',
      connection: 'kv',
      type: 'vault.kv2.secret',
      ref: { mount: 'secret', path: 'trust', field: 'ca' },
    }
    const old = await arrange(
      'hand',
      { publish: [target], soak: '30s' },
      { ...fresh(), organization: ['Example', 'Tests'] },
    )
    const id = await stage.rotate('hand')
    await stage.until(id, ['soaking'])
    const both = await issuers('hand')
    const saw = both.map((one) => [one.id === old, one.isDefault, one.issues].join(' '))
    expect(saw.toSorted((a, b) => a.localeCompare(b))).toEqual([
      'false true true',
      'true false false',
    ])
    expect((await stage.until(id, 'end')).phase).toBe('completed')

    const before = both.find((one) => one.id === old)?.certificate
    const after = (await defaultOf('hand'))?.certificate
    expect(after?.subject).toBe(before?.subject)
    expect(before?.subject.split(/\n| \+ /).toSorted()).toEqual([
      'C=DE',
      'CN=Example Root',
      'O=Example',
      'O=Tests',
    ])
    expect(after?.publicKey.asymmetricKeyDetails).toEqual(before?.publicKey.asymmetricKeyDetails)
    expect(after?.publicKey.equals(before?.publicKey ?? after.publicKey)).toBe(false)
    // Basic constraints with the path length of the old one.
    expect(after?.raw.toString('hex')).toContain('30060101ff020101')
    const leaf = await issue('hand')
    expect(after && leaf.verify(after.publicKey)).toBe(true)
    const { ca } = Object(await stage.get('trust'))
    expect(new X509Certificate(ca).fingerprint256).toBe(after?.fingerprint256)
    expect(await versions('hand')).toEqual([
      ['deactivated', false],
      ['active', true],
    ])
  })

  const due = async (name: string): Promise<string> => {
    await stage.house.clock.advance(10 * 86_400_000)
    await stage.drain()
    const { json } = await stage.call('GET', `/v1/rotations?key=${name}`)
    return json.items[0].id
  }

  test('when it is due, counted request by request', async () => {
    const old = await arrange('due', { manual: false, maxAge: '10d' }, fresh())
    const sent = stage.peer.auditLog().length
    expect((await stage.until(await due('due'), 'end')).phase).toBe('completed')
    expect((await defaultOf('due'))?.id).not.toBe(old)
    const counted: Record<string, number> = {}
    for (const { type, request } of stage.peer.auditLog().slice(sent)) {
      if (type !== 'request' || !request.path.startsWith('pki/due/')) continue
      const path = request.path.replace('pki/due/', '').replaceAll(/issuer\/[^/]+/g, 'issuer/ID')
      counted[`${request.operation} ${path}`] = (counted[`${request.operation} ${path}`] ?? 0) + 1
    }
    expect(counted).toEqual({
      'list issuers/': 8,
      'read issuer/ID': 15,
      'read config/issuers': 5,
      'update issuer/ID/issue/rekey-check': 4,
      'update issuers/generate/root/internal': 1,
      'update config/issuers': 1,
      'patch issuer/ID': 1,
    })
  })

  /** A mount with an intermediate, signed by the root of another one. */
  const arrangeIntermediate = async (name: string): Promise<{ old: string; root: string }> => {
    const { api } = stage.peer
    const root = await addPki(stage.peer, `pki/${name}-root`, fresh())
    const mount = `pki/${name}`
    await api('POST', `sys/mounts/${mount}`, { type: 'pki', config: { max_lease_ttl: '2h' } })
    const asked = await api('POST', `${mount}/issuers/generate/intermediate/internal`, {
      common_name: 'Example Issuing',
      organization: ['Example'],
      key_type: 'ec',
      key_bits: 256,
    })
    const signed = await api('POST', `${root}/root/sign-intermediate`, {
      csr: asked.data['csr'],
      common_name: 'Example Issuing',
      organization: ['Example'],
      max_path_length: 0,
      ttl: '1000h',
    })
    const chain = [signed.data['certificate'], signed.data['issuing_ca']]
    const { data } = await api('POST', `${mount}/issuers/import/cert`, {
      pem_bundle: chain.join('\n'),
    })
    const [old = ''] = Object.entries(Object(data['mapping'])).find(([, key]) => key !== '') ?? []
    await api('POST', `${mount}/config/issuers`, { default: old })
    await api('POST', `${mount}/roles/rekey-check`, {
      allowed_domains: 'rekey-check.invalid',
      allow_bare_domains: true,
      no_store: true,
      max_ttl: '60s',
      key_type: 'ec',
    })
    await stage.policy(name, { soak: name === 'cut' ? '0s' : '30s' })
    await stage.house.register(name, {
      connection: 'kv',
      type: 'vault.pki.issuer',
      ref: { mount, parent: { mount: root } },
      labels: { key: name },
      create: false,
    })
    return { old, root }
  }

  test('an intermediate is followed by one that its parent signs, with the chain that leads there', async () => {
    const { old, root } = await arrangeIntermediate('between')
    const id = await stage.rotate('between')
    await stage.until(id, ['soaking'])
    const serving = await defaultOf('between')
    expect(serving?.id).not.toBe(old)
    const before = (await issuers('between')).find((one) => one.id === old)
    expect(before?.issues).toBe(false)
    const authority = (await issuersOf(stage.peer, root))[0]?.id ?? ''
    const { data: parent } = await stage.peer.api('GET', `${root}/issuer/${authority}`)
    const { data: made } = await stage.peer.api('GET', `pki/between/issuer/${serving?.id}`)
    expect(made['ca_chain']).toEqual([made['certificate'], parent['certificate']])
    expect(made['issuer_name']).toMatch(/^rekey-/)
    const top = new X509Certificate(String(parent['certificate']))
    expect(serving?.certificate.verify(top.publicKey)).toBe(true)
    expect(serving?.certificate.subject).toBe(before?.certificate.subject)
    expect(
      serving?.certificate.publicKey.equals(before?.certificate.publicKey ?? top.publicKey),
    ).toBe(false)
    // Basic constraints of an authority that signs leaves only.
    expect(serving?.certificate.raw.toString('hex')).toContain('30060101ff020100')
    expect(
      await issue('between').then((leaf) => leaf.verify((serving?.certificate ?? top).publicKey)),
    ).toBe(true)

    expect((await stage.rollback(id)).status).toBe(202)
    expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
    expect((await defaultOf('between'))?.id).toBe(old)
    expect(await keysOf('between')).toBe(1)
  })

  test('cut after any one request that makes an intermediate: one comes of it, and nothing beside it', async () => {
    await arrangeIntermediate('cut')
    const path = /intermediate\/(?:internal|existing)|sign-intermediate|issuers\/import\/cert/
    for (let after = 0; after < 3; after++) {
      const rule = stage.proxy.inject({ path, after }, { kind: 'cutAfter' })
      const id = await stage.rotate('cut')
      expect([after, (await stage.until(id, 'end')).phase]).toEqual([after, 'completed'])
      expect(rule.hits()).toBe(1)
      const used = (await issuersOf(stage.peer, 'pki/cut')).filter(({ name }) => name !== '')
      expect(used.length).toBeLessThanOrEqual(after + 1)
      const serving = await defaultOf('cut')
      expect(serving?.issues).toBe(true)
      expect((await issuers('cut')).filter(({ issues }) => issues)).toHaveLength(2)
    }
  }, 240_000)

  test('where its own certificate is over, nothing is made', async () => {
    // Rekey's clock is ahead of Vault's by now.
    const ahead = (stage.house.clock.now().getTime() - Date.now()) / 3_600_000
    const ttl = `${Math.ceil(ahead) + 48}h`
    await arrange('over', { manual: false, maxAge: '10d' }, { ttl })
    const { stalledReason } = await stage.until(await due('over'), ['stalled'])
    expect(stalledReason).toContain('its certificate is not valid now')
    expect(await issuers('over')).toHaveLength(1)
  })

  test.each(['overlapping', 'soaking'] as const)(
    'rolled back from %s: the old one is the default and issues, the new one and its key are gone',
    async (phase) => {
      const name = `back-${phase}`
      const wait = phase === 'overlapping' ? { overlap: { min: '1h' } } : { soak: '1h' }
      const old = await arrange(name, wait, fresh())
      const id = await stage.rotate(name)
      await stage.until(id, [phase])
      expect((await defaultOf(name))?.id).not.toBe(old)
      expect((await stage.rollback(id)).status).toBe(202)
      expect((await stage.until(id, 'end')).phase).toBe('rolledBack')
      const left = await issuers(name)
      expect(left.map((one) => [one.id, one.isDefault, one.issues])).toEqual([[old, true, true]])
      expect(await keysOf(name)).toBe(1)
    },
  )

  test('the answer is lost: it is found by its name, and not asked for twice', async () => {
    await arrange('lost', {}, fresh())
    const rule = stage.proxy.inject({ path: /generate\/root/ }, { kind: 'cutAfter' })
    expect((await stage.until(await stage.rotate('lost'), 'end')).phase).toBe('completed')
    expect(rule.hits()).toBe(1)
    expect(await issuers('lost')).toHaveLength(2)
  })

  test.each([
    [
      'an intermediate',
      'it is an intermediate: say in ref.parent which authority of this Vault signs it',
      async (mount: string) => {
        const { data: csr } = await stage.peer.api(
          'POST',
          `${mount}/issuers/generate/intermediate/internal`,
          { common_name: 'Intermediate', key_type: 'ec' },
        )
        const { data } = await stage.peer.api('POST', `${mount}/root/sign-intermediate`, {
          csr: csr['csr'],
          ttl: '69h',
        })
        const made = await stage.peer.api('POST', `${mount}/intermediate/set-signed`, {
          certificate: data['certificate'],
        })
        const [id] = Object(made.data['imported_issuers']) as readonly string[]
        await stage.peer.api('POST', `${mount}/config/issuers`, { default: id })
      },
      fresh(),
    ],
    [
      'a root with name constraints',
      'it has name constraints',
      async () => undefined,
      fresh({ permitted_dns_domains: ['example.com', 'rekey-check.invalid'] }),
    ],
    [
      'a root with settings of its own',
      'it has settings of its own (crl_distribution_points)',
      async (mount: string) => {
        const [one] = await issuersOf(stage.peer, mount)
        await stage.peer.api('POST', `${mount}/issuer/${one?.id}`, {
          crl_distribution_points: 'http://crl.example.com/root',
        })
      },
      fresh(),
    ],
    [
      'a mount whose default follows the newest',
      'default_follows_latest_issuer=false',
      async (mount: string) => {
        const [one] = await issuersOf(stage.peer, mount)
        await stage.peer.api('POST', `${mount}/config/issuers`, {
          default: one?.id,
          default_follows_latest_issuer: true,
        })
      },
      fresh(),
    ],
  ] as const)(
    '%s is refused with the reason, before anything is made',
    async (what, why, change, root) => {
      const name = what.replaceAll(' ', '-')
      const mount = await addPki(stage.peer, `pki/${name}`, root)
      await change(mount)
      const before = (await issuersOf(stage.peer, mount)).length
      const answer = await stage.house
        .register(name, {
          connection: 'kv',
          type: 'vault.pki.issuer',
          ref: { mount },
          create: false,
        })
        .catch((error: unknown) => error)
      expect(String(Object(answer).message) + String(Object(answer).hint)).toContain(why)
      expect(await issuersOf(stage.peer, mount)).toHaveLength(before)
    },
  )
})

/** Valid by Rekey's clock too, which is ahead by then. */
function fresh(more: object = {}): object {
  return { ttl: '8760h', ...more }
}
