// The public keys of issuers: by discovery, then from their JWKS. Kept, since no request must wait for an issuer that was heard:
//
//   for ten minutes they are fresh; then one request asks again, and the others go on with those that are there
//   a key that is not among them makes one request ask again, too: issuers rotate
//   where an answer does not come, those that were had are used for six hours, since an identity provider that is down must
//   not lock people out of what they need then; no longer, since a key that the issuer took back would live on
//
// An issuer is asked by one request at a time, and again after half a minute at the earliest, so that strangers with made-up
// tokens cannot make Rekey hammer it. What it says is small, of one round and in time, or it is not taken.

import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose'
import type { Egress } from './egress.ts'
import { parseJsonText } from '#domain/json-text.ts'
import { isRekeyError } from '#domain/errors.ts'
import type { Clock } from '#domain/ports.ts'

const freshMs = 10 * 60_000
const usableMs = 6 * 3_600_000
const coolMs = 30_000
const patienceMs = 5_000
const mostKeys = 100

export interface IssuerKeysDeps {
  /** Checks the address, follows no redirect, cuts off what is too long. */
  readonly fetch: typeof globalThis.fetch
  readonly egress: Pick<Egress, 'checkUrl'>
  readonly clock: Pick<Clock, 'now' | 'deadline'>
}

/** `why` is a clause in our own words. */
export class IssuerAway extends Error {}

export interface IssuerKeys {
  /** Throws IssuerAway. */
  keysOf(issuer: string): Promise<JWTVerifyGetKey>
  /** After a key was not among those of `keysOf`: others, where the issuer may be asked again and answers; else null. */
  newerKeysOf(issuer: string): Promise<JWTVerifyGetKey | null>
}

interface Known {
  keys: JWTVerifyGetKey | null
  fetchedAt: number
  triedAt: number
  away: string
  asking: Promise<void> | null
}

export const makeIssuerKeys = (deps: IssuerKeysDeps): IssuerKeys => {
  const known = new Map<string, Known>()
  const now = () => deps.clock.now().getTime()
  const entryOf = (issuer: string): Known => {
    const entry = known.get(issuer) ?? {
      keys: null,
      fetchedAt: -Infinity,
      triedAt: -Infinity,
      away: '',
      asking: null,
    }
    known.set(issuer, entry)
    return entry
  }
  const ask = async (issuer: string, entry: Known): Promise<void> => {
    entry.triedAt = now()
    try {
      entry.keys = await fetchKeys(deps, issuer)
      entry.fetchedAt = now()
    } catch (error) {
      entry.away = error instanceof IssuerAway ? error.message : 'the connection failed'
    } finally {
      entry.asking = null
    }
  }
  const asked = (issuer: string, entry: Known): Promise<void> =>
    (entry.asking ??= ask(issuer, entry))
  const cool = (entry: Known): boolean => now() - entry.triedAt >= coolMs
  const usable = (entry: Known): JWTVerifyGetKey | null =>
    now() - entry.fetchedAt < usableMs ? entry.keys : null

  return {
    keysOf: async (issuer) => {
      const entry = entryOf(issuer)
      if (usable(entry) === null) {
        if (entry.asking !== null || cool(entry)) await asked(issuer, entry)
      } else if (now() - entry.fetchedAt >= freshMs && entry.asking === null && cool(entry)) {
        await asked(issuer, entry)
      }
      const keys = usable(entry)
      if (keys === null) throw new IssuerAway(entry.away)
      return keys
    },
    newerKeysOf: async (issuer) => {
      const entry = entryOf(issuer)
      const before = entry.keys
      if (entry.asking === null && !cool(entry)) return null
      await asked(issuer, entry)
      return entry.keys === before ? null : entry.keys
    },
  }
}

const fetchKeys = async (deps: IssuerKeysDeps, issuer: string): Promise<JWTVerifyGetKey> => {
  const signal = deps.clock.deadline(patienceMs)
  const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const said = await read(deps, at, signal)
  // A document of another issuer would let that one speak for this one (OpenID Connect Discovery 4.3).
  if (said['issuer'] !== issuer) throw new IssuerAway('its document names another issuer')
  const uri = said['jwks_uri']
  if (typeof uri !== 'string') throw new IssuerAway('its document names no keys')
  const { keys } = await read(deps, uri, signal)
  if (!Array.isArray(keys)) throw new IssuerAway('its key set is none')
  if (keys.length > mostKeys) throw new IssuerAway(`it has more than ${mostKeys} keys`)
  const usable = keys.filter(verifies)
  if (usable.length === 0) throw new IssuerAway('it has no key that could verify a signature')
  return createLocalJWKSet({ keys: usable })
}

/** Never a shared secret: whoever may read a key set must not be able to sign. */
const verifies = (key: unknown): boolean => {
  if (typeof key !== 'object' || key === null) return false
  const { kty, use } = key as { readonly kty?: unknown; readonly use?: unknown }
  return (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && (use === undefined || use === 'sig')
}

const read = async (
  { fetch, egress }: IssuerKeysDeps,
  url: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> => {
  const text = await textOf(fetch, egress, url, signal)
  let value: unknown
  try {
    value = parseJsonText(text)
  } catch {
    throw new IssuerAway('what it answered is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new IssuerAway('what it answered is no object')
  return value as Readonly<Record<string, unknown>>
}

const textOf = async (
  fetch: typeof globalThis.fetch,
  egress: Pick<Egress, 'checkUrl'>,
  url: string,
  signal: AbortSignal,
): Promise<string> => {
  try {
    egress.checkUrl(url, 'webhook', { insecure: false })
    const reply = await fetch(url, { headers: { accept: 'application/json' }, signal })
    if (reply.status !== 200) {
      await reply.body?.cancel()
      throw new IssuerAway(`it answered ${reply.status}`)
    }
    return await reply.text()
  } catch (error) {
    if (error instanceof IssuerAway) throw error
    throw new IssuerAway(whyOf(error, signal))
  }
}

const whyOf = (error: unknown, signal: AbortSignal): string => {
  if (signal.aborted) return `no answer within ${patienceMs / 1000} s`
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (isRekeyError(at)) return 'its address is not dialled'
    if (at.name === 'ResponseExceededMaxSizeError') return 'what it answered is too long'
  }
  return 'the connection failed'
}
