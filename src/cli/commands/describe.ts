// `rekey describe KIND/NAME`: its state, why it is not moving, and the command to run next.

import type { Command } from 'commander'
import type { Json } from '#domain/json.ts'
import { usage } from '../failure.ts'
import { show, withOutput } from '../output.ts'
import { kindNames, listing, parseReference, type Plural } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  /** Connections: ask the provider right by right. */
  readonly check: boolean
}

export interface Described {
  readonly json: Json
  readonly text: string
}

type Describer = (run: Run, name: string, options: Options) => Promise<Described>

const others = () => import('../describe-others.ts')

/** Loaded when they are asked for. */
const describers: Readonly<Partial<Record<Plural, () => Promise<Describer>>>> = {
  keys: async () => (await import('../describe-key.ts')).describeKey,
  rotations: async () => (await import('../describe-rotation.ts')).describeRotation,
  policies: async () => (await others()).describePolicy,
  connections: async () => (await others()).describeConnection,
  consumers: async () => (await others()).describeConsumer,
  sinks: async () => (await others()).describeSink,
  playbooks: async () => (await import('../describe-playbook.ts')).describePlaybook,
  incidents: async () => (await import('../describe-incident.ts')).describeIncident,
  plans: async () => (await import('../describe-plan.ts')).describePlan,
}

export const addDescribe = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('describe'))
    .argument(
      '<what>',
      'key/NAME, rotation/ID, incident/ID, policy/NAME, connection/NAME, consumer/NAME, playbook/NAME, sink/NAME or plan/ID',
    )
    .summary('show one thing, why it is not moving, and what to do next')
    .description(
      'Show one thing in full: its state, why it is not moving, and the command to run next.',
    )
  command.option('--check', 'of a connection: ask the provider, right by right, what it may do')
  command.action((what: string, { check = false }: { readonly check?: boolean }) =>
    shell.act(command, { doing: `describe ${what}`, next: listing(what) }, (run) =>
      describe(run, what, { check }),
    ),
  )
}

const describe = async (run: Run, what: string, options: Options): Promise<void> => {
  const { kind, name } = parseReference(what)
  if (name === null)
    throw usage(`${what} names no ${kindNames[kind]}`, { hint: `rekey get ${kind}` })
  if (options.check && kind !== 'connections') throw usage('--check is about a connection')
  const load = describers[kind]
  if (load === undefined)
    throw usage(`a ${kindNames[kind]} has no more to say`, { hint: `rekey get ${what}` })
  const { json, text } = await (await load())(run, name, options)
  await show(run, { json, names: [`${kindNames[kind]}/${name}`], text: () => text })
}
