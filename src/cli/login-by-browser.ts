// A login at an issuer for somebody who sits at this machine, by the rules for native apps (RFC 8252): the browser comes back to
// a port of loopback that is open for this one answer; PKCE, state and nonce say that it is the answer to this question.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Configuration } from 'openid-client'
import { Failure, interrupted, usage } from './failure.ts'
import type { Run } from './shell.ts'
import { isLoopback } from './target.ts'

export interface LoginQuestion {
  readonly issuer: string
  readonly clientId: string
  readonly scope: string
  /** 0: any that is free. */
  readonly port: number
  readonly patienceMs: number
}

/** The ID token, and when it ends. */
export const loginByBrowser = async (
  run: Run,
  { issuer, clientId, scope, port, patienceMs }: LoginQuestion,
): Promise<{ readonly token: string; readonly expiresAt: Date }> => {
  const oidc = await import('openid-client')
  const config = await configOf(issuer, clientId)
  const [state, nonce, verifier] = [
    oidc.randomState(),
    oidc.randomNonce(),
    oidc.randomPKCECodeVerifier(),
  ]
  const challenge = await oidc.calculatePKCECodeChallenge(verifier)
  const back = await answerOn(run, { port, patienceMs, state }, (redirectUri) => {
    const url = oidc.buildAuthorizationUrl(config, {
      ...{ redirect_uri: redirectUri, scope: `openid ${scope}`.trim(), state, nonce },
      ...{ code_challenge: challenge, code_challenge_method: 'S256' },
    })
    run.talk(`Open this address in a browser on this machine:\n\n  ${url.href}\n`)
  })
  const tokens = await oidc
    .authorizationCodeGrant(config, back, {
      ...{ pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce },
      idTokenExpected: true,
    })
    .catch((cause: unknown) => {
      throw notLoggedIn('What came back is no answer of the issuer to this login.', cause)
    })
  return {
    token: tokens.id_token ?? '',
    expiresAt: new Date(Number(tokens.claims()?.exp) * 1000),
  }
}

const configOf = async (issuer: string, clientId: string): Promise<Configuration> => {
  const { allowInsecureRequests, discovery, None } = await import('openid-client')
  const url = URL.parse(issuer)
  const plain = url?.protocol === 'http:'
  if (url === null || !(url.protocol === 'https:' || (plain && isLoopback(url.hostname))))
    throw usage('--issuer is not an https address', { hint: 'for example https://id.example.com' })
  return discovery(url, clientId, undefined, None(), {
    timeout: 10,
    // oxlint-disable-next-line typescript/no-deprecated -- marked so to be seen; loopback only
    execute: plain ? [allowInsecureRequests] : [],
  }).catch((cause: unknown) => {
    throw notLoggedIn(`${url.host} does not answer as an issuer does.`, cause)
  })
}

const notLoggedIn = (detail: string, cause?: unknown): Failure =>
  new Failure({ code: 'login.refused', exit: 'rights', title: 'Not logged in', detail, cause })

/** The address that the browser came back to, with what it brought. Whoever does not know the state does not end the wait. */
const answerOn = (
  run: Run,
  {
    port,
    patienceMs,
    state,
  }: Pick<LoginQuestion, 'port' | 'patienceMs'> & { readonly state: string },
  ready: (redirectUri: string) => void,
): Promise<URL> =>
  new Promise((resolve, reject) => {
    const ended = AbortSignal.any([run.signal, run.io.clock.deadline(patienceMs)])
    let redirectUri = ''
    const server = createServer((request, reply) => {
      const url = URL.parse(request.url ?? '', redirectUri)
      const isAnswer =
        request.method === 'GET' &&
        url?.pathname === '/callback' &&
        url.searchParams.get('state') === state
      reply.writeHead(isAnswer ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' })
      reply.end(isAnswer ? 'Go back to the terminal.\n' : 'There is nothing here.\n')
      if (isAnswer) end(() => resolve(url))
    })
    const end = (say: () => void): void => {
      ended.removeEventListener('abort', tooLate)
      server.close()
      say()
    }
    const tooLate = (): void =>
      end(() => reject(run.signal.aborted ? interrupted() : notLoggedIn('Nobody came back.')))
    ended.addEventListener('abort', tooLate)
    server.once('error', (cause) =>
      end(() => reject(notLoggedIn(`The port ${port} of loopback cannot be opened.`, cause))),
    )
    server.listen(port, '127.0.0.1', () => {
      redirectUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
      ready(redirectUri)
    })
  })
