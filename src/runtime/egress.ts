// Where Rekey may connect to (9-security.md 6). Two kinds of callers, one set of rules:
//
//   provider   loopback and private addresses are allowed: vaults live there
//   webhook    sinks, reload and verify webhooks, issuers of JWTs: public addresses, private ones only by REKEY_EGRESS_ALLOW
//
// Link-local and cloud metadata addresses are never dialled, by nobody, whatever is allowed: a metadata service hands out
// the host's own credentials to whoever asks. What is not encrypted (`http:`, `tcp:`) goes to loopback only, unless the
// record says `insecure: true`.
//
// A name is resolved once and all of its addresses are checked; the caller dials one of those and never resolves again, so
// that a name cannot answer differently between the check and the call.

import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { RekeyError } from '#domain/errors.ts'

export type EgressKind = 'provider' | 'webhook'
export type AddressClass = 'public' | 'loopback' | 'private' | 'forbidden'

export interface Egress {
  /** Scheme, and the host where it is an address: all that can be said without asking DNS. Throws RekeyError. */
  checkUrl(url: string, kind: EgressKind, options: { readonly insecure: boolean }): void
  /** Resolves the host and checks every address. Throws RekeyError; returns the addresses that may be dialled. */
  resolve(
    url: { readonly protocol: string; readonly hostname: string },
    kind: EgressKind,
    options: { readonly insecure: boolean },
  ): Promise<readonly string[]>
}

export interface EgressOptions {
  /** REKEY_EGRESS_ALLOW: addresses, CIDR blocks, host names, `*.suffix`. */
  readonly allow: readonly string[]
  /** For tests of names that change their answer. */
  readonly lookupAll?: (hostname: string) => Promise<readonly string[]>
}

export const makeEgress = ({ allow, lookupAll = systemLookup }: EgressOptions): Egress => {
  const allowed = parseAllow(allow)

  const refusal = (
    at: { readonly protocol: string; readonly hostname: string },
    address: string,
    kind: EgressKind,
    insecure: boolean,
  ): string | null => {
    const what = classifyAddress(address)
    if (what === 'forbidden') return 'link-local, metadata and reserved addresses are never dialled'
    if (isPlain(at.protocol) && what !== 'loopback' && !insecure) return plainOf(at.protocol)
    if (kind === 'webhook' && what !== 'public' && !allowed(at.hostname, address)) {
      return 'private and loopback addresses are not dialled unless REKEY_EGRESS_ALLOW names them'
    }
    return null
  }

  return {
    checkUrl(text, kind, { insecure }) {
      const url = parseUrl(text)
      const host = bareHost(url.hostname)
      if (kind === 'webhook' && url.protocol !== 'https:' && url.protocol !== 'http:') {
        throw refused(host, 'webhooks and issuers are called over https')
      }
      const literal = isIP(host)
        ? host
        : host === 'localhost' || host.endsWith('.localhost')
          ? '127.0.0.1'
          : null
      if (literal !== null) {
        const why = refusal({ protocol: url.protocol, hostname: host }, literal, kind, insecure)
        if (why) throw refused(host, why)
      } else if (isPlain(url.protocol) && !insecure) {
        throw refused(host, plainOf(url.protocol))
      }
    },
    async resolve(at, kind, { insecure }) {
      const hostname = bareHost(at.hostname)
      const addresses = isIP(hostname) ? [hostname] : await lookupAll(hostname)
      if (addresses.length === 0) throw refused(hostname, 'the name has no address')
      for (const address of addresses) {
        // One bad address spoils the name: which one is dialled must not be the name server's choice.
        const why = refusal({ protocol: at.protocol, hostname }, address, kind, insecure)
        if (why) throw refused(hostname, why)
      }
      return addresses
    },
  }
}

const isPlain = (protocol: string): boolean => protocol === 'http:' || protocol === 'tcp:'

const plainOf = (protocol: string): string =>
  `${protocol === 'http:' ? 'plain http' : 'a connection without TLS'} is for loopback only`

const refused = (host: string, why: string): RekeyError =>
  new RekeyError('connection.unusable', {
    detail: `Rekey does not connect to ${host}: ${why}.`,
    hint: why.includes('REKEY_EGRESS_ALLOW')
      ? 'Whoever runs Rekey lets it through there: docs/reference/variables.md.'
      : 'What is dialled, and what never: docs/how-to/production.md.',
  })

const parseUrl = (text: string): URL => {
  const url = URL.parse(text)
  if (!url || url.hostname === '') {
    throw new RekeyError('connection.unusable', { detail: 'The address is not a URL with a host.' })
  }
  if (url.username !== '' || url.password !== '') {
    throw new RekeyError('connection.unusable', {
      detail: 'The address must not carry a user name or password.',
    })
  }
  return url
}

/** `[::1]` → `::1`, a trailing dot of a full name is dropped. A URL keeps the case of hosts where its scheme is not HTTP's. */
const bareHost = (hostname: string): string =>
  hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '').toLowerCase()

const systemLookup = async (hostname: string): Promise<readonly string[]> => {
  const found = await lookup(hostname, { all: true, verbatim: true })
  return found.map((entry) => entry.address)
}

