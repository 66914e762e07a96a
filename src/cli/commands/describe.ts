// `rekey describe KIND/NAME`: its state, why it is not moving, and the command to run next.

import type { Command } from 'commander'
import type { Json } from '#domain/json.ts'
import {
  describeConnection,
  describeConsumer,
  describePolicy,
  describeSink,
} from '../describe-others.ts'
import { describeKey } from '../describe-key.ts'
import { describeRotation } from '../describe-rotation.ts'
import { usage } from '../failure.ts'
import { show, withOutput } from '../output.ts'
import { kindNames, parseReference, type Plural } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

export interface Described {
  readonly json: Json
  readonly text: string
}

const describers: Readonly<
  Partial<Record<Plural, (run: Run, name: string) => Promise<Described>>>
> = {
  keys: describeKey,
  rotations: describeRotation,
  policies: describePolicy,
  connections: describeConnection,
  consumers: describeConsumer,
  sinks: describeSink,
}

export const addDescribe = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('describe'))
    .argument(
      '<what>',
      'key/NAME, rotation/ID, policy/NAME, connection/NAME, consumer/NAME or sink/NAME',
    )
    .summary('show one thing, why it is not moving, and what to do next')
    .description(
      'Show one thing in full: its state, why it is not moving, and the command to run next.',
    )
  command.action((what: string) =>
    shell.act(command, { doing: `describe ${what}` }, (run) => describe(run, what)),
  )
}

const describe = async (run: Run, what: string): Promise<void> => {
  const { kind, name } = parseReference(what)
  if (name === null)
    throw usage(`${what} names no ${kindNames[kind]}`, { hint: `rekey get ${kind}` })
  const describer = describers[kind]
  if (describer === undefined)
    throw usage(`a ${kindNames[kind]} has no more to say`, { hint: `rekey get ${what}` })
  const { json, text } = await describer(run, name)
  await show(run, { json, names: [`${kindNames[kind]}/${name}`], text: () => text })
}
