// Rotations of every shape under faults, several workers and people that come in any order: a call is refused, lost, answered to
// nobody, or its worker dies in it, or is stopped and goes on when somebody else has taken over; one host's clock is an hour
// off; somebody rolls back, resumes, approves, freezes, edits or deletes; others change what is at the provider. After
// every step what must always be so is so: by usecases/check-invariants.ts, and by a model and witnesses that know nothing
// of it (test/walks). Once the faults are over each rotation ends.
//
// `npm run walks -- 10000` takes as many (docs/reference/proofs.md). A failure is shrunk, and prints its walk and how to take
// it again: REKEY_TEST_SEED alone takes the same walks; with REKEY_TEST_PATH and REKEY_TEST_REPLAY only the last one.

import fc from 'fast-check'
import { test } from 'vitest'
import { commandsOf } from '#test/walks/commands.ts'
import { type Ground, openGround } from '#test/walks/ground.ts'
import { scenery, stroll } from '#test/walks/walk.ts'

const told = (name: string): string | undefined => process.env[`REKEY_TEST_${name}`]
const walks = Number(told('WALKS') ?? 4)
const seed = Number(told('SEED') ?? Date.now() % 2 ** 31)
const longest = 50
/** Shrinking ends after so long: what is left of the walk by then is printed. */
const shrinkMs = 120_000
/** On one database, which grows. */
const chunk = 500

const take = async (ground: Ground, numRuns: number, from: number): Promise<void> => {
  const [path, replay] = [told('PATH'), told('REPLAY')]
  let failedAt: number | null = null
  const property = fc.asyncProperty(scenery, commandsOf(longest, replay), async (of, commands) => {
    fc.pre(failedAt === null || Date.now() - failedAt < shrinkMs)
    try {
      await stroll(ground, of, commands)
    } catch (error) {
      failedAt ??= Date.now()
      throw error
    }
  })
  await fc.assert(property, {
    numRuns,
    seed: from,
    endOnFailure: told('SHRINK') === 'off',
    ...(path === undefined ? {} : { path }),
  })
}

test(
  'whatever happens in whatever order, what must be so is so',
  { timeout: 24 * 3_600_000 },
  async () => {
    const begun = Date.now()
    for (let done = 0; done < walks; done += chunk) {
      const ground = await openGround()
      try {
        await take(ground, Math.min(chunk, walks - done), seed + done)
      } finally {
        await ground.close()
      }
      const seconds = Math.round((Date.now() - begun) / 1_000)
      if (walks > chunk)
        process.stderr.write(
          `${Math.min(walks, done + chunk)} of ${walks} walks from seed ${seed}, ${seconds} s\n`,
        )
    }
  },
)