const list = (v4: readonly [string, number][], v6: readonly [string, number][]): BlockList => {
  const made = new BlockList()
  for (const [net, prefix] of v4) made.addSubnet(net, prefix, 'ipv4')
  for (const [net, prefix] of v6) made.addSubnet(net, prefix, 'ipv6')
  return made
}

const loopback = list([['127.0.0.0', 8]], [['::1', 128]])
const forbidden = list(
  [
    ['0.0.0.0', 8],
    ['169.254.0.0', 16],
    ['224.0.0.0', 3], // multicast, reserved, broadcast
    ['100.100.100.200', 32], // Alibaba Cloud metadata
    ['168.63.129.16', 32], // Azure wire server
    ['192.0.0.192', 32], // Oracle Cloud metadata
  ],
  [
    ['::', 128],
    ['fe80::', 10],
    ['fec0::', 10],
    ['ff00::', 8],
    ['fd00:ec2::', 32], // AWS metadata, DNS and time over IPv6
    ['fd20:ce::254', 128], // Google Cloud metadata
    ['fd00:42::42', 128], // Scaleway metadata
    ['64:ff9b:1::', 48], // NAT64 for one's own network: where the IPv4 address stands in it is not to be known
    ['2001::', 32], // Teredo
  ],
)
/** All that is routed on the public internet. */
const global = list([], [['2000::', 3]])
const privates = list(
  [
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['100.64.0.0', 10],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
  ],
  [
    ['fc00::', 7],
    ['2001:db8::', 32],
    ['2001:2::', 48],
    ['3fff::', 20],
    ['100::', 64],
  ],
)

export const classifyAddress = (address: string): AddressClass => {
  const bare = address.split('%')[0] ?? address
  const family = isIP(bare)
  if (family === 0) return 'forbidden'
  if (family === 6) {
    const inner = embeddedV4(bare)
    if (inner) return classifyAddress(inner)
  }
  const name = family === 4 ? 'ipv4' : 'ipv6'
  if (forbidden.check(bare, name)) return 'forbidden'
  if (loopback.check(bare, name)) return 'loopback'
  if (privates.check(bare, name)) return 'private'
  // What nobody has given a meaning yet is not dialled.
  return family === 4 || global.check(bare, 'ipv6') ? 'public' : 'forbidden'
}

/** IPv4 inside IPv6: mapped (::ffff:a.b.c.d), translated (::ffff:0:a.b.c.d), compatible, NAT64 (64:ff9b::/96), 6to4 (2002::/16)
 *  and ISATAP (…:0:5efe:a.b.c.d) all reach the IPv4 host. */
const embeddedV4 = (address: string): string | null => {
  const groups = expandV6(address)
  const lead = groups.slice(0, 6).join(':')
  const tail = (hi: number, lo: number): string =>
    `${(groups[hi] ?? 0) >> 8}.${(groups[hi] ?? 0) & 255}.${(groups[lo] ?? 0) >> 8}.${(groups[lo] ?? 0) & 255}`
  if (lead === '0:0:0:0:0:65535' || lead === `${0x64}:${0xff9b}:0:0:0:0`) return tail(6, 7)
  if (lead === '0:0:0:0:65535:0') return tail(6, 7)
  if (lead === '0:0:0:0:0:0' && (groups[6] ?? 0) !== 0) return tail(6, 7)
  if (((groups[4] ?? 0) & 0xfcff) === 0 && groups[5] === 0x5efe) return tail(6, 7)
  if (groups[0] === 0x2002) return tail(1, 2)
  return null
}

const expandV6 = (address: string): readonly number[] => {
  // WHATWG URL parsing writes a dotted tail as hex groups.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const [head = '', rest] = canonical.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = rest === undefined || rest === '' ? [] : rest.split(':')
  const middle =
    rest === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...middle, ...right].map((group) => Number.parseInt(group, 16))
}

/** Why an entry of REKEY_EGRESS_ALLOW means nothing, or null. A typing error must not open less, or more, than was meant. */
export const allowFault = (entry: string): string | null => {
  const [net = '', prefix, ...more] = entry.split('/')
  const family = isIP(net)
  if (family === 0) {
    return /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i.test(entry) && !/^[0-9.]+$/.test(entry)
      ? null
      : 'is neither an address, a network, a host name nor *.suffix'
  }
  if (more.length > 0 || net.includes('%')) return 'is no network'
  if (prefix === undefined) return null
  return /^(?:0|[1-9][0-9]{0,2})$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128)
    ? null
    : 'has no such prefix'
}

const parseAllow = (
  entries: readonly string[],
): ((hostname: string, address: string) => boolean) => {
  const blocks = new BlockList()
  const names: string[] = []
  for (const entry of entries.map((text) => text.trim()).filter((text) => text !== '')) {
    const [net = '', prefix] = entry.split('/')
    const family = isIP(net)
    if (family === 0) names.push(entry.toLowerCase())
    else
      blocks.addSubnet(
        net,
        prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix),
        family === 4 ? 'ipv4' : 'ipv6',
      )
  }
  return (hostname, address) =>
    blocks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4') ||
    names.some((name) =>
      name.startsWith('*.')
        ? hostname.toLowerCase().endsWith(name.slice(1))
        : hostname.toLowerCase() === name,
    )
}
