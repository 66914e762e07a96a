// The page of the command, and its table in the README, from the tree of commands that runs.

import type { Command } from 'commander'
import { buildCli } from '../src/cli/cli.ts'
import { exitCodes, exitMeanings, type ExitName } from '../src/cli/exit-codes.ts'
import type { CliIo } from '../src/cli/io.ts'
import { addRoles } from '../src/role-commands.ts'
import { generated, table } from './markdown.ts'

/** Nothing is run: the tree is only looked at. */
const program = (): Command => {
  const built = buildCli({} as CliIo)
  addRoles(built)
  return built
}

const groups = (): readonly (readonly [string, readonly Command[]])[] => {
  const shown = program().commands.filter((command) => !command.name().startsWith('_'))
  return [...Map.groupBy(shown, (command) => command.helpGroup().replace(/:$/, ''))]
}

export const commandTable = (): string =>
  table(
    ['', 'commands'],
    groups().map(([group, commands]) => [
      group,
      commands.map((command) => `\`${command.name()}\``).join(' '),
    ]),
  )

export const cliPage = (): string =>
  [
    '# The command',
    generated,
    'From a clone `npm run -s rekey -- …`. It speaks to `REKEY_URL` (http://127.0.0.1:7400 where not said) with `REKEY_TOKEN` or `REKEY_TOKEN_FILE`; on the machine that Rekey runs on it reads the admin key of `REKEY_DATA_DIR`. Data goes to stdout, talk to stderr; with `-o json` what is refused is one JSON object too. Without a terminal nothing is asked: a command that would ask names the flag that answers.',
    ...groups().flatMap(([group, commands]) => [
      `## ${group}`,
      ...commands.flatMap((command) => sections(command, 'rekey')),
    ]),
    `## Exit codes\n${table(
      ['code', 'meaning'],
      (Object.keys(exitCodes) as readonly ExitName[]).map((name) => [
        String(exitCodes[name]),
        exitMeanings[name],
      ]),
    )}`,
  ].join('\n\n') + '\n'

const sections = (command: Command, path: string): readonly string[] => {
  const called = `${path} ${command.name()}`
  return [section(command, called), ...command.commands.flatMap((one) => sections(one, called))]
}

const section = (command: Command, called: string): string => {
  const words = command.registeredArguments.map((one) => {
    const name = `${one.name()}${one.variadic ? '…' : ''}`
    return one.required ? `<${name}>` : `[${name}]`
  })
  const rows = [
    ...command.registeredArguments.map((one): [string, string] => [
      one.name(),
      one.description || (one.argChoices?.join(', ') ?? ''),
    ]),
    ...command.options.map((one): [string, string] => [one.flags, one.description]),
  ].filter(([, about]) => about !== '')
  return [
    `### \`${[called, ...words].join(' ')}\``,
    command.description().replaceAll('\n', ' '),
    ...(rows.length === 0
      ? []
      : [
          table(
            ['', ''],
            rows.map(([flags, about]) => [`\`${cell(flags)}\``, cell(about)]),
          ),
        ]),
  ].join('\n\n')
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
