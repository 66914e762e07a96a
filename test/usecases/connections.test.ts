import { mkdtemp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import { shownCredential } from '#usecases/put-connection.ts'
import { checkConnection } from '#usecases/check-connection.ts'
import { inventoryConnection } from '#usecases/inventory-connection.ts'
import {
  actorOf,
  admin,
  codeOf,
  type House,
  openHouse,
  operator,
  refusal,
  scoped,
} from '../support/house.ts'

let house: House
let directory: string

const vaultAt = (address: string) => ({ address, auth: { method: 'token' } })

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'rekey-credentials-')))
  await writeFile(join(directory, 'token'), 'hvs.from-a-file\n')
  await mkdir(join(directory, 'sub'))
  await writeFile(join(directory, 'sub', 'token'), 'hvs.deeper')
  const outside = await mkdtemp(join(tmpdir(), 'rekey-outside-'))
  await writeFile(join(outside, 'secret'), 'not yours')
  await symlink(join(outside, 'secret'), join(directory, 'link'))
  await symlink(outside, join(directory, 'linked'))
  house = await openHouse({
    credentialsDir: directory,
    env: {
      REKEY_CREDENTIAL_VAULT: 'hvs.from-the-environment',
      REKEY_CREDENTIAL_VAULT_HOSTS: 'vault.example.com, 127.0.0.1:8200',
      REKEY_CREDENTIAL_LOOSE: 'hvs.bound-to-no-host',
    },
  })
  await house.connection('vault')
})
afterAll(() => house.shut())

const putVault = (name: string, credential: object, address = 'https://vault.example.com') =>
  house.connection(name, {
    provider: 'vault',
    settings: vaultAt(address),
    credential: credential as never,
  })

describe('writing a connection', () => {
  test('unknown settings are refused with a pointer to each', async () => {
    const error = await refusal(
      house.connection('bad', {
        provider: 'vault',
        settings: { ...vaultAt('https://v.example.com'), adress: 'x' },
      }),
    )
    expect(error.code).toBe('request.invalid')
    expect(error.places.map((place) => place.pointer)).toContain('/settings/adress')
  })

  test('a provider that does not exist is refused, and the known ones are named', async () => {
    const error = await refusal(house.connection('bad', { provider: 'vualt' }))
    expect(error.code).toBe('request.invalid')
    expect(error.hint).toContain('vault')
  })

  test('a stored credential is never shown, not in the reply, not in the audit log', async () => {
    const { value } = await putVault('stored', { from: 'value', value: 'hvs.PLANTED-SECRET' })
    expect(shownCredential(value.resource.credential)).toEqual({ from: 'value' })
    const events = await house.events({ action: 'connection.put' })
    expect(JSON.stringify(events)).not.toContain('PLANTED')
    const rows = await house.sql(`SELECT c::text AS row FROM app.connection c`)
    expect(JSON.stringify(rows)).not.toContain('PLANTED')
  })

  test('putting the same again makes no new revision, also with the credential sent again', async () => {
    const first = await putVault('same', { from: 'value', value: 'hvs.same' })
    const put = (credential: object) =>
      house.connection(
        'same',
        {
          provider: 'vault',
          settings: vaultAt('https://vault.example.com'),
          credential: credential as never,
        },
        admin,
        {
          match: [1],
          absent: false,
        },
      )
    const kept = await put({ from: 'value' })
    const sent = await put({ from: 'value', value: 'hvs.same' })
    expect([first.value.changed, kept.value.changed, sent.value.changed]).toEqual([
      true,
      false,
      false,
    ])
    expect(sent.value.resource.revision).toBe(1)
  })

  test('a re-pointed connection does not keep its credential', async () => {
    await putVault('pointed', { from: 'value', value: 'hvs.for-the-real-vault' })
    const repoint = (settings: object) =>
      house.connection(
        'pointed',
        { provider: 'vault', settings: settings as never, credential: { from: 'value' } },
        admin,
        { match: 'any', absent: false },
      )
    const error = await refusal(repoint(vaultAt('https://attacker.example.com')))
    expect(error.code).toBe('request.impossible')
    expect(error.places[0]?.pointer).toBe('/credential/value')
    const otherAuth = {
      address: 'https://vault.example.com',
      auth: { method: 'token', mount: 'other' },
    }
    expect(await codeOf(repoint(otherAuth))).toMatch(/request\.(impossible|invalid)/)
    const stored = await house.ledger.read((db) => db.connections.get('pointed'))
    expect(stored?.settings['address']).toBe('https://vault.example.com')
  })

  test('a replaced credential is erased', async () => {
    const { value } = await putVault('rolled', { from: 'value', value: 'hvs.old' })
    const { credential } = value.resource
    await house.connection(
      'rolled',
      {
        provider: 'vault',
        settings: vaultAt('https://vault.example.com'),
        credential: { from: 'value', value: 'hvs.new' },
      },
      admin,
      { match: [1], absent: false },
    )
    const sealedId = credential.from === 'value' ? credential.sealedId : ''
    expect(await house.ledger.read((db) => db.sealed.open(sealedId))).toBeNull()
  })

  test('replacing unseen is 428, a stale revision 412, creating over an existing one 412', async () => {
    await house.connection('seen')
    expect(await codeOf(house.connection('seen'))).toBe('precondition.required')
    expect(await codeOf(house.connection('seen', {}, admin, { match: [7], absent: false }))).toBe(
      'precondition.failed',
    )
    expect(await codeOf(house.connection('seen', {}, admin, { match: null, absent: true }))).toBe(
      'precondition.failed',
    )
  })

  test.each([
    ['http://vault.example.com', 'plain http beyond loopback'],
    ['https://169.254.169.254', 'the metadata service'],
    ['https://[fe80::1]', 'link-local'],
    ['https://[::ffff:169.254.169.254]', 'the metadata service as a mapped address'],
    ['https://user:password@vault.example.com', 'a password in the address'],
  ])('the address %s is refused: %s', async (address) => {
    expect(await codeOf(putVault('bad', { from: 'none' }, address))).toMatch(
      /connection\.unusable|request\.invalid/,
    )
  })

  test('loopback and private addresses are for providers', async () => {
    expect((await putVault('loop', { from: 'none' }, 'http://127.0.0.1:8200')).value.created).toBe(
      true,
    )
    expect((await putVault('private', { from: 'none' }, 'https://10.1.2.3')).value.created).toBe(
      true,
    )
  })
})

