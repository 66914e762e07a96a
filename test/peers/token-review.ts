// The one request of a Kubernetes API server that Vault's kubernetes login makes: `POST
// /apis/authentication.k8s.io/v1/tokenreviews`, in the words of the API reference (TokenReview v1). It answers only to the
// reviewer's bearer token, and says of a token what a cluster would: signed by its issuer, for an audience that was asked for,
// not over. Nothing else is served.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
import { exportSPKI, generateKeyPair, jwtVerify, SignJWT } from 'jose'

export type Cluster = Awaited<ReturnType<typeof startCluster>>

const issuer = 'https://kubernetes.default.svc'
const path = '/apis/authentication.k8s.io/v1/tokenreviews'

export const startCluster = async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const reviewer = randomUUID()
  const uids = new Map<string, string>()
  let reviews = 0
  const uidOf = (account: string): string => {
    const uid = uids.get(account) ?? randomUUID()
    uids.set(account, uid)
    return uid
  }

  const review = async (token: unknown, audiences: readonly string[]): Promise<object> => {
    try {
      const { payload } = await jwtVerify(String(token), publicKey, { issuer })
      const aud = [payload.aud ?? []].flat().filter((one) => audiences.includes(one))
      if (aud.length === 0) throw new Error('token audiences do not match')
      return {
        authenticated: true,
        user: {
          username: String(payload.sub),
          uid: uidOf(String(payload.sub)),
          groups: ['system:serviceaccounts', 'system:authenticated'],
        },
        audiences: aud,
      }
    } catch {
      return { authenticated: false, error: 'invalid bearer token' }
    }
  }

  const serve = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const reply = (status: number, body: object): void => {
      answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const failed = (code: number, reason: string): void =>
      reply(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code })
    if (asked.method !== 'POST' || asked.url !== path) return failed(404, 'NotFound')
    if (asked.headers.authorization !== `Bearer ${reviewer}`) return failed(401, 'Unauthorized')
    const body = JSON.parse(await textOf(asked)) as {
      readonly kind?: string
      readonly apiVersion?: string
      readonly spec?: { readonly token?: string; readonly audiences?: readonly string[] }
    }
    if (body.spec?.token === undefined) return failed(422, 'Invalid')
    reviews += 1
    const { token, audiences = [issuer] } = body.spec
    const status = await review(token, audiences)
    return reply(201, {
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { creationTimestamp: null },
      spec: { token, audiences },
      status,
    })
  }
  const server = createServer((asked, answer) => {
    serve(asked, answer).catch(() => answer.destroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))

  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reviewer,
    publicKey: await exportSPKI(publicKey),
    reviews: () => reviews,
    /** As the kubelet writes it into a pod: bound to an audience, over after a while. */
    token: async (
      namespace: string,
      name: string,
      { audience = 'vault', seconds = 3_600 } = {},
    ): Promise<string> => {
      const sub = `system:serviceaccount:${namespace}:${name}`
      const now = Math.floor(Date.now() / 1000)
      return new SignJWT({
        'kubernetes.io': { namespace, serviceaccount: { name, uid: uidOf(sub) } },
      })
        .setProtectedHeader({ alg: 'RS256' })
        .setIssuer(issuer)
        .setSubject(sub)
        .setAudience([audience])
        .setIssuedAt(now - 60)
        .setNotBefore(now - 60)
        .setExpirationTime(now + seconds)
        .sign(privateKey)
    },
    stop: () =>
      new Promise<void>((done) => {
        server.closeAllConnections()
        server.close(() => done())
      }),
  }
}

const textOf = async (message: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of message) text += String(chunk)
  return text
}
