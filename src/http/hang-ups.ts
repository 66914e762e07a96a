// Tells handlers that nobody waits for them any more: the caller is gone, or the server closes and will not wait for streams.

import type { FastifyReply } from 'fastify'

export interface HangUps {
  /** Aborts when the connection of this reply breaks, or the server closes. */
  signalOf(reply: FastifyReply): AbortSignal
  abortAll(): void
}

/** One controller a request and a set of them: `AbortSignal.any` over a signal that lives as long as the server would keep
 *  something of every request. */
export const makeHangUps = (): HangUps => {
  const open = new Set<AbortController>()
  let closed = false
  return {
    signalOf: (reply) => {
      const controller = new AbortController()
      if (closed || reply.raw.destroyed) controller.abort()
      open.add(controller)
      reply.raw.once('close', () => {
        open.delete(controller)
        if (!reply.raw.writableFinished) controller.abort()
      })
      return controller.signal
    },
    abortAll: () => {
      closed = true
      for (const controller of open) controller.abort()
      open.clear()
    },
  }
}
