// X.509 certificates and requests for them (RFC 5280, RFC 2986), as far as the stand-ins need them: Node reads and signs, and
// cannot write one.

import { createHash, createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto'

const tlv = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const bytes: number[] = []
  for (let n = body.length; n > 0; n >>= 8) bytes.unshift(n & 255)
  const length = body.length < 128 ? [body.length] : [128 | bytes.length, ...bytes]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts)
const set = (...parts: readonly Uint8Array[]): Buffer => tlv(0x31, ...parts)
const integer = (bytes: Uint8Array): Buffer =>
  tlv(0x02, (bytes[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
const bits = (bytes: Uint8Array): Buffer => tlv(0x03, Buffer.from([0]), bytes)
const octets = (bytes: Uint8Array): Buffer => tlv(0x04, bytes)
const text = (value: string): Buffer => tlv(0x0c, Buffer.from(value))

const oid = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const chunk = [part & 127]
    for (let n = part >> 7; n > 0; n >>= 7) chunk.unshift(128 | (n & 127))
    bytes.push(...chunk)
  }
  return tlv(0x06, Buffer.from(bytes))
}

const time = (at: Date): Buffer => {
  const digits = at.toISOString().replaceAll(/[-:T]|\.\d{3}/g, '')
  // UTCTime as far as 2049.
  return at.getUTCFullYear() < 2050
    ? tlv(0x17, Buffer.from(digits.slice(2)))
    : tlv(0x18, Buffer.from(digits))
}

const name = (commonName: string): Buffer =>
  sequence(set(sequence(oid('2.5.4.3'), text(commonName))))

const algorithmOf = (key: KeyObject): Buffer =>
  key.asymmetricKeyType === 'ec'
    ? sequence(oid('1.2.840.10045.4.3.2'))
    : sequence(oid('1.2.840.113549.1.1.11'), Buffer.from([5, 0]))

const spki = (key: KeyObject): Buffer =>
  createPublicKey(key).export({ type: 'spki', format: 'der' })

const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${(
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END ${label}-----\n`

export interface CertificateArgs {
  readonly key: KeyObject
  readonly commonName: string
  readonly days?: number
  readonly ip?: string
  readonly dns?: string
  /** An authority that signs it; itself, unless told. */
  readonly by?: { readonly key: KeyObject; readonly commonName: string }
}

/** Self-signed; also a CA of itself, so that clients can be told to trust it. Or signed by another. */
export const selfSigned = ({ key, commonName, days = 365, ip, dns, by }: CertificateArgs) => {
  const issuer = by ?? { key, commonName }
  const now = Date.now()
  const extension = (id: string, value: Buffer): Buffer => sequence(oid(id), octets(value))
  const names = [
    ...(dns === undefined ? [] : [tlv(0x82, Buffer.from(dns))]),
    ...(ip === undefined ? [] : [tlv(0x87, Buffer.from(ip.split('.').map(Number)))]),
  ]
  const address = names.length === 0 ? [] : [extension('2.5.29.17', sequence(...names))]
  // One that is over already began before it ended.
  const from = new Date(now - 60_000 + Math.min(0, days) * 2 * 86_400_000)
  const tbs = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithmOf(issuer.key),
    name(issuer.commonName),
    sequence(time(from), time(new Date(now + days * 86_400_000))),
    name(commonName),
    spki(key),
    tlv(
      0xa3,
      sequence(extension('2.5.29.19', sequence(tlv(0x01, Buffer.from([255])))), ...address),
    ),
  )
  const der = sequence(tbs, algorithmOf(issuer.key), bits(sign('sha256', tbs, issuer.key)))
  return {
    der,
    pem: pem('CERTIFICATE', der),
    thumbprint: createHash('sha1').update(der).digest(),
    thumbprint256: createHash('sha256').update(der).digest(),
    notBefore: from,
    notAfter: new Date(now + days * 86_400_000),
  }
}

/** A PKCS#10 request. */
export const certificateRequest = ({
  key,
  commonName,
}: Pick<CertificateArgs, 'key' | 'commonName'>): Buffer => {
  const info = sequence(integer(Buffer.from([0])), name(commonName), spki(key), tlv(0xa0))
  return sequence(info, algorithmOf(key), bits(sign('sha256', info, key)))
}
