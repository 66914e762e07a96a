// Three bugs that would cost somebody a credential, as edits of the source. Walks over a copy of the source with one of them in
// it must find a violation; there is no switch for any of them in `src`. An edit whose text is not there exactly once fails:
// the code has moved on, and the edit must follow.

import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

export const mutants: readonly Mutant[] = [
  {
    name: 'probe skipped: what has no reply is held for not done, and is sent again',
    file: 'src/usecases/resolve-effect.ts',
    from: 'answer = await spec.probe(intent, await materialIn(run, intent), call)',
    to: "answer = { answer: 'absent' }",
  },
  {
    name: 'fence skipped: a transition does not ask for phase and epoch',
    file: 'src/store/tables/rotations.ts',
    from: 'WHERE id = ${row.id}::uuid AND phase = ${before.phase} AND epoch = ${before.epoch}',
    to: 'WHERE id = ${row.id}::uuid',
  },
  {
    name: 'retire before acknowledgements: nobody is missing',
    file: 'src/usecases/rotation-gates.ts',
    from: 'const missing = consumers.filter((consumer) => !said.has(consumer))',
    to: 'const missing: string[] = []',
  },
]

const root = join(import.meta.dirname, '..', '..')

export const mutated = async ({ file, from, to }: Mutant): Promise<string> => {
  const text = await readFile(join(root, file), 'utf8')
  const [before, after, ...more] = text.split(from)
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${file} does not have exactly once: ${from}`)
  return before + to + after
}

export interface Hunt {
  /** What was broken, in the words of the walk; null: nothing was found. */
  readonly violation: string | null
  readonly output: string
}

/** Walks over a copy with the bug until something is found, `walks` at most. */
export const hunt = async (
  mutant: Mutant,
  { walks, seed }: { readonly walks: number; readonly seed: number },
): Promise<Hunt> => {
  const copy = await mkdtemp(join(tmpdir(), 'rekey-mutant-'))
  try {
    for (const part of [
      'src',
      'test',
      'scripts',
      'prisma',
      'package.json',
      'tsconfig.json',
      'vitest.config.ts',
    ])
      // oxlint-disable-next-line no-await-in-loop -- one disk
      await cp(join(root, part), join(copy, part), { recursive: true })
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
    await writeFile(join(copy, mutant.file), await mutated(mutant))
    const output = await walkIn(copy, {
      REKEY_TEST_WALKS: String(walks),
      REKEY_TEST_SEED: String(seed),
      REKEY_TEST_SHRINK: 'off',
    })
    // A copy that does not start has found nothing.
    const failed = /Property failed after [\s\S]*?Caused by: (?:Error: )?([\s\S]*?)\n\s*❯/.exec(
      output,
    )
    return { violation: failed?.[1]?.trim() ?? null, output }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

const walkIn = (cwd: string, env: Readonly<Record<string, string>>): Promise<string> =>
  new Promise((resolve, reject) => {
    const vitest = join(root, 'node_modules', '.bin', 'vitest')
    const child = spawn(vitest, ['run', 'test/faults/random-walk.test.ts'], {
      cwd,
      // This may itself run in a worker of vitest, which a run of its own must not take for its own.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(output))
  })
