// What is kept of material to know it again: the number of the pepper that it was made with (one byte), and
// HMAC(pepper, SHA-256(material)). The same material has another one under each pepper, so their bytes are compared by nobody:
// whoever looks material up asks for all that it may be known by (`Reads.versions.holding`), and whoever has both asks the
// keyring (`isFingerprintOf`). That is why this type is none of bytes.

declare const opaque: unique symbol
export interface Fingerprint {
  readonly [opaque]: 'fingerprint'
}

/** All that one material may be known by, under each pepper in use, the present one first. */
export type Fingerprints = readonly [Fingerprint, ...Fingerprint[]]

/** As it is stored. */
export const asFingerprint = (bytes: Uint8Array): Fingerprint => bytes as unknown as Fingerprint
export const bytesOfFingerprint = (fingerprint: Fingerprint): Uint8Array<ArrayBuffer> =>
  fingerprint as unknown as Uint8Array<ArrayBuffer>

/** The number of the pepper that it was made with. */
export const pepperOf = (fingerprint: Fingerprint): number =>
  bytesOfFingerprint(fingerprint)[0] ?? 0
