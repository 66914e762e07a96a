// Source addresses that a token may be used from: addresses and networks in CIDR form.

import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** An IPv4 caller on a dual-stack socket (`::ffff:10.0.0.1`) is an IPv4 caller. */
export const comesFrom = (allowed: readonly string[], source: string): boolean => {
  const list = new BlockList()
  for (const entry of allowed.filter(isAddress)) {
    const [address = '', bits] = entry.split('/')
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  const plain = source.replace(/^::ffff:(?=[0-9.]+$)/i, '')
  if (isIPv4(plain)) return list.check(plain, 'ipv4')
  return isIPv6(plain) && list.check(plain, 'ipv6')
}

/** Whether each of the first lies in one of the second. */
export const addressesWithin = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.every((entry) => {
    const [address = '', bits] = entry.split('/')
    const length = (own: string, of: string | undefined): number =>
      of === undefined ? (isIPv4(own) ? 32 : 128) : Number(of)
    return outer.some((net) => {
      const [base = '', prefix] = net.split('/')
      return (
        isIPv4(base) === isIPv4(address) &&
        length(address, bits) >= length(base, prefix) &&
        comesFrom([net], address)
      )
    })
  })

export const isAddress = (entry: string): boolean => {
  const [address = '', bits, ...more] = entry.split('/')
  const longest = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1
  if (longest < 0 || more.length > 0 || address.includes('%')) return false
  return bits === undefined || (/^(?:0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= longest)
}
