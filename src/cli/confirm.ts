// Dangerous verbs ask for the name typed out. In a script `--confirm NAME` says the same; without a terminal nothing waits.

import { interrupted, usage } from './failure.ts'
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
  const answer = await run.io.ask(`Type ${name} to go on`)
  if (answer === null) throw interrupted({ changed: 'nothing' })
  if (answer.trim() !== name)
    throw usage(`that was not ${name}`, { code: 'cli.notConfirmed', title: 'Not confirmed' })
}
