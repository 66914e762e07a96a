// What the server stores of a password (RFC 5803), made here: the server gets it in place of the password, so that no log of
// statements can hold one.

import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import { type Material, ProviderError } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { emptyTag, saltOf } from './versions.ts'

const derive = promisify(pbkdf2)
/** PostgreSQL's own. */
const iterations = 4096

export const verifierOf = async (material: Material | null, tag: string): Promise<string> => {
  const salt = saltOf(tag)
  const salted = await derive(passwordOf(material), salt, iterations, 32, 'sha256')
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest()
  return format(salt, storedKey, hmac('Server Key'))
}

/** Opened by no password: the keys are drawn, not derived. */
export const emptyVerifier = (random: (bytes: number) => Uint8Array): string =>
  format(saltOf(emptyTag), random(32), random(32))

const format = (salt: Uint8Array, storedKey: Uint8Array, serverKey: Uint8Array): string => {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`
}

/** Printable ASCII, as all that `generate` makes: then SASLprep (RFC 4013) changes nothing, here or in any driver. */
export const passwordOf = (material: Material | null): string => {
  if (material === null) throw new ProviderError('permanent', 'none', 'there is no password to set')
  const text = revealText(material)
  if (/^[\x21-\x7e]+$/.test(text)) return text
  throw new ProviderError('precondition', 'none', 'the password is not printable ASCII')
}
