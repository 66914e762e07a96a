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

interface Options {
  /** Connections: ask the provider right by right. */
  readonly check: boolean
}

export interface Described {
  readonly json: Json
  readonly text: string
}

const describers: Readonly<
  Partial<Record<Plural, (run: Run, name: string, options: Options) => Promise<Described>>>
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
  command.option('--check', 'of a connection: ask the provider, right by right, what it may do')
  command.action((what: string, { check = false }: { readonly check?: boolean }) =>
    shell.act(command, { doing: `describe ${what}` }, (run) => describe(run, what, { check })),
  )
}

const describe = async (run: Run, what: string, options: Options): Promise<void> => {
  const { kind, name } = parseReference(what)
  if (name === null)
    throw usage(`${what} names no ${kindNames[kind]}`, { hint: `rekey get ${kind}` })
  if (options.check && kind !== 'connections') throw usage('--check is about a connection')
  const describer = describers[kind]
  if (describer === undefined)
    throw usage(`a ${kindNames[kind]} has no more to say`, { hint: `rekey get ${what}` })
  const { json, text } = await describer(run, name, options)
  await show(run, { json, names: [`${kindNames[kind]}/${name}`], text: () => text })
}
