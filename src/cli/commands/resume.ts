// `rekey resume rotation/ID --reason …`

import type { Command } from 'commander'
import type { Shell } from '../shell.ts'
import { addSteering } from '../steer-rotation.ts'

export const addResume = (program: Command, shell: Shell): void =>
  addSteering(program, shell, {
    verb: 'resume',
    summary: 'let a stalled rotation go on',
    description: 'Let a stalled rotation go on in the phase where it stopped.',
    action: 'resume',
    danger: null,
    done: 'resumed',
  })
