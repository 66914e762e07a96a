// The progress of a rotation while somebody looks: a board where a terminal can be drawn on, else lines that are only ever
// added to. Nothing with `-o json`.

import type { JsonObject } from '#domain/json.ts'
import { paintFor } from './paint.ts'
import { progressLines } from './rotation-text.ts'
import type { StreamEvent } from './server-events.ts'
import type { Run } from './shell.ts'

export interface Progress {
  state(rotation: JsonObject): void
  event(event: StreamEvent): void
  /** What was shown last stays. */
  close(): void
}

export const showProgress = async (run: Run): Promise<Progress> => {
  const { stderr, clock, env } = run.io
  if (run.format !== 'json' && stderr.size() !== null) {
    const { makeBoard } = await import('./rotation-board.ts')
    const board = makeBoard(paintFor(env, stderr))
    const live = await run.live(stderr, (size) => board.frame(clock.now(), size))
    if (live !== null) {
      return {
        state: (rotation) => {
          board.state(rotation, clock.now())
          live.update()
        },
        event: (event) => board.event(event),
        close: () => live.close(),
      }
    }
  }
  const lines = progressLines()
  return {
    state: (rotation) => {
      for (const line of lines(rotation, clock.now())) run.talk(line)
    },
    event: () => undefined,
    close: () => undefined,
  }
}
