// The secret of a webhook sink, in the spelling of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.

import { Type } from 'typebox'

/** 24 bytes are 32 characters of base64, 64 bytes are 88 with padding. */
export const signingSecretPattern =
  '^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?$'

export const signingSecretSchema = Type.String({
  pattern: signingSecretPattern,
  description: 'whsec_ and 24 to 64 random bytes in base64',
})
