// An issuer of JWTs on loopback: keys of its own, a discovery document and a key set, and whatever a test wants it to answer.
// People log in at it by authorization code with PKCE, and it is strict: a client and a redirect address that it knows letter
// for letter, S256, a code that is good once and for a minute, with the verifier of its challenge.

import { createHash, randomUUID } from 'node:crypto'
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

interface Client {
  /** Patterns for native apps, whose port is free (RFC 8252 7.3). */
  readonly redirectUris: readonly (string | RegExp)[]
  /** Null: a public one. */
  readonly secret: string | null
}

interface Grant {
  readonly asks: Readonly<Record<string, string>>
  readonly at: number
  spent: boolean
}

const isThe = (known: string | RegExp, uri: string): boolean =>
  typeof known === 'string' ? known === uri : known.test(uri)

/** What a request for a code must say. */
const mustAsk: Readonly<Record<string, RegExp>> = {
  response_type: /^code$/,
  scope: /(?:^| )openid(?: |$)/,
  state: /^.{16,}$/,
  nonce: /^.{16,}$/,
  code_challenge: /^[A-Za-z0-9_-]{43}$/,
  code_challenge_method: /^S256$/,
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
    const answer =
      answers.get(path) ??
      answers.get(path.split('?', 1)[0] ?? '') ??
      json({ error: 'not found' }, 404)
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
  const document = {
    issuer: url,
    jwks_uri: `${url}/keys`,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic'],
    authorization_response_iss_parameter_supported: true,
  }
  answers.set(discovery, json(document))
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

  const clients = new Map<string, Client>()
  const person: Record<string, unknown> = { sub: 'ada' }
  const idToken = {
    /** What the next ID tokens say otherwise, and how they are headed. */
    more: {} as Readonly<Record<string, unknown>>,
    head: {} as Parameters<typeof sign>[1],
    /** Instead of a signed one. */
    raw: null as ((claims: Readonly<Record<string, unknown>>) => string) | null,
  }
  const codes = new Map<string, Grant>()
  answers.set('/authorize', (request, reply) => {
    const asks = Object.fromEntries(new URL(request.url ?? '', url).searchParams)
    const client = clients.get(asks['client_id'] ?? '')
    const fault =
      client === undefined ||
      !client.redirectUris.some((known) => isThe(known, asks['redirect_uri'] ?? ''))
        ? 'client'
        : Object.entries(mustAsk).find(([name, form]) => !form.test(asks[name] ?? ''))?.[0]
    if (fault !== undefined) return json({ error: 'invalid_request', fault }, 400)(request, reply)
    const code = randomUUID()
    codes.set(code, { asks, at: seconds(), spent: false })
    const back = new URL(asks['redirect_uri'] ?? '')
    for (const [name, value] of Object.entries({ code, state: asks['state'], iss: url }))
      back.searchParams.set(name, value ?? '')
    // As Keycloak does.
    back.searchParams.set('session_state', 's')
    reply.writeHead(302, { location: back.href }).end()
    return undefined
  })
  answers.set('/token', (request, reply) => {
    const exchange = async (): Promise<void> => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const sent = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))
      const basic = Buffer.from(request.headers.authorization?.slice(6) ?? '', 'base64').toString()
      const [named = '', secret = null] = basic === '' ? [sent['client_id']] : basic.split(':')
      if (clients.get(named)?.secret !== secret)
        return json({ error: 'invalid_client' }, 401)(request, reply)
      const grant = codes.get(sent['code'] ?? '')
      const challenge = createHash('sha256')
        .update(sent['code_verifier'] ?? '')
        .digest('base64url')
      const holds =
        grant !== undefined &&
        !grant.spent &&
        seconds() - grant.at <= 60 &&
        sent['grant_type'] === 'authorization_code' &&
        grant.asks['client_id'] === named &&
        grant.asks['redirect_uri'] === sent['redirect_uri'] &&
        grant.asks['code_challenge'] === challenge
      if (!holds) return json({ error: 'invalid_grant' }, 400)(request, reply)
      grant.spent = true
      const claims = { aud: named, nonce: grant.asks['nonce'], ...person, ...idToken.more }
      json({
        access_token: randomUUID(),
        token_type: 'Bearer',
        id_token: idToken.raw?.(claims) ?? (await sign(claims, idToken.head)),
      })(request, reply)
    }
    void exchange()
  })

  return {
    url,
    asked,
    clients,
    person,
    idToken,
    document,
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
    /** From now on it answers at `path` as it does, but not before `go`; `asked`: somebody waits. */
    hold: (path: string): { readonly asked: Promise<void>; readonly go: () => void } => {
      const [begun, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const usual = answers.get(path) ?? json({ error: 'not found' }, 404)
      answers.set(path, (request, reply) => {
        begun.resolve()
        void told.promise.then(() => usual(request, reply))
      })
      return { asked: begun.promise, go: told.resolve }
    },
    restore: async (): Promise<void> => {
      answers.set(discovery, json(document))
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
