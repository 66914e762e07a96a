// `rekey abandon rotation/ID --reason …`

import type { Command } from 'commander'
import type { Shell } from '../shell.ts'
import { addSteering } from '../steer-rotation.ts'

export const addAbandon = (program: Command, shell: Shell): void =>
  addSteering(program, shell, {
    verb: 'abandon',
    summary: 'give up a stalled rotation where it is',
    description:
      'Give up a stalled rotation. Nothing is undone and nothing is cleaned up: every version stays as it is at the provider.',
    action: 'abandon',
    danger:
      'Nothing is undone: every version stays as it is at the provider, and nobody cleans up.',
    done: 'abandoned',
  })
