// Another process that tries the same credential is waited for: if it is wrong, it is wrong once.

import type { Clock, LoginBook } from '#domain/ports.ts'
import { type Logins, ProviderError } from '#domain/provider.ts'

const lookEveryMs = 100

export const inTurn = (book: LoginBook, clock: Pick<Clock, 'pause'>): Logins => ({
  claim: async (credential, signal) => {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one look after the other
      const claim = await book.claim(credential)
      if (claim !== 'busy') return claim
      if (signal.aborted) {
        throw new ProviderError('timeout', 'none', 'another process is logging in at the same time')
      }
      // oxlint-disable-next-line no-await-in-loop -- spacing of looks
      await clock.pause(lookEveryMs, signal)
    }
  },
  ended: (credential, how) => book.ended(credential, how),
})
