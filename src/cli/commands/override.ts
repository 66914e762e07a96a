// `rekey override rotation/ID --reason …`

import type { Command } from 'commander'
import type { Shell } from '../shell.ts'
import { addSteering } from '../steer-rotation.ts'

export const addOverride = (program: Command, shell: Shell): void =>
  addSteering(program, shell, {
    verb: 'override',
    summary: 'pass the gate that a rotation waits for',
    description:
      'Let a rotation pass the gate that it waits for: overlap, acknowledgement or usage. It counts when two people have said so, one of them an approver.',
    action: 'overrides',
    danger: 'Consumers that still use the old version may break when it is switched off.',
    done: 'override recorded',
  })
