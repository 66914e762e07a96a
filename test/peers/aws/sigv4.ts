// Signature Version 4, from its description ("Create a signed AWS API request", IAM User Guide), to judge what the SDK sends.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface Signed {
  readonly accessKeyId: string
  readonly service: string
  readonly region: string
}

interface Parsed extends Signed {
  readonly day: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

const form =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/

const parse = (header: string): Parsed | null => {
  const found = form.exec(header)
  if (found === null) return null
  const [, accessKeyId = '', day = '', region = '', service = '', headers = '', signature = ''] =
    found
  return { accessKeyId, day, region, service, signedHeaders: headers.split(';'), signature }
}

export const signerOf = (headers: IncomingHttpHeaders): Signed | null =>
  parse(headers.authorization ?? '')

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest()

/** Whether this secret has signed this request (POST /, no query). A proxy on the way that writes `host` anew says by
 *  `x-forwarded-host` what was signed. */
export const isSignedWith = (
  secret: string,
  request: { readonly headers: IncomingHttpHeaders; readonly body: string },
): boolean => {
  const { headers, body } = request
  const signed = parse(headers.authorization ?? '')
  const date = String(headers['x-amz-date'] ?? '')
  if (signed === null || !date.startsWith(signed.day)) return false
  if (!signed.signedHeaders.includes('host')) return false
  const valueOf = (name: string): string =>
    String((name === 'host' ? headers['x-forwarded-host'] : undefined) ?? headers[name] ?? '')
  const canonical = [
    'POST',
    '/',
    '',
    ...signed.signedHeaders.map((name) => `${name}:${valueOf(name).trim().replace(/ +/g, ' ')}`),
    '',
    signed.signedHeaders.join(';'),
    sha256(body),
  ].join('\n')
  const scope = `${signed.day}/${signed.region}/${signed.service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')
  const key = [signed.region, signed.service, 'aws4_request'].reduce(
    (at, part) => hmac(at, part),
    hmac(`AWS4${secret}`, signed.day),
  )
  return timingSafeEqual(hmac(key, toSign), Buffer.from(signed.signature, 'hex'))
}

/** `20150830T123600Z`, within five minutes of now. */
export const isOfNow = (headers: IncomingHttpHeaders, now: Date): boolean => {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(
    String(headers['x-amz-date'] ?? ''),
  )
  if (found === null) return false
  const [, y, mo, d, h, mi, s] = found
  const at = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
  return Math.abs(now.getTime() - at) <= 5 * 60_000
}
