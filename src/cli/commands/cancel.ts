// `rekey cancel rotation/ID --reason …`

import type { Command } from 'commander'
import type { Shell } from '../shell.ts'
import { addSteering } from '../steer-rotation.ts'

export const addCancel = (program: Command, shell: Shell): void =>
  addSteering(program, shell, {
    verb: 'cancel',
    summary: 'end a rotation that has made nothing yet',
    description:
      'End a rotation before anything was made: planned, awaiting approval or in preflight.',
    action: 'cancel',
    danger: null,
    done: 'cancelled',
  })
