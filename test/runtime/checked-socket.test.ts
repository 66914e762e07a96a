import { createServer, type Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CheckedSocket } from '#runtime/checked-socket.ts'
import { makeEgress } from '#runtime/egress.ts'

let server: Server
let port: number
beforeAll(async () => {
  server = createServer((socket) => socket.end('hello'))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

const socketFor = (
  answers: readonly (readonly string[])[],
  scheme: 'tcp:' | 'tls:' = 'tls:',
  insecure = false,
) => {
  let asked = 0
  const lookupAll = async () => answers[Math.min(asked++, answers.length - 1)] ?? []
  const egress = makeEgress({ allow: [], lookupAll })
  return { socket: new CheckedSocket({ egress, scheme, insecure }), asked: () => asked }
}

/** What the server says, or what kept the socket from it. */
const outcome = (socket: CheckedSocket): Promise<string> =>
  new Promise((resolve) => {
    socket.on('data', (bytes) => resolve(bytes.toString()))
    socket.on('error', (error) => resolve(error.message))
  })

test('a name is resolved once, and the address that was checked is the one that is dialled', async () => {
  const { socket, asked } = socketFor([['127.0.0.1'], ['169.254.169.254']])
  const said = outcome(socket)
  socket.connect(port, 'db.example.com')
  expect(await said).toBe('hello')
  expect(asked()).toBe(1)
})

test('of several checked addresses one that answers is found', async () => {
  const { socket } = socketFor([['::1', '127.0.0.1']])
  const said = outcome(socket)
  let connected = 0
  socket.connect({ port, host: 'db.example.com' }, () => (connected += 1))
  expect(await said).toBe('hello')
  expect(connected).toBe(1)
})

test.each([
  [['169.254.169.254'], 'tls:', true],
  [['10.0.0.1', '169.254.169.254'], 'tls:', false],
  [['10.0.0.1'], 'tcp:', false],
] as const)('%j by %s, insecure %s, is not dialled', async (answer, scheme, insecure) => {
  const { socket } = socketFor([answer], scheme, insecure)
  const said = outcome(socket)
  socket.connect(port, 'db.example.com')
  expect(await said).toContain('Rekey does not connect to db.example.com')
  expect(socket.destroyed).toBe(true)
})

test('an address that is written out is checked as a name is', async () => {
  const { socket } = socketFor([[]])
  const said = outcome(socket)
  socket.connect(port, '169.254.169.254')
  expect(await said).toContain('metadata')
})

test('a socket of this machine is not a host', async () => {
  const { socket } = socketFor([['127.0.0.1']])
  const said = outcome(socket)
  socket.connect('/tmp/.s.PGSQL.5432')
  expect(await said).toContain('connects to a host')
})

test.each([
  ['tcp://127.0.0.1:5432', true],
  ['tcp://LOCALHOST:5432', true],
  ['tcp://[::1]:5432', true],
  ['tcp://db.example.com:5432', false],
  ['tcp://10.0.0.1:5432', false],
  ['tls://10.0.0.1:5432', true],
  ['tls://169.254.169.254:5432', false],
])('%s may be dialled: %s', (url, may) => {
  const check = () => makeEgress({ allow: [] }).checkUrl(url, 'provider', { insecure: false })
  if (may) check()
  else expect(check).toThrow()
})
