// The secret of a webhook is sealed on arrival, never returned, and belongs to the address that it was sent with: a GET that
// is edited and PUT back keeps it, a new address asks for it again.

import { RekeyError } from '#domain/errors.ts'
import type { Tx } from '#domain/ports.ts'
import { revealText, type Secret } from '#domain/secret.ts'

export interface KeptSecret {
  readonly url: string
  readonly sealedId: string
}

export interface SecretInput {
  readonly purpose: string
  readonly before: KeptSecret | null
  readonly url: string
  /** Null: not sent. */
  readonly secret: Secret | null
  readonly pointer: string
}

export const keepOrSeal = async (
  tx: Tx,
  { purpose, before, url, secret, pointer }: SecretInput,
): Promise<KeptSecret> => {
  if (secret === null) {
    if (before?.url === url) return before
    throw new RekeyError('request.impossible', {
      detail: before
        ? 'The address changed, so the stored secret is not used any more.'
        : 'A secret is needed.',
      hint: 'Send the secret: whsec_ and 24 to 64 random bytes in base64.',
      errors: [{ pointer, detail: before ? 'must be sent again' : 'is required' }],
    })
  }
  if (before?.url === url) {
    const stored = await tx.sealed.open(before.sealedId)
    if (stored && revealText(stored) === secret.reveal()) return before
  }
  return { url, sealedId: await tx.writeSealed.insert(secret, purpose) }
}
