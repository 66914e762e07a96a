// `rekey completion bash|zsh|fish`: a script that asks `rekey __complete` for the words, so that it never grows old.
//
// `__complete` answers one candidate a line, from the tree of commands; names of things are asked of the server, quickly or
// not at all: a completion that hangs or complains is worse than none.

import { Argument, type Command, type Option } from 'commander'
import { kinds } from '../kinds.ts'
import { kindNames, type Plural } from '../reference.ts'
import type { Run, Shell } from '../shell.ts'

const scripts = {
  bash: `_rekey() {
  local line="\${COMP_LINE:0:COMP_POINT}" words
  read -ra words <<< "$line"
  [[ "$line" == *' ' ]] && words+=('')
  local current="\${words[-1]}"
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(rekey __complete -- "\${words[@]:1}" 2>/dev/null)" -- "$current"))
  [[ "\${COMPREPLY[0]}" == */ ]] && compopt -o nospace
}
complete -F _rekey rekey
`,
  zsh: `#compdef rekey
_rekey() {
  local -a candidates
  candidates=(\${(f)"$(rekey __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  compadd -- $candidates
}
compdef _rekey rekey
`,
  fish: `complete -c rekey -f -a '(rekey __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
} as const

type ShellName = keyof typeof scripts
const shells = Object.keys(scripts) as readonly ShellName[]

const answerMs = 1_500

export const addCompletion = (program: Command, shell: Shell): void => {
  const command = program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .summary('print a completion script')
    .description('Print a completion script: source <(rekey completion bash)')
  command.action((name: ShellName) =>
    shell.act(command, { doing: 'print a completion script' }, async (run) =>
      run.print(scripts[name]),
    ),
  )
  const complete = program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .passThroughOptions()
    .allowUnknownOption()
  complete.action((words: readonly string[]) =>
    shell.act(complete, { doing: 'complete' }, async (run) => {
      const candidates = await candidatesFor(run, program, words)
      run.print(candidates.map((word) => `${word}\n`).join(''))
    }),
  )
}

const candidatesFor = async (
  run: Run,
  program: Command,
  words: readonly string[],
): Promise<readonly string[]> => {
  const typed = words.slice(0, -1)
  const current = words.at(-1) ?? ''
  const command = deepest(program, typed)
  const option = optionBefore(command, typed.at(-1))
  if (option !== null)
    return (option.argChoices ?? []).filter((choice) => choice.startsWith(current))
  if (current.startsWith('-')) return flagsOf(command).filter((flag) => flag.startsWith(current))
  const verbs = command.commands.filter((child) => isShown(child)).map((child) => child.name())
  const words_ = verbs.length > 0 ? verbs : await argumentsOf(run, command, current)
  return words_.filter((word) => word.startsWith(current))
}

/** The command that the words so far have reached. */
const deepest = (program: Command, words: readonly string[]): Command => {
  let command = program
  for (const word of words) {
    const child = command.commands.find((candidate) => candidate.name() === word)
    if (child === undefined) break
    command = child
  }
  return command
}

const optionBefore = (command: Command, word: string | undefined): Option | null => {
  const option = command.options.find(
    (candidate) => candidate.short === word || candidate.long === word,
  )
  return option !== undefined && (option.required || option.optional) ? option : null
}

const flagsOf = (command: Command): readonly string[] => [
  ...command.options
    .filter((option) => !option.hidden)
    .map((option) => option.long ?? option.short ?? ''),
  '--help',
]

const isShown = (command: Command): boolean => !command.name().startsWith('_')

/** By the first argument of the verb: a kind, `KIND/NAME`, or its choices. */
const argumentsOf = async (
  run: Run,
  command: Command,
  current: string,
): Promise<readonly string[]> => {
  const [argument] = command.registeredArguments
  if (argument === undefined) return []
  if (argument.argChoices !== undefined) return argument.argChoices
  const plurals = Object.keys(kinds) as readonly Plural[]
  const wanted = plurals.filter(
    (plural) => argument.name() === 'what' || kindNames[plural] === argument.name(),
  )
  const slash = current.indexOf('/')
  if (slash < 0) {
    const singles = wanted.flatMap((plural) =>
      kinds[plural].one === 'none' ? [] : [`${kindNames[plural]}/`],
    )
    return command.name() === 'get' ? [...wanted, ...singles] : singles
  }
  const kind = wanted.find((plural) => kindNames[plural] === current.slice(0, slash))
  return kind === undefined ? [] : namesOf(run, kind)
}

const namesOf = async (run: Run, kind: Plural): Promise<readonly string[]> => {
  const found: string[] = []
  const asking = async (): Promise<void> => {
    const client = await run.client()
    for await (const item of client.list(kinds[kind].path)) {
      found.push(kinds[kind].reference(item))
      if (found.length >= 1_000) return
    }
  }
  const answered = new AbortController()
  await Promise.race([
    // Without a server or a token there is nothing to offer.
    asking().catch(() => undefined),
    run.io.clock.pause(answerMs, AbortSignal.any([run.signal, answered.signal])),
  ])
  answered.abort()
  return found
}
