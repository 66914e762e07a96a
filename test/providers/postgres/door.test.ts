// A server that asks for passwords in another way than by SCRAM, or whoever poses as one.

import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '#domain/secret.ts'
import { postgres } from '#providers/postgres/provider.ts'
import { failure } from '#test/contract/bench.ts'
import { plainPorts } from '#test/contract/peer.ts'

/** AuthenticationRequest: what it asks for, by its number in PostgreSQL's protocol. */
const asking = (how: number, more: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.write('R')
  head.writeInt32BE(8 + more.byteLength, 1)
  head.writeInt32BE(how, 5)
  return Buffer.concat([head, more])
}
const ways = {
  'in clear': asking(3),
  'by MD5': asking(5, Buffer.from('salt')),
} as const

let server: Server
let answer: Buffer = ways['in clear']
let heard = ''
beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(answer))
    socket.on('data', (bytes) => (heard += bytes.toString('latin1')))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
})
afterAll(() => server.close())

test.each(Object.entries(ways))('whoever asks for a password %s gets none', async (way, bytes) => {
  answer = bytes
  heard = ''
  const own = 'the password of the connection'
  const ofUser = new Secret('the-password-of-a-user')
  const session = postgres.connect({
    connection: 'door',
    externalId: 'x',
    settings: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, database: 'd' },
    credential: new Secret(JSON.stringify({ user: 'rekey', password: own })),
    ports: plainPorts(),
  })
  const object = {
    type: 'postgres.user',
    ref: { users: ['app_a', 'app_b'] },
    keyId: 'k',
    keyName: 'k',
  }
  const call = { signal: AbortSignal.timeout(10_000) }
  const errors = [
    await failure(session.describe(object, call), [new Secret(own)]),
    await failure(
      session.verify(
        { object, providerVersion: 'app_a', material: ofUser, how: 'login', preImage: {} },
        call,
      ),
      [ofUser],
    ),
  ]
  for (const error of errors) {
    expect(error).toMatchObject({ kind: 'precondition', effect: 'none' })
    expect([error.message, error.hint].join()).toContain(`passwords ${way}`)
  }
  expect(heard).toContain('rekey')
  for (const secret of [own, ofUser.reveal(), 'md5']) expect(heard).not.toContain(secret)
  await session.close()
})