describe('credentials', () => {
  test('from the environment only by its prefix, and only to the hosts that it names', async () => {
    expect(
      (await putVault('env', { from: 'env', name: 'REKEY_CREDENTIAL_VAULT' })).value.created,
    ).toBe(true)
    expect(
      (
        await putVault(
          'env-port',
          { from: 'env', name: 'REKEY_CREDENTIAL_VAULT' },
          'http://127.0.0.1:8200',
        )
      ).value.created,
    ).toBe(true)
    for (const [name, address] of [
      ['PATH', 'https://vault.example.com'],
      ['REKEY_DATABASE_URL', 'https://vault.example.com'],
      ['REKEY_CREDENTIAL_VAULT_HOSTS', 'https://vault.example.com'],
      ['REKEY_CREDENTIAL_VAULT', 'https://attacker.example.com'],
      ['REKEY_CREDENTIAL_VAULT', 'http://127.0.0.1:8201'],
      ['REKEY_CREDENTIAL_LOOSE', 'https://vault.example.com'],
      ['REKEY_CREDENTIAL_ABSENT', 'https://vault.example.com'],
    ] as const) {
      const credential = { from: 'env', name }
      expect([name, address, await codeOf(putVault('bad', credential, address))]).toEqual([
        name,
        address,
        'connection.unusable',
      ])
    }
  })

  test('from files only below the directory, by the real path', async () => {
    expect((await putVault('file', { from: 'file', path: 'token' })).value.created).toBe(true)
    expect(
      (await putVault('file-deep', { from: 'file', path: join(directory, 'sub', 'token') })).value
        .created,
    ).toBe(true)
    for (const path of [
      '../x',
      '/etc/passwd',
      'sub/../../x',
      'link',
      'linked/secret',
      'absent',
      'sub',
      '',
      '.',
      'token\0.txt',
    ]) {
      if (path === '') continue
      expect([path, await codeOf(putVault('bad', { from: 'file', path }))]).toEqual([
        path,
        'connection.unusable',
      ])
    }
  })

  test("the host's own credentials only when they are enabled", async () => {
    expect(await codeOf(putVault('bad', { from: 'default' }))).toBe('connection.unusable')
  })

  test('from a key only when the key allows the connection', async () => {
    await house.register('vault-token', { usableBy: ['from-key'] })
    expect((await putVault('from-key', { from: 'key', key: 'vault-token' })).value.created).toBe(
      true,
    )
    expect(await codeOf(putVault('from-key-2', { from: 'key', key: 'vault-token' }))).toBe(
      'connection.unusable',
    )
    const absent = await refusal(putVault('from-key-2', { from: 'key', key: 'absent' }))
    expect(absent.code).toBe('connection.unusable')
  })

  test('a credential does not lead in a circle', async () => {
    await house.connection('ring-a', { provider: 'local' })
    await house.register('ring-key', { connection: 'ring-a', usableBy: ['ring-b', 'ring-a'] })
    const circle = house.connection(
      'ring-a',
      { provider: 'local', credential: { from: 'key', key: 'ring-key' } },
      admin,
      { match: 'any', absent: false },
    )
    expect(await codeOf(circle)).toBe('connection.unusable')
  })

  test('the primary version of the key is what is sent, and a provider that takes none gets none', async () => {
    const seen: string[] = []
    const server = createServer((request, reply) => {
      seen.push(String(request.headers['x-vault-token']))
      reply.setHeader('content-type', 'application/json')
      reply.statusCode = 404
      reply.end('{"errors":[]}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as AddressInfo
      await house.register('sent-token', { usableBy: ['sending'] })
      await putVault('sending', { from: 'key', key: 'sent-token' }, `http://127.0.0.1:${port}`)
      await refusal(
        house.register('over-there', {
          connection: 'sending',
          type: 'vault.kv2.secret',
          ref: { mount: 'kv', path: 'a', field: 'b' },
          create: false,
        }),
      )
      const { value } = await house.value('sent-token', admin)
      expect(seen.length).toBeGreaterThan(0)
      expect(new Set(seen)).toEqual(new Set([new TextDecoder().decode(value.reveal())]))
    } finally {
      server.close()
    }
    expect(
      await codeOf(house.connection('local-2', { credential: { from: 'value', value: 'x' } })),
    ).toBe('request.invalid')
  })

  test('taking the right back from a key closes the connection that used it', async () => {
    await house.register('lent', { usableBy: ['borrower'] })
    await putVault('borrower', { from: 'key', key: 'lent' })
    await house.putKey('lent', (body) => ({ ...body, usableBy: [] }))
    const connection = await house.ledger.read((db) => db.connections.get('borrower'))
    expect(connection).not.toBeNull()
    if (connection)
      expect(await codeOf(house.sessions.open(connection))).toBe('connection.unusable')
  })
})

describe('the life of a connection', () => {
  test('in use it is not deleted; then it goes with its credential', async () => {
    await house.connection('used')
    await house.register('user', { connection: 'used' })
    const error = await refusal(house.dropConnection('used'))
    expect(error.code).toBe('connection.inUse')
    expect(error.message).toContain('key/user')
    await house.deleteKey('user')
    await house.dropConnection('used')
    expect(await house.ledger.read((db) => db.connections.get('used'))).toBeNull()
  })

  test('out of scope it is not there', async () => {
    const other = scoped({ connections: ['elsewhere'] }, 'admin')
    expect(await codeOf(checkConnection(house.deps)(other, 'vault'))).toBe('resource.notFound')
    expect(await codeOf(house.dropConnection('vault', other))).toBe('resource.notFound')
  })

  test('checks answer with what is wrong, and are recorded', async () => {
    const well = await checkConnection(house.deps)(operator, 'vault')
    expect(well).toMatchObject({ ok: true, items: [{ name: 'reachable', outcome: 'ok' }] })
    await putVault('closed', { from: 'value', value: 'hvs.x' }, 'http://127.0.0.1:9')
    const ill = await checkConnection(house.deps)(operator, 'closed')
    expect(ill.ok).toBe(false)
    const [event] = await house.events({ action: 'connection.checked' })
    expect(event?.outcome).toBe('failed')
  })

  test('that our own database is away is said of it, and not of the connection', async () => {
    const away = () => Promise.reject(new RekeyError('service.unavailable'))
    const checks = () => house.events({ action: 'connection.checked' })
    const before = (await checks()).length
    // The credential is sealed in it, and so are the keys whose rights are asked for.
    const sealed = checkConnection({ ...house.deps, sessions: { open: away } })
    expect(await codeOf(sealed(operator, 'vault'))).toBe('service.unavailable')
    const { ledger } = house.deps
    let reads = 0
    const read: typeof ledger.read = (work) => (++reads > 1 ? away() : ledger.read(work))
    const keys = checkConnection({ ...house.deps, ledger: { ...ledger, read } })
    expect(await codeOf(keys(operator, 'vault'))).toBe('service.unavailable')
    expect(await checks()).toHaveLength(before)
  })

  test('the inventory knows what is managed and what is gone', async () => {
    await house.connection('stock')
    const { value: kept } = await house.register('kept', { connection: 'stock' })
    const { value: lost } = await house.register('lost', { connection: 'stock' })
    await house.vault.remove(lost.id)
    const found = await inventoryConnection(house.deps)(
      operator,
      { name: 'stock' },
      { limit: 50, after: null },
    )
    expect(found.items.map(({ key, state }) => [key, state])).toEqual([
      [kept.name, 'managed'],
      [lost.name, 'gone'],
    ])
    const paged = await inventoryConnection(house.deps)(
      operator,
      { name: 'stock' },
      { limit: 1, after: null },
    )
    expect(paged.items).toHaveLength(1)
    const rest = await inventoryConnection(house.deps)(
      operator,
      { name: 'stock' },
      { limit: 1, after: paged.next },
    )
    expect(rest.items.map(({ key }) => key)).toEqual(['lost'])
    const blind = actorOf('blind', ['operator'], {
      scope: { matchLabels: { team: 'none' }, connections: ['stock'] },
    })
    expect(
      await codeOf(
        inventoryConnection(house.deps)(blind, { name: 'stock' }, { limit: 1, after: null }),
      ),
    ).toBe('resource.notFound')
  })
})
