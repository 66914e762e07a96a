// What comes between an adapter and a system that speaks HTTP: requests without an answer, answers of somebody else, and calls
// that must end in time. Of what Node throws only codes are taken; its texts may carry what was sent.

import { isRekeyError } from '#domain/errors.ts'
import { ProviderError } from '#domain/provider.ts'

export interface Unanswered {
  /** As people call it. */
  readonly system: string
  /** A change was on its way: its effect is not known then. */
  readonly writes: boolean
  /** The caller's signal ended it. */
  readonly aborted: boolean
  /** What to look at where TLS fails, and where nothing is reached. */
  readonly tlsHint: string
  readonly reachHint: string
}

export const failureOfNetwork = (
  error: unknown,
  { system, writes, aborted, tlsHint, reachHint }: Unanswered,
): ProviderError => {
  const lost = writes ? 'unknown' : 'none'
  if (aborted) return new ProviderError('timeout', lost, `${system} did not answer in time`)
  const refused = causes(error).find((cause) => isRekeyError(cause))
  if (refused !== undefined)
    // Egress refuses before it dials.
    return new ProviderError('permanent', 'none', 'the address may not be dialled', {
      hint: refused.message,
    })
  const { code, syscall } = socketError(error)
  if (isCertificate(code))
    return new ProviderError('precondition', 'none', `TLS to ${system} failed (${code})`, {
      hint: tlsHint,
    })
  // Nothing was sent: there was no connection to send it on.
  if (syscall === 'connect' || neverConnected.has(code))
    return new ProviderError('transient', 'none', `${system} cannot be reached (${code})`, {
      hint: reachHint,
    })
  return new ProviderError(
    writes ? 'outcomeUnknown' : 'transient',
    lost,
    `the connection to ${system} broke before the answer`,
  )
}

/** An answer, as far as its words do not matter. */
export interface AnyAnswer {
  readonly status: number
  readonly requestId: string | null
  readonly retryAfterMs: number | null
}

/** What is told of an answer beside its failure. */
export const toldOf = ({ status, requestId, retryAfterMs: afterMs }: AnyAnswer) => ({
  status,
  ...(requestId === null ? {} : { requestId }),
  ...(afterMs === null ? {} : { retryAfterMs: afterMs }),
})

/** An answer that is no word of the system's on what was asked: it wants fewer requests, it is elsewhere, or somebody in
 *  between answered. Null: it is the system's own word. */
export const failureOfAnyAnswer = (
  answered: AnyAnswer,
  {
    system,
    writes,
    own,
    redirectHint,
    strangerHint,
  }: {
    readonly system: string
    readonly writes: boolean
    /** It is the system that answered. */
    readonly own: boolean
    readonly redirectHint: string
    readonly strangerHint: string
  },
): ProviderError | null => {
  const { status } = answered
  const told = toldOf(answered)
  if (status === 429)
    return new ProviderError('throttled', 'none', `${system} asks for fewer requests`, told)
  if (status >= 300 && status < 400)
    return new ProviderError('precondition', 'none', `${system} answered with a redirect`, {
      ...told,
      hint: redirectHint,
    })
  if (own) return null
  // A page may hide that the system did it; even a 403 may be a filter on the way back.
  return new ProviderError(
    'transient',
    writes ? 'unknown' : 'none',
    `the answer is not ${system}’s`,
    {
      ...told,
      hint: strangerHint,
    },
  )
}

const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

const isCertificate = (code: string): boolean =>
  /^(CERT_|ERR_TLS_CERT|ERR_SSL_|EPROTO|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/.test(code)

// fetch wraps: TypeError('fetch failed') → cause with the code of the socket. Only code and syscall are taken.
const socketError = (error: unknown): { readonly code: string; readonly syscall: string } => {
  for (const at of causes(error)) {
    const { code, syscall } = at as NodeJS.ErrnoException
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code))
      return { code, syscall: syscall ?? '' }
  }
  return { code: 'unknown', syscall: '' }
}

const causes = (error: unknown): readonly Error[] => {
  const found: Error[] = []
  for (let at = error; at instanceof Error && found.length < 5; at = at.cause) found.push(at)
  return found
}

/** Of a Retry-After header: seconds, or a date. */
export const retryAfterMs = (header: string | null, now: Date): number | null => {
  if (header === null) return null
  if (/^\d+$/.test(header)) return Number(header) * 1000
  const at = new Date(header).getTime()
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime())
}

/** Ends with the signal even where what it waits for does not: an SDK sleeps between two tries. */
export const abortable = <T>(signal: AbortSignal, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('aborted'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
