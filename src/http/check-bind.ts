// Tokens do not travel in the clear (9-security.md 13).

import { BlockList, isIPv4, isIPv6 } from 'node:net'

export interface Bind {
  readonly host: string
  readonly tls: boolean
  /** Addresses and networks of the proxy that ends TLS; null where there is none. */
  readonly trustedProxy: string | null
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Throws where the server would listen beyond loopback without TLS of its own or of a proxy. */
export const checkBind = ({ host, tls, trustedProxy }: Bind): void => {
  if (tls || trustedProxy !== null || isLoopback(host)) return
  throw new Error(
    `Rekey would listen on ${host} without TLS, and tokens would travel in the clear. ` +
      'Set REKEY_TLS_CERT and REKEY_TLS_KEY, or REKEY_TRUSTED_PROXY where a proxy ends TLS, or bind to 127.0.0.1.',
  )
}

const isLoopback = (host: string): boolean => {
  if (host === 'localhost') return true
  const plain = host.replace(/^\[(.*)\]$/, '$1').replace(/^::ffff:(?=[0-9.]+$)/i, '')
  if (isIPv4(plain)) return loopback.check(plain, 'ipv4')
  return isIPv6(plain) && loopback.check(plain, 'ipv6')
}
