// A system whose TLS certificate nobody vouches for: what a proxy that opens TLS looks like, or an impostor.

import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { selfSigned } from '#test/peers/azure/der.ts'

export interface Untrusted {
  readonly address: string
  /** How many requests got as far as it. */
  readonly requests: () => number
  readonly stop: () => Promise<void>
}

export const startUntrusted = async (): Promise<Untrusted> => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  let requests = 0
  const server = createServer(
    {
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      cert: selfSigned({ key, commonName: 'localhost' }).pem,
    },
    (_request, response) => {
      requests += 1
      response.writeHead(200).end('{}')
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
