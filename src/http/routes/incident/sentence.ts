// Texts and people in replies.

import { Type } from 'typebox'
import { strict } from '../../schemas.ts'

export const sentence = (...examples: readonly string[]) => Type.String({ examples: [...examples] })
export const someone = strict({
  id: Type.String({ examples: ['user:ada'] }),
  name: sentence('ada'),
})
