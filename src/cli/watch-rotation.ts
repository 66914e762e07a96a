// One rotation until it ends or needs a person, with its progress: `rekey rotate --follow`, and `rekey get rotation/ID --watch`
// for whoever comes back to it.

import type { JsonObject } from '#domain/json.ts'
import { followRotation } from './follow-rotation.ts'
import { show } from './output.ts'
import { textAt } from './read-json.ts'
import { showProgress } from './rotation-progress.ts'
import { rotationLine, waitingText } from './rotation-text.ts'
import type { Run } from './shell.ts'

export interface Watching {
  readonly id: string
  /** Null: as long as it takes. */
  readonly timeoutMs: number | null
  /** Whether every step is shown, or only how it ended. */
  readonly steps: boolean
  /** What was done before it was watched. */
  readonly changed: string
  /** Its state where that is known already: the first look may see more. */
  readonly from: JsonObject | null
}

/** Its last state is printed, however it ended; throws unless that is completed. */
export const watchRotation = async (run: Run, watching: Watching): Promise<void> => {
  const progress = watching.steps ? await showProgress(run) : null
  let last = watching.from
  if (last) progress?.state(last)
  try {
    await followRotation(run, {
      ...watching,
      onState: (rotation) => {
        last = rotation
        progress?.state(rotation)
      },
      onEvent: (event) => progress?.event(event),
    })
  } finally {
    progress?.close()
    if (last !== null) await present(run, last)
  }
}

const present = (run: Run, rotation: JsonObject): Promise<void> => {
  const texts = [rotationLine(rotation), waitingText(rotation)].filter((text) => text !== '')
  return show(run, {
    json: rotation,
    names: [`rotation/${textAt(rotation, 'id')}`],
    text: () => `${texts.join('  ')}\n`,
  })
}
