// The set as verifiers see it, where that is not Rekey's own: a CDN, a proxy, a file that somebody copies. It is only read.

import { ProviderError } from '#domain/provider.ts'

export interface PublicCopy {
  readonly kids: ReadonlySet<string>
  /** The longest that its headers let anybody keep it. */
  readonly cacheAgeMs: number
}

export const readPublicCopy = async (
  fetch: typeof globalThis.fetch,
  url: string,
  signal: AbortSignal,
): Promise<PublicCopy> => {
  const { response, body } = await get(fetch, url, signal)
  if (!response.ok) {
    throw new ProviderError('transient', 'none', `the public set answers ${response.status}`, {
      status: response.status,
    })
  }
  const keys: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'keys') : null
  if (!Array.isArray(keys)) {
    throw new ProviderError('precondition', 'none', 'the public URL holds no JSON Web Key Set', {
      hint: 'publicUrl must serve what /jwks/{connection} serves',
    })
  }
  const kids = keys.flatMap((key: unknown) => {
    const kid: unknown = typeof key === 'object' && key !== null ? Reflect.get(key, 'kid') : null
    return typeof kid === 'string' ? [kid] : []
  })
  return { kids: new Set(kids), cacheAgeMs: cacheAgeOf(response.headers) }
}

const get = async (fetch: typeof globalThis.fetch, url: string, signal: AbortSignal) => {
  try {
    const response = await fetch(url, {
      signal,
      headers: {
        accept: 'application/json',
        'cache-control': 'no-cache',
        'user-agent': 'rekey-canary',
      },
    })
    const text = await response.text()
    return { response, body: response.ok ? asJson(text) : null }
  } catch {
    // The reason may quote what the other side sent.
    if (signal.aborted)
      throw new ProviderError('timeout', 'none', 'the public set did not come in time')
    throw new ProviderError('transient', 'none', 'the public set cannot be fetched')
  }
}

const asJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** RFC 9111 and RFC 5861: how long it is fresh, and how long it may be served stale after that. */
export const cacheAgeOf = (headers: Headers): number => {
  const directives = (headers.get('cache-control') ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim().split('='))
  const seconds = (name: string): number =>
    Math.max(
      0,
      ...directives
        .filter(([key]) => key === name)
        .map(([, value = '']) => Number(value.replaceAll('"', '')))
        .filter(Number.isFinite),
    )
  const stale = Math.max(seconds('stale-while-revalidate'), seconds('stale-if-error'))
  const fresh = Math.max(seconds('max-age'), seconds('s-maxage'))
  return 1_000 * (Math.max(fresh, untilExpiry(headers)) + stale)
}

/** Seconds; caches that know no max-age go by these two. */
const untilExpiry = (headers: Headers): number => {
  const expires = Date.parse(headers.get('expires') ?? '')
  const date = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(expires) || Number.isNaN(date) ? 0 : Math.max(0, (expires - date) / 1_000)
}
