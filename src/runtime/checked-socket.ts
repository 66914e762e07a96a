// The only TCP that providers get (beside HTTP, safe-fetch.ts): told to connect to a host, it dials an address that egress has
// just checked. Libraries that take a socket of the caller's call `connect` on it as on any other.

import { Socket } from 'node:net'
import type { Egress } from './egress.ts'

export interface CheckedSocketOptions {
  readonly egress: Egress
  readonly scheme: 'tcp:' | 'tls:'
  readonly insecure: boolean
}

export class CheckedSocket extends Socket {
  readonly #options: CheckedSocketOptions

  constructor(options: CheckedSocketOptions) {
    super()
    this.#options = options
  }

  /** The forms that name a host; a path (a socket of this machine) is refused, as is whatever else Node would take. */
  override connect(...given: readonly unknown[]): this {
    const at = targetOf(given)
    const listener = given.find((one) => typeof one === 'function')
    if (listener !== undefined) this.once('connect', listener as () => void)
    const dial = async (): Promise<void> => {
      if (at === null) throw new TypeError('a checked socket connects to a host and a port')
      const { egress, scheme, insecure } = this.#options
      const target = { protocol: scheme, hostname: at.host }
      const addresses = await egress.resolve(target, 'provider', { insecure })
      if (this.destroyed) return
      const [first = ''] = addresses
      // Node tries several addresses by itself where a lookup gives several: this lookup gives those that were checked.
      super.connect({
        port: at.port,
        host: addresses.length === 1 ? first : at.host,
        lookup: (_name, _options, found) =>
          found(
            null,
            addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
          ),
      })
    }
    dial().catch((cause: unknown) =>
      this.destroy(cause instanceof Error ? cause : new Error('refused')),
    )
    return this
  }
}

const targetOf = (
  given: readonly unknown[],
): { readonly host: string; readonly port: number } | null => {
  const [first, second] = given
  const told: unknown = typeof first === 'object' ? first : { port: first, host: second }
  const { host, port } = (told ?? {}) as { readonly host?: unknown; readonly port?: unknown }
  return typeof host === 'string' && host !== '' && Number.isInteger(Number(port))
    ? { host, port: Number(port) }
    : null
}
