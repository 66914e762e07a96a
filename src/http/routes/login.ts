// How a person's browser gets a session: to the issuer and back. docs/adr/0030-browser-sessions.md

import { Type } from 'typebox'
import { takesLogins } from '#domain/browser-session.ts'
import { RekeyError } from '#domain/errors.ts'
import { nameSchema } from '#domain/names.ts'
import type { Ledger } from '#domain/ports.ts'
import { beginLogin, type BeginLoginDeps } from '#usecases/begin-login.ts'
import { finishLogin, type FinishLoginDeps } from '#usecases/finish-login.ts'
import { dropLogin, loginOf, setLogin, setSession } from '../cookies.ts'
import { publicRoute, type Route } from '../route.ts'
import { nameParams, strict } from '../schemas.ts'

export interface LoginRoutesDeps {
  readonly ledger: Pick<Ledger, 'read' | 'commit'>
  readonly ids: BeginLoginDeps['ids'] & FinishLoginDeps['ids']
  readonly clock: BeginLoginDeps['clock']
  readonly sha256: FinishLoginDeps['sha256']
  readonly keyring: BeginLoginDeps['keyring'] & FinishLoginDeps['keyring']
  readonly dialogue: BeginLoginDeps['dialogue']
  readonly spendLogin: FinishLoginDeps['spendLogin']
  /** What browsers know Rekey by, without a path; null: nobody has said. */
  readonly publicUrl: () => string | null
}

const bucket = 'login'
const html = 'text/html'
const page = `${html}; charset=utf-8`

const pathSchema = Type.String({
  // A path of this host: neither //host nor /\host, and nothing that a browser drops on the way.
  pattern: '^/(?:[!-\\x2e0-\\x5b\\x5d-~][!-\\x5b\\x5d-~]*)?$',
  maxLength: 500,
  description: 'where the browser goes in the end: a path of this host',
  examples: ['/docs'],
})

const part = (description: string) => Type.Optional(Type.String({ maxLength: 4_000, description }))

export const loginRoutes = (deps: LoginRoutesDeps): readonly Route[] => [
  publicRoute({
    public: true,
    method: 'GET',
    path: '/v1/login',
    operationId: 'listLogins',
    tag: 'sessions',
    summary: 'Issuers that people may log in at',
    bucket,
    replies: {
      200: strict({
        items: Type.Array(
          strict({ name: nameSchema, url: Type.String({ examples: ['/v1/login/acme'] }) }),
        ),
      }),
    },
    handler: async ({ ledger }) => {
      const { items } = await ledger.read((db) => db.issuers.get())
      const logins = items.filter(takesLogins).map(({ login: { name } }) => name)
      return {
        status: 200,
        body: { items: logins.map((name) => ({ name, url: `/v1/login/${name}` })) },
      }
    },
  }),
  publicRoute({
    public: true,
    method: 'GET',
    path: '/v1/login/{name}',
    operationId: 'beginLogin',
    tag: 'sessions',
    summary: 'Send a browser to an issuer, to log in',
    description:
      'For browsers: authorization code with PKCE. What it must bring back is in a cookie of its own for ten minutes.',
    params: nameParams,
    query: strict({ to: Type.Optional(pathSchema) }),
    bucket,
    mediaTypes: [html],
    replies: { 303: Type.String({ description: 'On to the issuer', examples: [''] }) },
    errors: ['auth.issuerUnavailable'],
    handler: async ({ ledger, params: { name }, query }) => {
      const redirectUri = callbackOf(deps, name)
      const { url, sealed } = await beginLogin({ ...deps, ledger })({
        ...{ name, redirectUri, to: query.to ?? null },
      })
      return {
        ...{ status: 303, body: '', mediaType: page, cookies: [setLogin(sealed)] },
        headers: { Location: url },
      }
    },
  }),
  publicRoute({
    public: true,
    method: 'GET',
    path: '/v1/login/{name}/callback',
    operationId: 'finishLogin',
    tag: 'sessions',
    summary: 'Come back from an issuer, with a session',
    description:
      'The redirect address that the issuer must know, letter for letter. The session is a cookie that no script reads; requests that change something count only with the `Origin` of Rekey itself.',
    params: nameParams,
    // RFC 6749 4.1.2: what is not known is ignored.
    query: Type.Object({
      code: part('of the issuer'),
      state: part('as it was sent to the issuer'),
      iss: part('who answers: RFC 9207'),
      error: part('instead of a code'),
    }),
    openQuery: true,
    bucket,
    mediaTypes: [html],
    replies: {
      200: Type.String({
        description: 'A page that says so, and goes on',
        examples: ['<!doctype html>…'],
      }),
    },
    errors: ['login.refused', 'auth.denied', 'auth.issuerUnavailable', 'audit.unavailable'],
    handler: async ({ params: { name }, query, header, source }) => {
      const { code, state, iss, error } = query
      const { session, to } = await finishLogin(deps)({
        ...{ name, source, redirectUri: callbackOf(deps, name), sealed: loginOf(header('cookie')) },
        answer: {
          ...(code === undefined ? {} : { code }),
          ...(state === undefined ? {} : { state }),
          ...(iss === undefined ? {} : { iss }),
          ...(error === undefined ? {} : { error }),
        },
      })
      return {
        ...{ status: 200, body: signedIn(to), mediaType: page },
        cookies: [setSession(session), dropLogin],
      }
    },
  }),
]

const callbackOf = ({ publicUrl }: LoginRoutesDeps, name: string): string => {
  const base = publicUrl()
  if (base !== null) return `${base}/v1/login/${name}/callback`
  throw new RekeyError('service.unavailable', {
    detail: 'Nobody has said by what address browsers know Rekey.',
    hint: 'Start it with REKEY_PUBLIC_URL=https://…',
  })
}

/** A page, and no redirect: a browser that another site has sent here brings a strict cookie along only from one of ours. */
const signedIn = (to: string | null): string => {
  const onward = to?.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Rekey</title>',
    onward === undefined ? '' : `<meta http-equiv="refresh" content="0;url=${onward}">`,
    '<p>You are logged in to Rekey.',
    onward === undefined ? '' : ` <a href="${onward}">Go on</a>`,
    '</p></html>\n',
  ].join('')
}
