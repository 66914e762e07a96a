import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { vault } from '#providers/vault/provider.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { failure } from '#test/contract/bench.ts'
import { refText } from '#test/contract/vault-peer.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { peer as need } from '#test/support/peers.ts'
import { call, done, open, order, putSecret, secretAt, tokenWith } from './bench.ts'

need('vault').describe('vault.kv2.secret', () => {
  let peer: VaultPeer
  let session: Session

  beforeAll(async () => {
    peer = await startVault()
    session = open(peer.address, peer.token)
  })
  afterAll(async () => {
    await session?.close()
    await peer?.stop()
  })

  const dataOf = async (path: string): Promise<unknown> =>
    (await peer.api('GET', `secret/data/${path}`)).data['data']

  test('minting changes the field and keeps the others, of any type', async () => {
    const others = { username: 'app', port: 5432, tls: { ca: ['a', 'b'] }, empty: null }
    const object = await putSecret(peer, { ...others, password: 'old' })
    await session.mint(await order(session, object, '1', 'new'), call())
    expect(await dataOf(refText(object, 'path'))).toEqual({ ...others, password: 'new' })
  })

  test('a field that another writer adds between reading and writing is not lost: it is a conflict', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const path = refText(object, 'path')
    const prepared = await order(session, object, '1')
    await peer.api('POST', `secret/data/${path}`, { data: { password: 'old', added: 'x' } })
    expect(await failure(session.mint(prepared, call()))).toMatchObject({ kind: 'conflict' })
    expect(await dataOf(path)).toEqual({ password: 'old', added: 'x' })
  })

  test('a version that somebody deletes between reading and writing is a conflict: its fields are not dropped', async () => {
    const object = await putSecret(peer, { password: 'old', username: 'app' })
    const path = refText(object, 'path')
    const prepared = await order(session, object, '1')
    await peer.api('POST', `secret/delete/${path}`, { versions: [1] })
    expect(await failure(session.mint(prepared, call()))).toMatchObject({
      kind: 'conflict',
      effect: 'none',
    })
    await peer.api('POST', `secret/undelete/${path}`, { versions: [1] })
    await session.mint(prepared, call())
    expect(await dataOf(path)).toMatchObject({ username: 'app' })
  })

  test('a call ends with its signal, even over a fetch that does not', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const deaf = open(peer.address, peer.token, {
      ports: { fetch: () => new Promise(() => undefined) },
    })
    const error = await failure(deaf.describe(object, call({ signal: AbortSignal.timeout(100) })))
    expect(error).toMatchObject({ kind: 'timeout', effect: 'none' })
  })

  describe('a version that Rekey did not write', () => {
    test('with our value in it is the new carrier', async () => {
      const object = await putSecret(peer, { password: 'ours', username: 'a' })
      await putSecret(peer, { password: 'ours', username: 'b' }, refText(object, 'path'))
      const { preImage } = await session.prepare(object, '1', call())
      expect(preImage).toMatchObject({ version: 2, carriers: ['2'] })
    })

    test('with another value stops the preparation', async () => {
      const object = await putSecret(peer, { password: 'ours' })
      await putSecret(peer, { password: 'theirs' }, refText(object, 'path'))
      const error = await failure(session.prepare(object, '1', call()))
      expect(error).toMatchObject({ kind: 'conflict', effect: 'none' })
      expect(error.hint).toContain('with version 2')
    })

    test('stops the preparation when Rekey’s own version is gone: it cannot be compared', async () => {
      const object = await putSecret(peer, { password: 'ours' })
      const path = refText(object, 'path')
      await peer.api('POST', `secret/metadata/${path}`, { max_versions: 1 })
      await putSecret(peer, { password: 'ours' }, path)
      expect(await failure(session.prepare(object, '1', call()))).toMatchObject({
        kind: 'conflict',
      })
    })
  })

  test('the plan says when Vault keeps too few versions, or deletes them by itself', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const path = `secret/metadata/${refText(object, 'path')}`
    const risks = async (): Promise<string> =>
      (await session.prepare(object, '1', call())).risks.join(' ')
    expect(await risks()).toBe('')
    await peer.api('POST', path, { max_versions: 1 })
    expect(await risks()).toContain('keeps one version')
    await peer.api('POST', path, { max_versions: 2, delete_version_after: '72h' })
    expect(await risks()).toContain('keeps two versions')
    expect(await risks()).toContain('72h0m0s after it was written')
  })

  test('without a limit of its own the mount’s counts, asked for once a minute, and ten without one', async () => {
    await peer.api('POST', 'sys/mounts/few', { type: 'kv', options: { version: '2' } })
    await expect
      .poll(() =>
        peer.api('GET', 'few/config').then(
          (r) => r.status,
          () => 0,
        ),
      )
      .toBe(200)
    const object = await putSecret(peer, { password: 'old' }, 'x', 'few')
    let later = 0
    const ofItsOwn = open(peer.address, peer.token, {
      ports: { now: () => new Date(Date.now() + later) },
    })
    const kept = async (): Promise<unknown> =>
      (await ofItsOwn.describe(object, call())).facts['versionsKept']
    expect(await kept()).toBe(10)
    await peer.api('POST', 'few/config', { max_versions: 2 })
    expect(await kept()).toBe(10)
    later = 60_000
    expect(await kept()).toBe(2)
    await ofItsOwn.close()
  })

  test('a version that Vault will delete later is enabled until then', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const path = refText(object, 'path')
    await peer.api('POST', `secret/metadata/${path}`, { delete_version_after: '1h' })
    await putSecret(peer, { password: 'old' }, path)
    expect(await session.stateOf(object, '2', call())).toBe('enabled')
    const later = open(peer.address, peer.token, {
      ports: { now: () => new Date(Date.now() + 2 * 3_600_000) },
    })
    expect(await later.stateOf(object, '2', call())).toBe('disabled')
  })

  test('what readers get is switched off only by an incident', async () => {
    const object = await putSecret(peer, { password: 'old' })
    await putSecret(peer, { password: 'leaked' }, refText(object, 'path'))
    for (const work of [
      () => session.suspend(object, '2', call()),
      () => session.retire(object, '2', 'disable', call()),
      () => session.retire(object, '2', 'destroy', call()),
    ]) {
      expect(await failure(work())).toMatchObject({ kind: 'precondition', effect: 'none' })
    }
    await session.suspend(object, '2', call({ incident: true }))
    expect(await session.stateOf(object, '2', call())).toBe('disabled')
  })

  test('after an incident has switched off the current version, the next one can be minted', async () => {
    const object = await putSecret(peer, { password: 'leaked' })
    await session.suspend(object, '1', call({ incident: true }))
    const next = await order(session, object, '1', 'fresh').catch((error: unknown) => error)
    // Rekey's version is still the current one, switched off: that is nobody else's write.
    expect(next).not.toBeInstanceOf(Error)
    const { risks } = await session.prepare(object, '1', call())
    expect(risks.join()).toContain('current version is deleted')
    const { providerVersion } = await session.mint(
      next as Awaited<ReturnType<typeof order>>,
      call(),
    )
    expect(await dataOf(refText(object, 'path'))).toEqual({ password: 'fresh' })
    expect(providerVersion).toBe('2')
  })

  test('a version is not refused while the current one holds the same value', async () => {
    const object = await putSecret(peer, { password: 'same' })
    await putSecret(peer, { password: 'same' }, refText(object, 'path'))
    await session.suspend(object, '1', call())
    const refused = (material: string | null): ReturnType<Session['verify']> =>
      session.verify(
        {
          object,
          providerVersion: '1',
          material: material === null ? null : new Secret(material),
          how: 'refused',
          preImage: {},
        },
        call(),
      )
    expect(await refused('same')).toMatchObject({ ok: false })
    expect(await refused('other')).toMatchObject({ ok: true })
  })

  test('a KV version 1 engine is told apart before anything is written', async () => {
    await peer.api('POST', 'sys/mounts/old', { type: 'kv', options: { version: '1' } })
    const object = secretAt('app', { mount: 'old' })
    const error = await failure(session.prepare(object, null, call()))
    expect(error).toMatchObject({ kind: 'precondition', effect: 'none' })
    expect(error.hint).toContain('ref.mount')
    expect((await peer.api('GET', 'old/data/app')).status).toBe(404)
  })

  test('an engine that is not there is named', async () => {
    const error = await failure(session.describe(secretAt('app', { mount: 'nowhere' }), call()))
    expect(error).toMatchObject({ kind: 'notFound', effect: 'none' })
  })

  test('a missing right is found before the write, and named', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const path = refText(object, 'path')
    const reader = await tokenWith(
      peer,
      `path "secret/metadata/${path}" { capabilities = ["read"] }
       path "secret/data/${path}" { capabilities = ["read"] }`,
    )
    const error = await failure(open(peer.address, reader).prepare(object, '1', call()))
    expect(error).toMatchObject({
      kind: 'forbidden',
      effect: 'none',
      hint: `needs update on secret/data/${path}`,
    })
  })

  test('the field must be there, and hold text', async () => {
    const object = await putSecret(peer, { other: 'x' })
    expect(await failure(session.describe(object, call()))).toMatchObject({ kind: 'notFound' })
    const number = await putSecret(peer, { password: 42 })
    expect(await failure(session.readMaterial(number, '1', call()))).toMatchObject({
      kind: 'notFound',
    })
  })

  test('material that is not text is not written', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const prepared = {
      ...(await order(session, object, '1')),
      material: new Secret(new Uint8Array([0xff, 0xfe])),
    }
    expect(await failure(session.mint(prepared, call()))).toMatchObject({
      kind: 'precondition',
      effect: 'none',
    })
  })

  test('Vault’s audit log carries our operation id, and nothing secret', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const planted = `planted-${randomBytes(12).toString('hex')}`
    const prepared = await order(session, object, '1', planted)
    await session.mint(prepared, call({ operationId: prepared.operationId }))
    const lines = peer
      .auditLog()
      .filter((l) => l.request.headers?.['correlation-id']?.includes(prepared.operationId))
    expect(lines.length).toBeGreaterThan(0)
    expect(lines[0]?.request.headers?.['user-agent']).toEqual(['rekey'])
    expect(peer.auditText()).not.toContain(planted)
  })

  test('the probe says foreign when the version after ours cannot be read any more', async () => {
    const object = await putSecret(peer, { password: 'old' })
    const prepared = await order(session, object, '1')
    await session.mint(prepared, call())
    await peer.api('POST', `secret/delete/${refText(object, 'path')}`, { versions: [2] })
    expect(await session.probeMint(prepared, call())).toMatchObject({ answer: 'foreign' })
    await peer.api('DELETE', `secret/metadata/${refText(object, 'path')}`)
    expect(await session.probeMint(prepared, call())).toMatchObject({ answer: 'foreign' })
    await putSecret(peer, { password: 'again' }, refText(object, 'path'))
    expect(
      await session.probeMint({ ...prepared, preImage: { version: 3 } }, call()),
    ).toMatchObject({ answer: 'foreign' })
  })

  test('publishing writes a known value, to a path that is new too', async () => {
    const object = secretAt(`published/${randomUUID()}`)
    const first = await order(session, object, null, 'value-1')
    expect((await session.mint(first, call())).providerVersion).toBe('1')
    const second = await order(session, object, '1', 'value-2')
    expect((await session.mint(second, call())).providerVersion).toBe('2')
    expect(await dataOf(refText(object, 'path'))).toEqual({ password: 'value-2' })
    expect(done(peer, `secret/data/${refText(object, 'path')}`, 'create')).toBe(1)
  })

  test('publishing to a secret that others use adds the field, once, and leaves theirs alone', async () => {
    const object = await putSecret(peer, { username: 'app' })
    const path = refText(object, 'path')
    expect(await failure(session.describe(object, call()))).toMatchObject({ kind: 'notFound' })
    const first = { ...(await order(session, object, null, 'value')), preImage: { previous: null } }
    expect(await session.probeMint(first, call())).toEqual({ answer: 'absent' })
    expect((await session.create(first, call())).providerVersion).toBe('2')
    expect((await session.create(first, call())).providerVersion).toBe('2')
    expect(await session.probeMint(first, call())).toMatchObject({ answer: 'ours' })
    expect(await dataOf(path)).toEqual({ username: 'app', password: 'value' })
    const other = { ...first, material: new Secret('another') }
    expect(await session.probeMint(other, call())).toMatchObject({ answer: 'foreign' })
    expect(await failure(session.create(other, call()))).toMatchObject({ kind: 'conflict' })
    // Taking it away again would take their fields from the readers.
    expect(await failure(session.retire(object, '2', 'destroy', call()))).toMatchObject({
      kind: 'precondition',
    })
  })

  test('of a field that two make at once, one is made', async () => {
    const object = await putSecret(peer, { username: 'app' })
    const orders = ['a', 'b'].map((text) => ({
      ...{ object, operationId: text, preImage: {}, generate: {} },
      material: new Secret(text),
    }))
    const results = await Promise.allSettled(orders.map((one) => session.create(one, call())))
    expect(results.map((result) => result.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect((await session.describe(object, call())).versions).toHaveLength(2)
  })

  test('what Rekey alone has made can be taken away again', async () => {
    const object = secretAt(`made/${randomUUID()}`)
    const made = {
      object,
      operationId: 'x',
      preImage: {},
      generate: {},
      material: new Secret('value'),
    }
    await session.create(made, call())
    await session.retire(object, '1', 'destroy', call())
    expect(await session.stateOf(object, '1', call())).toBe('destroyed')
    // And made again: nothing is handed out there.
    expect(
      (await session.create({ ...made, material: new Secret('again') }, call())).providerVersion,
    ).toBe('2')
  })

  test('over the house’s own HTTP client it mints, and metadata services are never dialled', async () => {
    const egress = makeEgress({ allow: [] })
    const http = makeSafeFetch({ egress, kind: 'provider', insecure: true })
    const object = await putSecret(peer, { password: 'old' })
    const through = open(peer.address, peer.token, { ports: { fetch: http.fetch } })
    expect((await through.mint(await order(through, object, '1'), call())).providerVersion).toBe(
      '2',
    )
    const metadata = open('http://169.254.169.254', peer.token, { ports: { fetch: http.fetch } })
    const error = await failure(metadata.describe(object, call()))
    expect(error).toMatchObject({ kind: 'permanent', effect: 'none' })
    expect(error.hint).toContain('never dialled')
    await http.close()
  })

  test('the inventory names the field where there is one, and leaves it to a person where there are several', async () => {
    const [one, two] = [`inv/${randomUUID()}`, `inv/${randomUUID()}`]
    await putSecret(peer, { password: 'a' }, one)
    await putSecret(peer, { password: 'a', username: 'b' }, two)
    const found = new Map<unknown, unknown>()
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<Session['inventory']>> = await session.inventory(
        'vault.kv2.secret',
        cursor,
        call(),
      )
      for (const item of page.items) found.set(item.ref['path'], item)
      cursor = page.next
    } while (cursor !== null)
    expect(found.get(one)).toMatchObject({ ref: { mount: 'secret', path: one, field: 'password' } })
    expect(found.get(two)).toMatchObject({
      ref: { mount: 'secret', path: two },
      facts: { fields: ['password', 'username'] },
    })
  })

  describe('with variables of another Vault in the environment', () => {
    const names = ['VAULT_ADDR', 'VAULT_TOKEN', 'VAULT_NAMESPACE', 'VAULT_PREFIX'] as const
    afterEach(() => {
      for (const name of names) delete process.env[name]
    })

    test('nothing of it is used', async () => {
      const object = await putSecret(peer, { password: 'old' })
      for (const name of names) process.env[name] = '/elsewhere'
      const sent: Headers[] = []
      const urls: string[] = []
      const watched = open(peer.address, peer.token, {
        ports: {
          fetch: (input, init) => {
            urls.push(new Request(input, { method: 'GET' }).url)
            sent.push(new Headers(init?.headers))
            return fetch(input, init)
          },
        },
      })
      await watched.describe(object, call())
      expect(urls.every((url) => url.startsWith(`${peer.address}/v1/`))).toBe(true)
      expect(sent.every((headers) => headers.get('x-vault-token') === peer.token)).toBe(true)
      expect(sent.some((headers) => headers.has('x-vault-namespace'))).toBe(false)
    })
  })
})

