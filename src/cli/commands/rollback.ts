// `rekey rollback rotation/ID --reason …`

import type { Command } from 'commander'
import type { Shell } from '../shell.ts'
import { addSteering } from '../steer-rotation.ts'

export const addRollback = (program: Command, shell: Shell): void =>
  addSteering(program, shell, {
    verb: 'rollback',
    summary: 'undo a rotation: the old version becomes primary again',
    description:
      'Undo a rotation, from minting until the old version is being retired. Those who moved to the new version are not cut off: it passes the same gates before it is removed.',
    action: 'rollback',
    danger:
      'The old version becomes primary again, and the new one is removed once nobody uses it.',
    done: 'rolling back',
  })
