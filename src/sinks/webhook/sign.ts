// Standard Webhooks 1.0: `webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>`.

import { createHmac } from 'node:crypto'
import { type Secret, revealText } from '#domain/secret.ts'

const prefix = 'whsec_'

/** The headers of one try. `at` is the moment of sending, not of the event: receivers refuse what is older than minutes. */
export const signedHeaders = (
  id: string,
  at: Date,
  body: string,
  secret: Secret<Uint8Array>,
): Readonly<Record<string, string>> => {
  const timestamp = String(Math.floor(at.getTime() / 1000))
  const signature = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`)
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature.digest('base64')}`,
  }
}

const keyOf = (secret: Secret<Uint8Array>): Buffer => {
  const text = revealText(secret)
  return Buffer.from(text.startsWith(prefix) ? text.slice(prefix.length) : text, 'base64')
}
