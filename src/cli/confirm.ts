// What changes something shown asks for a yes; dangerous verbs ask for the name typed out. In a script `--confirm NAME` says
// the same; without a terminal nothing waits.

import { type Failure, interrupted, usage } from './failure.ts'
import type { Run } from './shell.ts'

/** `effect`: what will happen, for the person who types. */
export const confirmByName = async (
  run: Run,
  name: string,
  effect: string,
  given: string | undefined,
): Promise<void> => {
  if (given === name) return
  if (given !== undefined) {
    throw usage(`--confirm says ${given}, and this is about ${name}`, { hint: `--confirm ${name}` })
  }
  if (!run.io.interactive || run.format === 'json') {
    throw usage('this asks for a confirmation, and there is no terminal to ask on', {
      hint: `add --confirm ${name}`,
    })
  }
  run.io.stderr.write(`${effect}\n`)
  if ((await answerTo(run, `Type ${name} to go on`)) !== name)
    throw notConfirmed(`that was not ${name}`)
}

/** For a person at a terminal, who was shown what it is about. */
export const confirmYes = async (run: Run, question: string): Promise<void> => {
  if (!/^y(?:es)?$/i.test(await answerTo(run, `${question} Type yes`)))
    throw notConfirmed('the answer was not yes')
}

const answerTo = async (run: Run, question: string): Promise<string> => {
  const answer = await run.io.ask(question)
  if (answer === null) throw interrupted({ changed: 'nothing' })
  return answer.trim()
}

const notConfirmed = (what: string): Failure =>
  usage(what, { code: 'cli.notConfirmed', title: 'Not confirmed' })
