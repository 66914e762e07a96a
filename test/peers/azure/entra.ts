// Microsoft Entra's token endpoint and discovery (OpenID Connect; OAuth 2.0 client credentials: secret, certificate by RFC 7523,
// federated token), over TLS since MSAL asks nobody else. Errors have the AADSTS numbers of Microsoft's list.

import {
  createHash,
  createVerify,
  constants,
  generateKeyPairSync,
  verify,
  randomUUID,
  X509Certificate,
} from 'node:crypto'
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { selfSigned } from './der.ts'
import type { Application, Principals } from './principals.ts'

export interface Entra {
  /** `https://127.0.0.1:port`. */
  readonly address: string
  /** PEM that a client must trust. */
  readonly ca: string
  readonly tenantId: string
  readonly requests: () => number
  /** What it shall answer from now on: status and AADSTS number. */
  readonly fail: (as: { readonly status: number; readonly code: number } | null) => void
  /** How long a token of it is good; an hour unless told. */
  tokenLifeMs: number
  readonly stop: () => Promise<void>
}

const resources = new Set(['https://vault.azure.net', 'https://managedhsm.azure.net'])

interface Refusal {
  readonly status: number
  readonly error: string
  readonly code: number
}

export const startEntra = async (principals: Principals): Promise<Entra> => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = selfSigned({
    key: privateKey,
    commonName: `stand-in of Entra ${randomUUID()}`,
    ip: '127.0.0.1',
  })
  const tenantId = '0a1b2c3d-0000-4000-8000-000000000001'
  let count = 0
  let failing: { readonly status: number; readonly code: number } | null = null

  const server = createServer(
    { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: certificate.pem },
    (request, response) => {
      void answer(request, response).catch(() => response.destroy())
    },
  )
  const address = (): string => {
    const bound = server.address()
    return `https://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    count += 1
    const [, tenant = '', ...rest] = (request.url ?? '').split('?')[0]?.split('/') ?? []
    const path = rest.join('/')
    if (failing !== null) {
      refuse(response, { ...failing, error: 'invalid_request' })
      return
    }
    if (tenant !== tenantId) {
      refuse(response, { status: 400, error: 'invalid_request', code: 90002 })
      return
    }
    const base = `${address()}/${tenant}`
    if (request.method === 'GET' && path === 'v2.0/.well-known/openid-configuration')
      send(response, 200, {
        issuer: `${base}/v2.0`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        token_endpoint: `${base}/oauth2/v2.0/token`,
        jwks_uri: `${base}/discovery/v2.0/keys`,
      })
    else if (request.method === 'POST' && path === 'oauth2/v2.0/token') {
      const form = new URLSearchParams((await bodyOf(request)).toString())
      const granted = grant(form, `${base}/oauth2/v2.0/token`)
      if ('code' in granted) refuse(response, granted)
      else send(response, 200, granted)
    } else send(response, 404, {})
  }

  const grant = (form: URLSearchParams, endpoint: string): Refusal | object => {
    const applications = principals.of(form.get('client_id') ?? '')
    if (form.get('grant_type') !== 'client_credentials')
      return { status: 400, error: 'unsupported_grant_type', code: 70003 }
    if (applications.length === 0)
      return { status: 400, error: 'unauthorized_client', code: 700016 }
    const scopes = (form.get('scope') ?? '')
      .split(' ')
      .filter((scope) => scope.endsWith('/.default'))
    const resource = scopes[0]?.slice(0, -'/.default'.length) ?? ''
    if (scopes.length !== 1 || !resources.has(resource))
      return { status: 400, error: 'invalid_resource', code: 500011 }
    const tried = applications.map((one) => ({ one, refused: authenticate(one, form, endpoint) }))
    const application = tried.find(({ refused }) => refused === null)?.one
    if (application === undefined)
      return { status: 401, error: 'invalid_client', code: tried[0]?.refused ?? 7000215 }
    const seconds = Math.floor(entra.tokenLifeMs / 1000)
    return {
      token_type: 'Bearer',
      expires_in: seconds,
      ext_expires_in: seconds,
      access_token: principals.issue(application, resource, entra.tokenLifeMs),
    }
  }

  const entra: Entra = {
    get address() {
      return address()
    },
    ca: certificate.pem,
    tenantId,
    requests: () => count,
    fail: (as) => {
      failing = as
    },
    tokenLifeMs: 3_600_000,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return entra
}

/** Null, or the number of the refusal. */
const authenticate = (
  application: Application,
  form: URLSearchParams,
  endpoint: string,
): number | null => {
  const assertion = form.get('client_assertion')
  if (assertion === null)
    return form.get('client_secret') === application.clientSecret ? null : 7000215
  if (
    form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
  )
    return 900144
  if (application.federated.includes(assertion)) return null
  const [head = '', body = '', signature = ''] = assertion.split('.')
  const read = (part: string): Readonly<Record<string, unknown>> =>
    JSON.parse(Buffer.from(part, 'base64url').toString())
  if (signature === '') return 70021
  const header = read(head)
  const claims = read(body)
  const certificate = application.certificates.find((pem) => {
    const { raw } = new X509Certificate(pem)
    const hash = (by: string): string => createHash(by).update(raw).digest('base64url')
    return header['x5t'] === hash('sha1') || header['x5t#S256'] === hash('sha256')
  })
  if (certificate === undefined) return 700027
  const signed = Buffer.from(`${head}.${body}`)
  const key = new X509Certificate(certificate).publicKey
  const ok =
    header['alg'] === 'PS256'
      ? verify(
          'sha256',
          signed,
          { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
          Buffer.from(signature, 'base64url'),
        )
      : createVerify('sha256').update(signed).verify(key, signature, 'base64url')
  if (!ok || claims['aud'] !== endpoint || claims['sub'] !== application.clientId) return 700027
  const now = Date.now() / 1000
  const outside = Number(claims['exp']) < now - 300 || Number(claims['nbf']) > now + 300
  return outside ? 700024 : null
}

const refuse = (response: ServerResponse, { status, error, code }: Refusal): void =>
  send(response, status, {
    error,
    error_description: `AADSTS${code}: the stand-in refuses. Trace ID: 0`,
    error_codes: [code],
  })

const send = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(body))
}

export const bodyOf = async (stream: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
