// The public half of a key, read from the token, as a JSON Web Key: signatures are checked outside of the token.

import type Pkcs11 from 'pkcs11js'
import { attribute, type Module } from './objects.ts'
import type { PublicKey } from './protocol.ts'

export const publicKeyOf = (
  { p }: Module,
  lib: Pkcs11.PKCS11,
  session: Buffer,
  { handle, half }: { readonly handle: Buffer; readonly half: Buffer | undefined },
): PublicKey | null => {
  const read = (type: number): Buffer | null =>
    (half && attribute(lib, session, half, type)) ?? attribute(lib, session, handle, type)
  const [n, e] = [read(p.CKA_MODULUS), read(p.CKA_PUBLIC_EXPONENT)]
  if (n && e) return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }
  const [params, point] = [read(p.CKA_EC_PARAMS), read(p.CKA_EC_POINT)]
  const crv = params && curves[params.toString('hex')]
  const raw = point && uncompressed(point)
  if (!crv || !raw) return null
  const size = (raw.length - 1) / 2
  return {
    kty: 'EC',
    crv,
    x: raw.subarray(1, 1 + size).toString('base64url'),
    y: raw.subarray(1 + size).toString('base64url'),
  }
}

/** By their object identifier, in DER. */
const curves: Readonly<Record<string, 'P-256' | 'P-384'>> = {
  '06082a8648ce3d030107': 'P-256',
  '06052b81040022': 'P-384',
}

/** 04 ‖ X ‖ Y, bare or within a DER OCTET STRING: libraries do both. */
const uncompressed = (point: Buffer): Buffer | null => {
  const [tag, length] = point
  if (tag === 0x04 && length === point.length - 2 && point[2] === 0x04) return point.subarray(2)
  return tag === 0x04 && point.length % 2 === 1 ? point : null
}
