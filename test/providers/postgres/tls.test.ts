// The embedded PostgreSQL with TLS: its certificate, and what is said of one that is not to be trusted.

import { generateKeyPairSync } from 'node:crypto'
import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import type { ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { postgres } from '#providers/postgres/provider.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { selfSigned } from '#test/peers/azure/der.ts'
import { startPostgres } from '#test/peers/postgres.ts'

let server: Awaited<ReturnType<typeof startPostgres>>
let object: ObjectAddress
const keyOf = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const authority = { key: keyOf(), commonName: 'rekey test authority' }
const ca = selfSigned(authority).pem
const call = () => ({ signal: AbortSignal.timeout(20_000) })
let directory = ''
let installed: readonly string[] = []

beforeAll(async () => {
  server = await startPostgres()
  const { users } = await server.pair()
  object = { type: 'postgres.user', ref: { users: [...users] }, keyId: 'k', keyName: 'k' }
  const [row] = await server.sql<{ at: string }>(`SELECT current_setting('data_directory') AS at`)
  directory = row?.at ?? ''
})
afterAll(async () => {
  for (const name of ['ssl', 'ssl_cert_file', 'ssl_key_file'])
    await server.sql(`ALTER SYSTEM RESET ${name}`)
  await server.sql('SELECT pg_reload_conf()')
  for (const name of installed) rmSync(join(directory, name), { force: true })
  await server.stop()
})

/** What the server shows to whoever asks for TLS; null: it speaks none. */
const shown = (): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const socket = connect(server.at.port, server.at.host)
    socket.on('error', reject)
    // SSLRequest
    socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]))
    socket.once('data', (said) => {
      if (said.toString() !== 'S') {
        socket.destroy()
        return resolve(null)
      }
      const secure = connectTls({ socket, rejectUnauthorized: false }, () => {
        resolve(secure.getPeerX509Certificate()?.fingerprint256 ?? '')
        secure.destroy()
      })
      secure.on('error', reject)
    })
  })

/** From now on the server has this certificate. */
const install = async (certificate: Omit<Parameters<typeof selfSigned>[0], 'key'>) => {
  const key = keyOf()
  const { pem, thumbprint256 } = selfSigned({ ...certificate, key })
  const owner = statSync(directory)
  const files = {
    'rekey-test.crt': pem,
    'rekey-test.key': key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
  installed = Object.keys(files)
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(directory, name), text, { mode: 0o600 })
    chownSync(join(directory, name), owner.uid, owner.gid)
  }
  await server.sql(`ALTER SYSTEM SET ssl_cert_file = 'rekey-test.crt'`)
  await server.sql(`ALTER SYSTEM SET ssl_key_file = 'rekey-test.key'`)
  await server.sql('ALTER SYSTEM SET ssl = on')
  await server.sql('SELECT pg_reload_conf()')
  const hex = thumbprint256.toString('hex').toUpperCase()
  await expect.poll(shown, { timeout: 30_000 }).toBe(hex.match(/../g)?.join(':'))
  return pem
}

const connected = (host: string, tls: JsonObject): Session =>
  postgres.connect({
    connection: 'tls',
    externalId: 'x',
    settings: { ...server.at, host, tls },
    credential: new Secret(JSON.stringify(server.root)),
    ports: plainPorts(),
  })
/** `ok`, or what a check says. */
const told = async (host: string, tls: JsonObject): Promise<string> => {
  const session = connected(host, tls)
  const [row] = await session.check(call())
  const error = await session.describe(object, call()).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  await session.close()
  if (row?.outcome === 'ok' && error === null) return 'ok'
  expect(error).toMatchObject({ kind: 'precondition', effect: 'none' })
  return `${row?.detail}; ${row?.hint}`
}

test('a server without TLS is told as one, and is not spoken to in clear', async () => {
  expect(await shown()).toBeNull()
  expect(await told('localhost', { mode: 'verify-full', ca })).toMatch(
    /does not speak TLS; switch ssl on/,
  )
})

test('a certificate of the authority for the host: users are found, and log in, by TLS', async () => {
  await install({ commonName: 'db', dns: 'localhost', by: authority })
  expect(await told('localhost', { mode: 'verify-full', ca })).toBe('ok')
  const session = connected('localhost', { mode: 'verify-full', ca })
  await session.describe(object, call())
  const rows = await server.sql(
    `SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = $1 AND a.application_name = 'rekey'`,
    [server.root.user],
  )
  expect(rows).toContainEqual({ ssl: true })
  expect(rows).not.toContainEqual({ ssl: false })
  await session.close()
})

test('for another host: refused with what to do, and taken where only the authority is asked for', async () => {
  expect(await told('127.0.0.1', { mode: 'verify-full', ca })).toMatch(
    /for another host \(ERR_TLS_CERT_ALTNAME_INVALID\); set `host` to a name that it is for/,
  )
  expect(await told('127.0.0.1', { mode: 'verify-ca', ca })).toBe('ok')
})

test('of another authority, or of one that nobody knows: refused in every mode', async () => {
  const other = selfSigned({ key: keyOf(), commonName: 'another authority' }).pem
  for (const mode of ['verify-full', 'verify-ca'])
    for (const tls of [{ mode, ca: other }, { mode }])
      expect(await told('localhost', tls)).toMatch(
        /nobody whom Rekey trusts vouches .*; give the authority that signed it as tls\.ca/,
      )
})

test('one that signed itself is taken where it is named, and nowhere else', async () => {
  const own = await install({ commonName: 'localhost', dns: 'localhost' })
  expect(await told('localhost', { mode: 'verify-full' })).toMatch(
    /\(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
  )
  expect(await told('localhost', { mode: 'verify-full', ca: own })).toBe('ok')
})

test('one that is over is refused, whatever vouches for it', async () => {
  await install({ commonName: 'db', dns: 'localhost', by: authority, days: -1 })
  for (const mode of ['verify-full', 'verify-ca'])
    expect(await told('localhost', { mode, ca })).toMatch(
      /not valid now \(CERT_HAS_EXPIRED\); renew it/,
    )
})
