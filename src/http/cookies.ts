// The two cookies of a browser. `__Host-`: of this host alone, for all of it, over TLS (RFC 6265bis 4.1.3.2), so that no
// other host of the domain can plant one.

import type { FastifyRequest } from 'fastify'
import { loginMs } from '#domain/browser-session.ts'
import type { Secret } from '#domain/secret.ts'
import { headerOf } from './request-state.ts'

export const sessionCookie = '__Host-rekey-session'
const loginCookie = '__Host-rekey-login'

/** Strict: nothing that another site makes a browser do carries it. It ends with the browser, or with its session here. */
export const setSession = (secret: Secret<string>): string =>
  `${sessionCookie}=${secret.reveal()}; Path=/; Secure; HttpOnly; SameSite=Strict`

export const dropSession = `${sessionCookie}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0`

/** Lax: it must come along when the issuer sends the browser back. */
export const setLogin = (sealed: string): string =>
  `${loginCookie}=${sealed}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${loginMs / 1000}`

export const dropLogin = `${loginCookie}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`

export const sessionOf = (request: FastifyRequest): string | null =>
  cookieOf(headerOf(request, 'cookie'), sessionCookie)

export const loginOf = (cookies: string | undefined): string | null =>
  cookieOf(cookies, loginCookie)

/** Of a name that is there twice, nothing: which of them is ours cannot be told. */
const cookieOf = (cookies: string | undefined, name: string): string | null => {
  const values = (cookies ?? '').split(/; */).flatMap((pair) => {
    const at = pair.indexOf('=')
    return at > 0 && pair.slice(0, at) === name ? [pair.slice(at + 1)] : []
  })
  const [value] = values
  return values.length === 1 && value !== undefined && value !== '' ? value : null
}
