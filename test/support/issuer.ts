// An issuer of JWTs on loopback: keys of its own, a discovery document and a key set, and whatever a test wants it to answer.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTHeaderParameters } from 'jose'

export type TestIssuer = Awaited<ReturnType<typeof startIssuer>>

type Answer = (request: IncomingMessage, reply: ServerResponse) => void

export const audience = 'rekey.test'

export const json =
  (value: unknown, status = 200): Answer =>
  (_request, reply) => {
    reply.writeHead(status, { 'content-type': 'application/json' })
    reply.end(typeof value === 'string' ? value : JSON.stringify(value))
  }

const discovery = '/.well-known/openid-configuration'

export const startIssuer = async (now: () => Date) => {
  const asked: string[] = []
  const answers = new Map<string, Answer>()
  const sockets = new Set<ServerResponse>()
  const server = createServer((request, reply) => {
    const path = request.url ?? ''
    asked.push(path)
    sockets.add(reply)
    reply.on('close', () => sockets.delete(reply))
    const answer = answers.get(path) ?? json({ error: 'not found' }, 404)
    answer(request, reply)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve())
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const keys = new Map<string, { readonly privateKey: CryptoKey; readonly publicKey: CryptoKey }>()

  const publish = async (): Promise<void> => {
    const jwks = await Promise.all(
      [...keys].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid })),
    )
    answers.set('/keys', json({ keys: jwks }))
  }
  const addKey = async (kid: string, alg = 'ES256'): Promise<void> => {
    keys.set(kid, await generateKeyPair(alg, { extractable: true }))
    await publish()
  }
  answers.set(discovery, json({ issuer: url, jwks_uri: `${url}/keys` }))
  await addKey('k1')

  const seconds = () => Math.floor(now().getTime() / 1000)
  /** Claims and header of a good token, as `more` and `head` change them; a claim that is undefined is left out. */
  const sign = async (
    more: Readonly<Record<string, unknown>> = {},
    head: Partial<JWTHeaderParameters> & { readonly signedWith?: string } = {},
  ): Promise<string> => {
    const { signedWith = 'k1', ...header } = head
    const pair = keys.get(signedWith)
    if (pair === undefined) throw new Error(`no key ${signedWith}`)
    const claims = {
      iss: url,
      aud: audience,
      sub: 'repo:acme/shop',
      iat: seconds(),
      exp: seconds() + 600,
    }
    const given = Object.entries({ ...claims, ...more }).filter(([, value]) => value !== undefined)
    return new SignJWT(Object.fromEntries(given))
      .setProtectedHeader({ alg: 'ES256', kid: signedWith, ...header })
      .sign(pair.privateKey, { crit: { 'urn:x': true } })
  }

  return {
    url,
    asked,
    keys,
    sign,
    seconds,
    addKey,
    /** It signs nothing with it any more, and does not tell of it. */
    dropKey: async (kid: string): Promise<void> => {
      keys.delete(kid)
      await publish()
    },
    answer: (path: '/keys' | 'discovery' | (string & {}), answer: Answer): void =>
      void answers.set(path === 'discovery' ? discovery : path, answer),
    restore: async (): Promise<void> => {
      answers.set(discovery, json({ issuer: url, jwks_uri: `${url}/keys` }))
      await publish()
    },
    close: (): Promise<void> =>
      new Promise((resolve) => {
        for (const reply of sockets) reply.destroy()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