describe('object ids of vault', () => {
  const kv2 = vault.types.find((type) => type.type === 'vault.kv2.secret')
  const id = (settings: object, ref: object): string =>
    kv2?.objectId({
      settings: {
        address: 'https://vault.example.com:8200',
        auth: { method: 'token' },
        ...settings,
      },
      ref: { mount: 'secret', path: 'app/db', field: 'password', ...ref },
      keyName: 'k',
    }) ?? ''

  test('do not depend on how address, namespace, mount and path are spelt', () => {
    expect(id({}, {})).toBe('vault.kv2.secret:vault.example.com:8200/secret/app/db')
    expect(id({ address: 'HTTPS://Vault.Example.com:8200/' }, {})).toBe(id({}, {}))
    expect(id({ address: 'https://vault.example.com' }, {})).toBe(
      id({ address: 'https://vault.example.com:443' }, {}),
    )
    expect(id({}, { mount: '/secret/', path: '/app/db/' })).toBe(id({}, {}))
    expect(id({ namespace: 'root' }, {})).toBe(id({}, {}))
    expect(id({ namespace: '/a/' }, {})).toBe(id({}, { mount: 'a/secret' }))
    expect(id({}, { field: 'other' })).toBe(id({}, {}))
  })

  test('differ where the objects do', () => {
    const ids = [
      id({}, {}),
      id({ namespace: 'a' }, {}),
      id({}, { path: 'app/db2' }),
      id({}, { path: 'app%2Fdb' }),
      id({}, { mount: 'kv' }),
      id({ address: 'https://vault.example.com:8201' }, {}),
    ]
    expect(new Set(ids).size).toBe(ids.length)
  })
})
